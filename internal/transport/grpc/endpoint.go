package grpc

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/xiaonanln/goverse/internal/transport"
	pb "github.com/xiaonanln/goverse/proto"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/crew"
	"github.com/xiaonanln/goverse/util/tally"
)

// endpoint implements transport.Endpoint.
type endpoint struct {
	transport *Transport
	self      transport.Peer
	handler   transport.Handler
	listener  *listener
	server    *rpc.Server
	base      context.Context //nolint:containedctx // the parent of the contexts of the calls that arrive
	oneWays   root            // of those that nobody waits for
	cancel    context.CancelCauseFunc
	calls     tally.Tally         // that were accepted and whose replies were not sent
	crew      *crew.Crew[*served] // runs the calls
	wg        sync.WaitGroup      // the other goroutines that are not links'
	stopped   chan struct{}       // closed when Close has nothing to wait for but calls

	intake atomic.Int32 // an intake, which only grows

	mu      sync.Mutex // guards the fields below
	closed  bool
	links   map[*link]struct{}
	callees map[*callee]struct{}
}

// intake is which calls are accepted.
type intake int32

const (
	takesAll    intake = iota
	takesOneWay        // the peers are being told
	takesNone
)

// open begins to serve.
func (t *Transport) open(ctx context.Context, self transport.Peer, lis *listener, h transport.Handler) *endpoint {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	e := &endpoint{
		transport: t, self: self, handler: h, listener: lis, base: base, cancel: cancel, stopped: make(chan struct{}),
		crew:  crew.New((*served).run, 0),
		links: map[*link]struct{}{}, callees: map[*callee]struct{}{},
	}
	e.oneWays.init(base, t.cfg.Clock)
	e.server = rpc.NewServer(
		rpc.Creds(t.cfg.ServerCredentials),
		rpc.ForceServerCodecV2(newCodec(&t.buffers, &t.wholes)),
		rpc.MaxRecvMsgSize(maxPacket), rpc.MaxSendMsgSize(maxAnswer),
		rpc.ReadBufferSize(readBytes),
		rpc.InitialWindowSize(windowBytes), rpc.InitialConnWindowSize(windowBytes),
		rpc.MaxHeaderListSize(headerBytes), rpc.MaxConcurrentStreams(maxStreams),
		rpc.ConnectionTimeout(t.cfg.Keepalive),
		rpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTimeout, Time: t.cfg.Keepalive, Timeout: t.cfg.Keepalive,
		}),
	)
	pb.RegisterNodeServiceServer(e.server, service{endpoint: e})
	t.cfg.Services(e.server)
	e.wg.Go(func() {
		if err := e.server.Serve(lis); err != nil && base.Err() == nil {
			t.cfg.Logger.ErrorContext(base, "the node port is not served any more", "addr", self.Address, "err", err)
		}
	})
	e.wg.Go(e.watch)
	return e
}

const (
	// readBytes is the buffer of a connection that is read from, idle or not: a thousand peers have one each.
	readBytes = 16 << 10
	// maxStreams bounds the rpcs under way on one connection: a link's connection has one.
	maxStreams = 4
	// maxAnswer bounds what other services of the port answer: links never send so much at a time.
	maxAnswer = 16 << 20
	// idleTimeout is how long a connection without an rpc may stay.
	idleTimeout = 5 * time.Minute
)

func (e *endpoint) clock() clock.Clock { return e.transport.cfg.Clock }

func (e *endpoint) logger() *slog.Logger { return e.transport.cfg.Logger }

// Peer implements transport.Endpoint.
func (e *endpoint) Peer() transport.Peer { return e.self }

// Dial implements transport.Endpoint.
func (e *endpoint) Dial(to transport.Peer) transport.Link {
	l := &link{from: e, to: to}
	l.life, l.end = context.WithCancel(e.base)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		l.shut()
		return l
	}
	e.links[l] = struct{}{}
	return l
}

// drop forgets a link that was closed.
func (e *endpoint) drop(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed { // else Close may be waiting for it
		delete(e.links, l)
	}
}

// enter counts a call that arrives, or says that it is not accepted.
func (e *endpoint) enter(oneWay bool) bool {
	e.calls.Begin() // first: who has set the intake waits for those who did not know
	if now := intake(e.intake.Load()); now == takesAll || now == takesOneWay && oneWay {
		return true
	}
	e.calls.End()
	return false
}

// take sets which calls are accepted from now on.
func (e *endpoint) take(which intake) {
	for {
		now := e.intake.Load()
		if now >= int32(which) || e.intake.CompareAndSwap(now, int32(which)) {
			return
		}
	}
}

// accepted is the connections that others have made.
func (e *endpoint) accepted() []*callee {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.callees))
}

// Close implements transport.Endpoint.
func (e *endpoint) Close(ctx context.Context) error {
	e.shut()
	if err := e.calls.Wait(ctx); err != nil {
		return err
	}
	select {
	case <-e.stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shut is Close without the waiting.
func (e *endpoint) shut() {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	links := e.links // does not change any more
	e.mu.Unlock()
	if !first {
		return
	}
	e.take(takesNone)
	for l := range links {
		l.shut() // before their contexts end: it tells their calls why
	}
	for _, c := range e.accepted() {
		c.fail(transport.ErrClosed)
	}
	e.cancel(transport.ErrClosed)
	e.oneWays.ended.End()
	e.listener.hangUp()
	go func() {
		defer close(e.stopped)
		e.server.Stop()
		e.wg.Wait()
		e.crew.Close()
		e.crew.Wait()
		for l := range links {
			l.wg.Wait()
		}
	}()
}

// watch looks after the silence of all connections until the endpoint is closed.
func (e *endpoint) watch() {
	every := max(e.transport.cfg.Keepalive/beats, leastBeat)
	timer := e.clock().NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.base.Done():
			return
		}
		e.beat()
		e.crew.Trim()
		timer.Reset(every)
	}
}

var errSilent = fmt.Errorf("%w: the peer was silent for too long", transport.ErrBroken)

// beat looks at all connections.
func (e *endpoint) beat() {
	e.mu.Lock()
	var silentCallees []*callee
	for c := range e.callees {
		if !c.beat() {
			silentCallees = append(silentCallees, c)
		}
	}
	var silentCallers []*caller
	if !e.closed {
		for l := range e.links {
			if c := l.conn.Load(); c != nil && c.holds() && !c.beat() {
				silentCallers = append(silentCallers, c)
			}
		}
	}
	e.mu.Unlock()
	for _, c := range silentCallees {
		c.fail(errSilent)
	}
	for _, c := range silentCallers {
		c.fail(errSilent)
	}
}
