package grpc

import (
	"context"
	"errors"
	"sync/atomic"

	rpc "google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// service implements goverse.NodeService.
type service struct {
	pb.UnimplementedNodeServiceServer

	endpoint *endpoint
}

// Link serves one link until it breaks.
func (s service) Link(stream rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]) error {
	c := newCallee(s.endpoint, stream)
	defer c.cancel(transport.ErrBroken)
	if !s.endpoint.join(c) {
		return transport.ErrClosed
	}
	defer s.endpoint.leave(c)
	select {
	case <-c.broken:
	case <-stream.Context().Done(): // the reader may be busy
		c.fail(context.Cause(stream.Context()))
	}
	switch {
	case errors.Is(c.why, errSilent):
		c.cut() // there is nobody to talk to
	case errors.Is(c.why, errGarbage):
		s.endpoint.logger().WarnContext(c.ctx, "a link was broken", "remote", remote(stream.Context()), "from", c.from, "why", c.why)
	}
	return c.why // which ends the stream, and with it the reader
}

// join counts a connection, and starts its goroutines.
func (e *endpoint) join(c *callee) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.callees[c] = struct{}{}
	e.wg.Go(c.serve)
	return true
}

// leave forgets a connection.
func (e *endpoint) leave(c *callee) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.callees, c)
}

// callee is the side of a connection that is called.
type callee struct {
	duplex

	endpoint *endpoint
	stream   rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]
	ctx      context.Context //nolint:containedctx // of the calls that arrive; ends with the connection
	cancel   context.CancelCauseFunc
	cut      func()
	from     string        // the caller's incarnation
	known    names         // the reader's
	taken    atomic.Uint64 // how many frames have come in

	serving map[uint64]context.CancelFunc // guarded by mu: the calls that somebody waits for
	live    int                           // guarded by mu: how many calls run
	slack   chan struct{}                 // guarded by mu: closed when fewer do; nil: the reader does not wait
	owed    uint64                        // guarded by mu: the pong that says that all answers have arrived
}

func newCallee(e *endpoint, s rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]) *callee {
	c := &callee{endpoint: e, stream: s, cut: cutter(s.Context()), known: names{}, serving: map[uint64]context.CancelFunc{}}
	c.init(e.clock(), &e.transport.buffers, e.transport.bounds())
	c.ctx, c.cancel = context.WithCancelCause(e.base)
	return c
}

// serve is the connection's reader.
func (c *callee) serve() {
	err := garbage("nothing: the handler has ended the reader")
	defer func() { c.fail(err) }()
	if err = c.shakeHands(); err != nil {
		return
	}
	err = garbage("nothing: the handler has ended the reader")
	c.endpoint.wg.Go(func() { c.fail(c.write(c.stream)) })
	err = c.receive(c.stream, c.take, func() {})
}

// shakeHands does the callee's part of the handshake. An error ends the connection.
func (c *callee) shakeHands() error {
	first, err := c.stream.Recv()
	if err != nil {
		return err
	}
	c.heard.Store(true)
	e := c.endpoint
	from, refused := examine(e.self, first.GetHello())
	if refused == nil && e.drains() {
		refused = refusal(pb.Refusal_WHY_DRAINING, "the node is stopping")
	}
	if refused != nil {
		e.logger().WarnContext(c.ctx, "a link was refused", "remote", remote(c.stream.Context()),
			"from", from.String(), "why", string(refused.GetText()))
		if err := c.stream.Send(&pb.LinkResponse{Refusal: refused}); err != nil {
			return err
		}
		return errRefused
	}
	c.from = from.Incarnation
	return c.stream.Send(welcome(e.self))
}

// drains says whether no more calls are accepted.
func (e *endpoint) drains() bool { return intake(e.intake.Load()) != takesAll }

// fail breaks the connection.
func (c *callee) fail(why error) {
	c.mu.Lock()
	first := c.breakLocked(why)
	c.mu.Unlock()
	if first {
		c.cancel(transport.ErrBroken)
	}
}

