// Package mem is a network in memory: nodes of one process that talk as over transport/grpc, for tests, simulations and
// servers that live in one process.
//
// A [Network] is the cable between them and implements transport.Transport. Messages are copied as if they had been
// encoded. Each directed way between two addresses has its own [Faults], and each endpoint can be paused; what happens
// by chance is drawn from the network's seed, for each way apart. Time is the given clock's, so everything works
// inside a testing/synctest bubble. Unlike a real network's, its queues have no bound, and connecting takes no time.
//
// Every connection has three goroutines: one for each direction, which calls AcceptCall or hands replies over, and one
// that finds out whether the other side is still there. They belong to the link that made the connection; its Close
// waits for them. Every call that is served has one, which belongs to the endpoint that accepted it. Nothing is left
// when all endpoints have been closed. All methods are safe for concurrent use.
package mem

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
)

// Options of a Network. The zero value means the defaults.
type Options struct {
	// Seed of everything that happens by chance.
	Seed uint64

	// Keepalive is how long a peer may be silent (half-open, held, paused) before its connections break, and how long
	// connecting takes at most. Default 10 s.
	Keepalive time.Duration

	// Logger hears of handlers that panic. Default: nobody does.
	Logger *slog.Logger
}

// Network connects the endpoints that listen on it.
type Network struct {
	clock     clock.Clock
	logger    *slog.Logger
	keepalive time.Duration
	seed      uint64

	mu        sync.Mutex // guards the fields below
	endpoints map[string]*endpoint
	conns     map[*conn]struct{}
	ways      map[way]*condition
	paused    map[string]bool
	changed   chan struct{} // closed and replaced when faults or pauses change
	ports     int           // the last one given away
}

// New is a network without faults and endpoints. It needs no closing: its endpoints do.
func New(c clock.Clock, opts Options) *Network {
	if opts.Keepalive == 0 {
		opts.Keepalive = 10 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Network{
		clock: c, logger: opts.Logger, keepalive: opts.Keepalive, seed: opts.Seed,
		endpoints: map[string]*endpoint{},
		conns:     map[*conn]struct{}{},
		ways:      map[way]*condition{},
		paused:    map[string]bool{},
		changed:   make(chan struct{}),
	}
}

// Listen implements transport.Transport. An address is any text; one that ends in ":0" gets a number of its own there.
func (n *Network) Listen(ctx context.Context, self transport.Peer, h transport.Handler) (transport.Endpoint, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", self.Address, err)
	}
	if err := self.Validate(); err != nil {
		return nil, fmt.Errorf("listen on %q: %w", self.Address, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if host, open := strings.CutSuffix(self.Address, ":0"); open {
		n.ports++
		self.Address = host + ":" + strconv.Itoa(n.ports)
	}
	if n.endpoints[self.Address] != nil {
		return nil, fmt.Errorf("listen on %s: the address is in use", self.Address)
	}
	e := newEndpoint(ctx, n, self, h)
	n.endpoints[self.Address] = e
	return e, nil
}

// connect makes a connection for a link. Where nobody answers, for the time being, it returns neither a connection nor
// an error but a channel that closes when that may have changed.
func (n *Network) connect(l *link) (*conn, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there := way{l.from.self.Address, l.to.Address}
	if n.faultsLocked(there).Cut {
		return nil, nil, fmt.Errorf("%w: cut", transport.ErrUnreachable)
	}
	if n.silentLocked(there) {
		return nil, n.changed, nil
	}
	to := n.endpoints[l.to.Address]
	if to == nil {
		return nil, nil, fmt.Errorf("%w: nobody listens", transport.ErrUnreachable)
	}
	if err := transport.Admit(to.self, l.from.self, l.to); err != nil {
		return nil, nil, err
	}
	c := newConn(n, l.from.self, to)
	n.conns[c] = struct{}{}
	return c, nil, nil
}

// forget is told of connections that broke.
func (n *Network) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// remove makes the address free and returns the connections that others have made to it.
func (n *Network) remove(e *endpoint) []*conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[e.self.Address] == e {
		delete(n.endpoints, e.self.Address)
	}
	return n.connsLocked(func(c *conn) bool { return c.to == e })
}

func (n *Network) connsLocked(which func(*conn) bool) []*conn {
	var found []*conn
	for c := range n.conns {
		if which(c) {
			found = append(found, c)
		}
	}
	return found
}

// way is one direction between two addresses.
type way struct{ from, to string }

func (w way) back() way { return way{w.to, w.from} }

// condition is the state of a way.
type condition struct {
	faults Faults
	dice   *rand.Rand
}
