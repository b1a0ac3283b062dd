package grpc

import (
	"errors"
	"runtime"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// keptSteps is how large the memory of a chain may be that is kept for the next.
const keptSteps = 8

// overloadedRetry is after what time a caller should try again that has as many calls under way as a link may.
const overloadedRetry = 100 * time.Millisecond

// served is a call that has arrived. Its context is not part of it: that may be kept for longer than the call, and the
// memory of the call is used again where its handler gives it back.
type served struct {
	ctx *callContext

	callee *callee
	number uint64 // 0: nobody waits for the reply
	call   transport.Call
	guard  transport.Guard
	answer func(*transport.Reply) // done

	forgotten bool             // guarded by callee.mu
	spent     bool             // the handler has given it back
	idBytes   int              // how long the object's ID is, until acceptRead; 0: it is there
	body      []byte           // memory for that of the call
	chain     []transport.Step // the same
}

// served is one to begin with.
func (c *callee) served() *served {
	s, ok := c.endpoint.transport.served.Get().(*served)
	if !ok {
		s = new(served)
		s.answer = s.done // once, for all calls
	}
	s.callee, s.call.Body, s.call.Chain = c, s.body, s.chain
	return s
}

// recycle keeps the memory of a call for another one. Nobody else knows it any more.
func (s *served) recycle() {
	pool, body, chain := &s.callee.endpoint.transport.served, s.body, s.chain
	if b := s.call.Body; cap(b) > cap(body) && cap(b) <= keptBody {
		body = b
	}
	if c := s.call.Chain; cap(c) > cap(chain) && cap(c) <= keptSteps {
		chain = c
	}
	clear(chain[:cap(chain)]) // of strings
	*s = served{call: transport.Call{Local: s.call.Local}, answer: s.answer, body: body[:0], chain: chain[:0]}
	pool.Put(s)
}

// accept takes in a call of [callee.acceptRead]. It runs when [callee.runAccepted] says so. An error breaks the link.
func (c *callee) accept(s *served) error {
	e := c.endpoint
	if !e.enter(s.call.OneWay) {
		c.refuse(s.number, &s.call)
		return nil
	}
	if s.call.Timeout != 0 {
		s.ctx.deadline = max(c.arrived()+s.call.Timeout, 1)
	}
	if s.call.OneWay { // it outlives the connection
		s.ctx.root = &e.oneWays
		if s.ctx.deadline != 0 {
			s.ctx.deadline = max(s.ctx.deadline+c.root.zero-e.oneWays.zero, 1)
		}
	}
	if refused, err := c.note(s); refused || err != nil {
		s.ctx.end()
		e.calls.End()
		if refused {
			c.overloaded(s)
		}
		return err
	}
	accepted := false
	defer func() {
		if !accepted { // the handler has ended this goroutine
			s.over()
		}
	}()
	if c.waited {
		c.foresee(c.coming)
	}
	s.guard.Accept(s.ctx, e.handler, &s.call, e.logger())
	accepted = true
	if c.accepted = append(c.accepted, s); len(c.accepted) >= handful {
		c.handOver()
		c.giveWay()
	}
	return nil
}

// giveWay lets calls begin that were handed over, where there is one processor: once in a message, as on a processor that
// is busy with other things it may take long. The peer has been heard all the same.
func (c *callee) giveWay() {
	if c.gaveWay {
		return
	}
	c.gaveWay = true
	runtime.Gosched()
	c.waited = true
	c.heard.Store(true)
}

// runAccepted has the calls run that were accepted and have not begun.
func (c *callee) runAccepted() {
	c.at, c.gaveWay = 0, false
	c.handOver()
}

// handOver gives the crew what was accepted, many at a time, so that one goroutine may run them all.
func (c *callee) handOver() {
	if len(c.accepted) > 0 {
		c.company.Expect(len(c.accepted))
		c.endpoint.crew.Go(c.accepted...)
		clear(c.accepted)
		c.accepted = c.accepted[:0]
	}
}

// arrived is, on the scale of the root, when the message that is being read would have come had it not waited on its way.
func (c *callee) arrived() time.Duration {
	if c.at == 0 {
		now := c.root.now()
		c.at = max(now-c.transit.late(now, c.sentAt), 1)
	}
	return c.at
}

// run runs the call.
func (s *served) run() {
	s.callee.company.Came()
	s.guard.Run(s.answer)
	if s.spent {
		s.recycle()
	}
}

// done takes the reply.
func (s *served) done(r *transport.Reply) {
	if s.number == 0 || !s.callee.answer(s, r) {
		s.callee.forget(s)
	}
	s.end()
	if s.spent = r.Spent != nil; s.spent {
		r.Spent()
	}
}

// over is the end of a call that nothing runs.
func (s *served) over() {
	s.callee.forget(s)
	s.end()
}

// end is the end of a call that was forgotten.
func (s *served) end() {
	s.ctx.end()
	s.callee.endpoint.calls.End()
}

// refuse answers a call that is not accepted because the endpoint drains.
func (c *callee) refuse(number uint64, call *transport.Call) {
	if call.OneWay {
		c.endpoint.logger().WarnContext(c.root.ctx, "a one-way call came too late",
			"from", c.from, "object", call.ID, "method", call.Method)
		return
	}
	c.reply(func(b []byte) []byte { return appendNumbered(b, kindRefusal, number) })
}

// reply has the reader answer with a small frame. Where it has to wait for room it does not let others wait for what it
// has accepted.
func (c *callee) reply(add func([]byte) []byte) {
	err := c.admit(nil, ask{}) //nolint:staticcheck // SA1012: no context says that it does not wait
	if errors.Is(err, errNotNow) {
		c.blocked.Store(true)
		c.waited = true
		c.runAccepted()
		err = c.admit(c.root.ctx, ask{})
		c.blocked.Store(false)
	}
	if err == nil {
		c.owed = c.pinged + 1
		c.frameLocked(add)
		c.mu.Unlock()
	}
}

// overloaded answers a call that is one too many.
func (c *callee) overloaded(s *served) {
	err := object.Refuse(object.CodeResourceExhausted, object.Overloaded,
		s.call.Op.String(), s.call.ID, s.call.Method, "the link has too many calls under way")
	err.RetryAfter = overloadedRetry
	c.reply(func(b []byte) []byte { return appendReply(b, s.number, &transport.Reply{Err: err}, nil) })
}

// note keeps a call, so that it can be cancelled. If there are too many it is refused, and one that nobody waits for
// waits itself.
func (c *callee) note(s *served) (refused bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.number == 0:
		if err := c.awaitSlackLocked(); err != nil {
			return false, err
		}
	case c.live >= c.bounds.calls:
		return true, nil
	case !c.serving.add(s):
		return false, garbage("a call with the number of another")
	}
	c.live++
	return false, nil
}

