package grpc_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/internal/transport/transporttest"
)

// silence is the Keepalive of nodes whose network makes trouble.
const silence = time.Second

// slowRate is how many bytes per second a slow way carries.
const slowRate = 200 << 10

// way is from one address to another.
type way struct{ from, to string }

// hub is the network of all nodes of a test: each connection passes a proxy of its way. It implements
// transporttest.Faults.
//
// What a silence has swallowed kills its connection for good, and both sides have to find that out by themselves. A
// pause holds all that the process would say or hear. A replay passes what is sent over a connection to a second one
// as well, whose answers nobody hears. Links, and not callers, overtake each other.
type hub struct {
	mu      sync.Mutex // guards the fields below
	lanes   map[way]*lane
	set     map[way]transporttest.Trouble
	paused  map[string]bool
	proxies map[way]*proxy
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{
		lanes: map[way]*lane{}, set: map[way]transporttest.Trouble{}, paused: map[string]bool{}, proxies: map[way]*proxy{},
	}
	t.Cleanup(func() {
		for _, p := range h.proxies {
			p.close()
		}
	})
	return h
}

// Set implements transporttest.Faults.
func (h *hub) Set(from, to string, t transporttest.Trouble) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := way{from, to}
	h.set[w] = t
	h.laneLocked(w)
	h.applyLocked(w)
	if p := h.proxies[w]; p != nil && t.Cut {
		p.cut()
	}
}

// Pause implements transporttest.Faults.
func (h *hub) Pause(address string) { h.pause(address, true) }

// Resume implements transporttest.Faults.
func (h *hub) Resume(address string) { h.pause(address, false) }

func (h *hub) pause(address string, paused bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paused[address] = paused
	for w := range h.lanes {
		if w.from == address || w.to == address {
			h.applyLocked(w)
		}
	}
}

func (h *hub) laneLocked(w way) *lane {
	l := h.lanes[w]
	if l == nil {
		l = newLane()
		h.lanes[w] = l
	}
	return l
}

// applyLocked tells a lane its trouble.
func (h *hub) applyLocked(w way) {
	t := h.set[w]
	t.Hold = t.Hold || h.paused[w.from] || h.paused[w.to]
	h.laneLocked(w).set(t, slowRate)
}

// dial connects one address with another.
func (h *hub) dial(ctx context.Context, w way) (net.Conn, error) {
	p, err := h.proxy(w)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", p.address())
}

func (h *hub) proxy(w way) (*proxy, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.proxies[w]; p != nil {
		return p, nil
	}
	there, back := h.laneLocked(w), h.laneLocked(way{w.to, w.from})
	h.applyLocked(w)
	h.applyLocked(way{w.to, w.from})
	p, err := openProxy(w.to, there, back)
	if err == nil {
		h.proxies[w] = p
	}
	return p, err
}

// node is the transport of one more node.
func (h *hub) node(*testing.T) transport.Transport {
	var mu sync.Mutex
	var self string // guarded by mu: where it listens
	return grpc.New(grpc.Config{
		Keepalive: silence,
		Listen: func(ctx context.Context, address string) (net.Listener, error) {
			lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				self = lis.Addr().String()
			}
			return lis, err
		},
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			mu.Lock()
			w := way{self, address}
			mu.Unlock()
			return h.dial(ctx, w)
		},
	})
}

func TestConformanceInTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range transporttest.FaultCases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			c.Run(t, transporttest.Net{
				New: h.node, Address: func() string { return "127.0.0.1:0" },
				Faults: h, Silence: silence, Seed: 1,
			})
		})
	}
}
