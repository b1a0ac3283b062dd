package grpc

import (
	"context"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// accept takes in a call. An error breaks the link.
func (c *callee) accept(number uint64, call *transport.Call) error {
	e := c.endpoint
	if !e.enter(call.OneWay) {
		c.refuse(number, call)
		return nil
	}
	ctx, cancel := c.contextOf(call)
	if refused, err := c.note(number, cancel); refused || err != nil {
		cancel()
		e.calls.End()
		if refused {
			c.overloaded(number, call)
		}
		return err
	}
	s := &served{callee: c, number: number, cancel: cancel}
	defer func() {
		if s.accepted == nil { // the handler has ended this goroutine
			s.over()
		}
	}()
	s.accepted = transport.Accept(ctx, e.handler, call, e.logger())
	e.workers.run(s)
	return nil
}

// served is a call that was accepted.
type served struct {
	callee   *callee
	number   uint64 // 0: nobody waits for the reply
	cancel   context.CancelFunc
	accepted func(done func(*transport.Reply))
}

// run runs the call.
func (s *served) run() { s.accepted(s.done) }

// done takes the reply.
func (s *served) done(r *transport.Reply) {
	defer s.over()
	if s.number != 0 {
		s.callee.answer(s.number, r)
	}
}

// over is the end of the call.
func (s *served) over() {
	s.callee.forget(s.number)
	s.cancel()
	s.callee.endpoint.calls.End()
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