// stuckAfter is how many times Keepalive the reader waits for room.
const stuckAfter = 6

// errStuck breaks a link whose calls do not end: they may be waiting to be cancelled, which is read behind what waits.
var errStuck = errors.New("too many calls have been under way for too long")

// awaitSlackLocked holds up the reader, and so in time the caller, while too many calls run. An error breaks the link.
func (c *callee) awaitSlackLocked() error {
	if c.live < c.bounds.calls || c.why != nil {
		return nil
	}
	timer := c.clock.NewTimer(stuckAfter * c.endpoint.transport.cfg.Keepalive)
	defer timer.Stop()
	for c.live >= c.bounds.calls && c.why == nil {
		slack := make(chan struct{})
		c.slack = slack
		c.busy.Store(true)
		c.waited = true
		c.mu.Unlock()
		c.runAccepted() // it may be them who are waited for
		select {
		case <-slack:
		case <-c.broken:
		case <-timer.C:
			c.mu.Lock()
			return errStuck
		}
		c.mu.Lock()
		c.busy.Store(false)
	}
	return nil
}

// forget is told that a noted call has ended.
func (c *callee) forget(s *served) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(s)
}

func (c *callee) forgetLocked(s *served) {
	if s.forgotten {
		return
	}
	s.forgotten = true
	c.live--
	if c.slack != nil {
		close(c.slack)
		c.slack = nil
	}
	if s.number != 0 {
		c.serving.remove(s)
	}
}

// cancel ends the context of the call of a number, if it runs.
func (c *callee) cancelCall(number uint64) {
	var ctx *callContext
	c.mu.Lock()
	if s := c.serving.find(number); s != nil {
		ctx = s.ctx // s may be another call's when the lock is free
	}
	c.mu.Unlock()
	if ctx != nil {
		ctx.end()
	}
}

// answer sends the reply of a call, or drops it and is false, if nobody waits for it any more before there is room. The
// call is forgotten before it leaves: the caller may make another one as soon as it has the reply.
func (c *callee) answer(of *served, r *transport.Reply) (forgotten bool) {
	size := r.Size()
	if c.admit(of.ctx, ask{large: size >= large}) != nil {
		return false
	}
	defer c.mu.Unlock()
	c.forgetLocked(of)
	if size < alone {
		c.owed = c.pinged + 1
		c.sayLocked(c.growLocked(), r.Message)
		c.frameLocked(func(b []byte) []byte { return appendReply(b, of.number, r, c.said) })
		if c.live == 0 {
			c.sendOffLocked() // there is no company to wait for
		}
		return true
	}
	held := &c.queued // while it is encoded, beside what others do
	if size >= large {
		held = &c.lane.bytes
	}
	*held += size
	c.mu.Unlock()
	own := make([]byte, prefixBytes, prefixBytes+size+leastBuffer)
	own = appendReply(own, of.number, r, nil)
	c.mu.Lock()
	c.owed = c.pinged + 1 // not before: a pong to a ping that has left meanwhile says nothing of it
	*held -= size
	if size >= large {
		c.bulkLocked(own[prefixBytes:], "")
		return true
	}
	s := c.addLocked(&own)
	s.full = true
	c.committedLocked(s, len(own))
	return true
}