// take takes in one frame.
func (c *callee) take(sentAt uint64, k kind, payload []byte) error {
	c.taken.Add(1)
	switch k {
	case kindCall:
		number, call, err := readCall(payload, sentAt, c.known)
		if err != nil {
			return err
		}
		call.From = c.from
		return c.accept(number, call)
	case kindCancel:
		number, err := readNumber(payload)
		if err != nil {
			return err
		}
		c.mu.Lock()
		cancel := c.serving[number]
		c.mu.Unlock()
		if cancel != nil {
			cancel()
		}
		return nil
	default:
		return c.control(k, payload)
	}
}

// accept takes in a call. An error breaks the link.
func (c *callee) accept(number uint64, call *transport.Call) error {
	e, oneWay := c.endpoint, call.OneWay
	if !e.enter(oneWay) {
		c.refuse(number, call)
		return nil
	}
	ctx, cancel := c.contextOf(call)
	over := func() {
		c.forget(number)
		cancel()
		e.calls.End()
	}
	if refused, err := c.note(number, cancel); refused || err != nil {
		cancel()
		e.calls.End()
		if refused {
			c.overloaded(number, call)
		}
		return err
	}
	accepted := false
	defer func() {
		if !accepted { // the handler has ended this goroutine
			over()
		}
	}()
	run := transport.Accept(ctx, e.handler, call, e.logger())
	accepted = true
	go run(func(r *transport.Reply) {
		defer over()
		if !oneWay {
			c.answer(number, r)
		}
	})
	return nil
}

// contextOf is the context of a call: a one-way call outlives the connection.
func (c *callee) contextOf(call *transport.Call) (context.Context, context.CancelFunc) {
	parent := c.ctx
	if call.OneWay {
		parent = c.endpoint.base
	}
	if call.Timeout != 0 {
		return context.WithTimeout(parent, call.Timeout)
	}
	return context.WithCancel(parent)
}

// refuse answers a call that is not accepted because the endpoint drains.
func (c *callee) refuse(number uint64, call *transport.Call) {
	if call.OneWay {
		c.endpoint.logger().WarnContext(c.ctx, "a one-way call came too late",
			"from", c.from, "object", call.ID, "method", call.Method)
		return
	}
	if c.admit(c.ctx, false) == nil {
		c.owed = c.pinged + 1
		c.frameLocked(func(b []byte) []byte { return appendNumbered(b, kindRefusal, number) })
		c.mu.Unlock()
	}
}

// overloaded answers a call that is one too many.
func (c *callee) overloaded(number uint64, call *transport.Call) {
	c.answer(number, &transport.Reply{Err: object.Refuse(object.CodeResourceExhausted, object.Overloaded,
		call.Op.String(), call.ID, call.Method, "the link has too many calls under way")})
}

// note keeps how to cancel a call. If there are too many it is refused, and one that nobody waits for waits itself.
func (c *callee) note(number uint64, cancel context.CancelFunc) (refused bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case number == 0:
		c.awaitSlackLocked()
	case c.live >= c.bounds.calls:
		return true, nil
	case c.serving[number] != nil:
		return false, garbage("a call with the number of another")
	default:
		c.serving[number] = cancel
	}
	c.live++
	return false, nil
}

// awaitSlackLocked holds up the reader, and so in time the caller, while too many calls run.
func (c *callee) awaitSlackLocked() {
	for c.live >= c.bounds.calls && c.why == nil {
		slack := make(chan struct{})
		c.slack = slack
		c.busy.Store(true)
		c.mu.Unlock()
		select {
		case <-slack:
		case <-c.broken:
		}
		c.mu.Lock()
		c.busy.Store(false)
	}
}

// forget is told that a noted call has ended.
func (c *callee) forget(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live--
	if c.slack != nil {
		close(c.slack)
		c.slack = nil
	}
	if number != 0 {
		delete(c.serving, number)
	}
}

// answer sends a reply, or drops it if the connection breaks first.
func (c *callee) answer(number uint64, r *transport.Reply) {
	var own *[]byte
	if size := r.Size(); size >= alone {
		buffer := make([]byte, prefixBytes, prefixBytes+size+leastBuffer)
		buffer = appendReply(buffer, number, r)
		own = &buffer
	}
	if c.admit(c.ctx, false) != nil {
		return
	}
	defer c.mu.Unlock()
	c.owed = c.pinged + 1
	if own == nil {
		c.frameLocked(func(b []byte) []byte { return appendReply(b, number, r) })
		return
	}
	s := c.addLocked(own)
	s.full = true
	c.committedLocked(s, len(*own))
}
