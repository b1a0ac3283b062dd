package mem

import (
	"context"
	"fmt"
	"sync"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// endpoint implements transport.Endpoint.
type endpoint struct {
	net     *Network
	self    transport.Peer
	handler transport.Handler
	base    context.Context //nolint:containedctx // the parent of the contexts of the calls that arrive
	cancel  context.CancelCauseFunc
	calls   gate // that were accepted and whose replies have not arrived

	mu     sync.Mutex // guards the fields below
	closed bool
	links  map[*link]struct{}
}

func newEndpoint(ctx context.Context, n *Network, self transport.Peer, h transport.Handler) *endpoint {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	return &endpoint{net: n, self: self, handler: h, base: base, cancel: cancel, links: map[*link]struct{}{}}
}

// Peer implements transport.Endpoint.
func (e *endpoint) Peer() transport.Peer { return e.self }

// Dial implements transport.Endpoint.
func (e *endpoint) Dial(to transport.Peer) transport.Link {
	l := &link{net: e.net, from: e, to: to, closing: make(chan struct{})}
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

// Drain implements transport.Endpoint.
func (e *endpoint) Drain(ctx context.Context) error {
	e.calls.refuse(transport.ErrDraining)
	return e.calls.wait(ctx)
}

// Close implements transport.Endpoint.
func (e *endpoint) Close(ctx context.Context) error {
	e.calls.refuse(fmt.Errorf("%w: closed", transport.ErrUnreachable))
	for _, c := range e.net.remove(e) {
		c.fail(transport.ErrBroken, transport.ErrClosed)
	}
	e.mu.Lock()
	e.closed = true
	links := e.links // does not change any more
	e.mu.Unlock()
	for l := range links {
		l.shut()
	}
	e.cancel(transport.ErrClosed)
	if err := e.calls.wait(ctx); err != nil {
		return err
	}
	for l := range links {
		l.wg.Wait()
	}
	return nil
}

// accept takes in a call that has arrived.
func (e *endpoint) accept(c *conn, number uint64, call *transport.Call) {
	if err := e.calls.add(); err != nil {
		if !call.OneWay {
			c.answer(number, outcome{why: err, executed: object.ExecutedNo}, nil)
		}
		return
	}
	ctx, cancel := context.WithCancelCause(e.base)
	release := func() { cancel(nil) }
	if call.Timeout != 0 {
		timed, stop := context.WithTimeout(ctx, call.Timeout)
		ctx, release = timed, func() { stop(); cancel(nil) }
	}
	oneWay, s := call.OneWay, &served{cancel: cancel}
	over := func() { release(); e.calls.done() }
	if !oneWay && !c.begin(number, s) {
		over()
		return
	}
	accepted := false
	defer func() {
		if !accepted { // the handler has ended this goroutine
			over()
		}
	}()
	var guard transport.Guard
	guard.Accept(ctx, e.handler, call, e.net.logger)
	accepted = true
	go guard.Run(func(r *transport.Reply) {
		var reply *transport.Reply
		if !oneWay {
			reply = copyReply(r)
			c.end(number, s)
		}
		release()
		if r.Spent != nil { // before the call is over for who waits for that
			r.Spent()
		}
		if oneWay {
			e.calls.done()
		} else {
			c.answer(number, outcome{reply: reply}, e.calls.done)
		}
	})
}
