package grpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

// outcome is how a call ends for its caller: with a reply, or with why there is none.
type outcome struct {
	reply    *transport.Reply
	why      error
	executed object.Execution
}

// waiter is a call that waits for its outcome. It is used again for others.
type waiter struct {
	done   chan struct{} // capacity 1: the outcome is there
	number uint64
	ended  <-chan struct{} // of its context; nil: others look out for that, or it does not end
	vigil  *vigil          // guarded by the connection's mu: looks out for that; nil: it does itself
	due    time.Duration   // when it is given up, on the scale of sent_at; 0: never
	bulk   *bulk           // holds the call's frame in the lane; nil: it is not there
	sent   *segment        // holds the call's frame; valid until it is handed over
	at     int             // where in there

	follower ends.Follower // of its context, where that is a source; tells who waits
	conn     *caller       // whose the call is, for the follower

	outcome  outcome // written before done is told
	expected bool    // it may have another call when it has been told; written before, too
}

// tell gives the call its outcome. It does not go over the channel, which would write it to the stack of who waits.
func (w *waiter) tell(o outcome) {
	w.outcome = o
	w.done <- struct{}{}
}

// slot is where a waiter stands: the lower half of its call's number. The upper half tells the calls apart that have
// stood there one after the other.
type slot struct {
	turn   uint32
	waiter *waiter
}

// caller is the calling side of a connection.
type caller struct {
	duplex

	stream   stream
	cut      func() // ends the stream at once; may be called again
	free     func() // what is left to do when the stream has ended
	waiters  *sync.Pool
	replies  *replies
	arrived  []delivery // the reader's
	draining bool       // guarded by mu: the peer takes no calls any more
	slots    []slot     // guarded by mu
	alarm    alarm      // guarded by mu
	vacant   []uint32   // guarded by mu: slots without a waiter
	vigil    *vigil     // guarded by mu: of many calls; nil: of none

	last <-chan struct{} // guarded by mu: what ends a call that came lately
}

// delivery is an outcome on its way to its caller.
type delivery struct {
	number  uint64
	outcome outcome
	waiter  *waiter
}

// run starts the connection's goroutines.
func (c *caller) run(wg *sync.WaitGroup) {
	wg.Go(func() {
		defer c.free()
		c.fail(because(transport.ErrBroken, c.receive(c.stream, c.take, c.deliver)))
	})
	wg.Go(c.usher)
	wg.Go(func() { c.fail(because(transport.ErrBroken, c.write(c.stream))) })
}

// holds says whether the connection has not broken.
func (c *caller) holds() bool {
	select {
	case <-c.broken:
		return false
	default:
		return true
	}
}

// begin sends a call and returns who waits for it; nil for one that nobody waits for. An error means that it was not
// sent: errNotNow where ctx is nil and it would have to wait, for which the call must be small.
func (c *caller) begin(ctx context.Context, call *transport.Call, oneWay bool, b bound) (*waiter, error) {
	size := call.Size()
	if err := c.admit(ctx, ask{call: !oneWay, large: size >= large, object: call.ID}); err != nil {
		return nil, err
	}
	if c.draining {
		c.mu.Unlock()
		return nil, transport.ErrDraining
	}
	h := callHeader{limited: !b.deadline.IsZero(), deadline: b.deadline.Sub(c.begun)}
	var w *waiter
	if !oneWay {
		w = c.standLocked()
		h.number = w.number
		c.watchLocked(w, b)
		if b.own && c.armLocked(w, h.deadline) {
			c.leaveLocked(w.number)
			c.mu.Unlock()
			c.release(w)
			return nil, errOver
		}
	}
	switch {
	case size >= alone:
		c.mu.Unlock()
		return w, c.beginAlone(ctx, w, h, call, size)
	case c.byLaneLocked(ask{object: call.ID}):
		c.queueBulkLocked(w, appendCall(nil, h, call, nil), call)
	default:
		s := c.growLocked()
		c.sayLocked(s, call.Method, call.Message)
		before := len(*s.buffer)
		if w != nil {
			w.sent, w.at = s, before
		}
		*s.buffer = appendCall(*s.buffer, h, call, c.said)
		c.committedLocked(s, before)
		if w != nil && c.flights == 1 && c.expected.Load() <= 0 {
			c.sendOffLocked() // there is no company to wait for
		}
	}
	c.mu.Unlock()
	return w, nil
}

// queueBulkLocked queues a call's frame in the lane.
func (c *caller) queueBulkLocked(w *waiter, frame []byte, call *transport.Call) {
	b := c.bulkLocked(frame, call.ID)
	if w != nil {
		w.bulk = b
	}
}

// beginAlone sends a large call, which it encodes while others send theirs.
func (c *caller) beginAlone(ctx context.Context, w *waiter, h callHeader, call *transport.Call, size int) error {
	buffer := make([]byte, prefixBytes, prefixBytes+size+leastBuffer)
	buffer = appendCall(buffer, h, call, nil)
	a := ask{large: size >= large, object: call.ID}
	if err := c.admit(ctx, a); err != nil {
		c.retreat(w)
		return err
	}
	if c.draining { // since it was encoded: behind the pong nobody would read it
		c.mu.Unlock()
		c.retreat(w)
		return transport.ErrDraining
	}
	defer c.mu.Unlock()
	if w != nil && c.slots[uint32(w.number)].waiter != w { //nolint:gosec // G115: the lower half
		return nil // its time was over meanwhile, and it has been told
	}
	if c.byLaneLocked(a) {
		c.queueBulkLocked(w, buffer[prefixBytes:], call)
		return nil
	}
	s := c.addLocked(&buffer)
	s.full = true
	if w != nil {
		w.sent, w.at = s, prefixBytes
	}
	c.committedLocked(s, len(buffer))
	return nil
}

// retreat takes back a waiter whose call was not sent.
func (c *caller) retreat(w *waiter) {
	if w == nil {
		return
	}
	c.mu.Lock()
	left := c.leaveLocked(w.number)
	c.mu.Unlock()
	if left == nil {
		<-w.done // the connection broke, and said so
	}
	c.release(w)
}

// release makes a waiter, whose outcome has been taken, ready for another call.
func (c *caller) release(w *waiter) {
	if w.expected {
		w.expected = false
		c.came()
	}
	w.number, w.sent, w.bulk, w.due, w.ended, w.conn = 0, nil, nil, 0, nil, nil
	w.outcome = outcome{}
	c.waiters.Put(w)
}

// await is the outcome of a call that was sent.
func (c *caller) await(ctx context.Context, w *waiter) outcome {
	var o outcome
	if w.ended == nil {
		<-w.done
		o = w.outcome
	} else {
		select {
		case <-w.done:
			o = w.outcome
		case <-w.ended:
			o = c.abandon(ctx, w)
		}
	}
	if w.conn != nil {
		w.follower.Leave()
		if o.why == errEnded { //nolint:errorlint // internal, never wrapped
			o.why = transport.Ended(ctx)
		}
	}
	c.release(w)
	return o
}

// errEnded stands for what has ended a call's context.
var errEnded = errors.New("the context has ended")

// follow has a call given up when its context ends.
func (c *caller) follow(w *waiter, ctx ends.Source) {
	w.conn, w.follower.Told = c, w
	if !ctx.Follow(&w.follower) {
		w.ended = ctx.Done()
	}
}

// Ended implements [ends.Told]: it gives the call up.
func (w *waiter) Ended(*ends.Follower) {
	c := w.conn
	c.mu.Lock()
	o, left := outcome{why: errEnded}, c.leaveLocked(w.number) != nil
	if left {
		o.executed = c.giveUpLocked(w)
	}
	c.mu.Unlock()
	if left {
		w.tell(o)
	}
}

// abandon ends the waiting for a call, unless it has got its outcome.
func (c *caller) abandon(ctx context.Context, w *waiter) outcome {
	c.mu.Lock()
	if c.leaveLocked(w.number) == nil {
		c.mu.Unlock()
		<-w.done
		return w.outcome
	}
	defer c.mu.Unlock()
	return outcome{why: transport.Ended(ctx), executed: c.giveUpLocked(w)}
}

// giveUpLocked takes a call back whose waiter has left, or has it cancelled.
func (c *caller) giveUpLocked(w *waiter) object.Execution {
	switch b := w.bulk; {
	case b == nil && w.sent == nil: // it is being encoded
		return object.ExecutedNo
	case b != nil && b.left == 0:
		c.lane.withdraw(b)
		return object.ExecutedNo
	case b != nil && b.left < len(b.frame): // behind it, or the callee would not know what is cancelled
		c.bulkLocked(appendNumbered(nil, kindCancel, w.number), "")
	case w.sent != nil && w.sent.number > c.handed:
		c.withdrawLocked(w.sent, w.at)
		return object.ExecutedNo
	default:
		c.frameLocked(func(b []byte) []byte { return appendNumbered(b, kindCancel, w.number) })
	}
	return object.ExecutedUnknown
}

// leftLocked says whether anything of a waiter's call was handed to gRPC.
func (c *caller) leftLocked(w *waiter) bool {
	if w.bulk != nil {
		return w.bulk.left > 0
	}
	return w.sent != nil && w.sent.number <= c.handed
}

// standLocked gives a new waiter a slot.
func (c *caller) standLocked() *waiter {
	w, ok := c.waiters.Get().(*waiter)
	if !ok {
		w = &waiter{done: make(chan struct{}, 1)}
	}
	var i uint32
	if n := len(c.vacant); n > 0 {
		i, c.vacant = c.vacant[n-1], c.vacant[:n-1]
	} else {
		i = uint32(len(c.slots)) //nolint:gosec // G115: bounded
		c.slots = append(c.slots, slot{})
	}
	s := &c.slots[i]
	s.turn++
	s.waiter = w
	w.number = uint64(s.turn)<<32 | uint64(i)
	c.flights++
	return w
}

// leaveLocked takes the waiter of a number out of its slot; nil if it has left.
func (c *caller) leaveLocked(number uint64) *waiter {
	i := uint32(number) //nolint:gosec // G115: the lower half
	if uint64(i) >= uint64(len(c.slots)) {
		return nil
	}
	s := &c.slots[i]
	w := s.waiter
	if w == nil || w.number != number {
		return nil
	}
	s.waiter = nil
	if w.vigil != nil {
		w.vigil.relying--
		w.vigil = nil
	}
	c.vacant = append(c.vacant, i)
	c.flights--
	if c.flights == c.bounds.calls-1 {
		open(&c.room.calls)
	}
	return w
}

// take takes in one frame.
func (c *caller) take(_ uint64, k kind, payload []byte) error {
	switch k {
	case kindReply:
		number, reply, err := readReply(payload, c.known, c.replies.get())
		c.arrived = append(c.arrived, delivery{number: number, outcome: outcome{reply: reply}})
		return err
	case kindRefusal:
		number, err := readNumber(payload)
		refused := outcome{why: transport.ErrDraining, executed: object.ExecutedNo}
		c.arrived = append(c.arrived, delivery{number: number, outcome: refused})
		return err
	case kindGoodbye:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.draining = true
		return nil
	default:
		return c.control(k, payload)
	}
}

// deliver gives the callers what has arrived for them.
func (c *caller) deliver() {
	if len(c.arrived) == 0 {
		return
	}
	woken := 0
	c.mu.Lock()
	for i := range c.arrived {
		d := &c.arrived[i]
		if d.waiter = c.leaveLocked(d.number); d.waiter != nil {
			d.waiter.expected = true
			woken++
		}
	}
	c.mu.Unlock()
	c.expect(woken)
	for _, d := range c.arrived {
		if d.waiter != nil { // else nobody waits any more
			d.waiter.tell(d.outcome)
		}
	}
	clear(c.arrived)
	c.arrived = c.arrived[:0]
}

// fail breaks the connection. The calls under way end: those that were not handed to gRPC have not been executed.
func (c *caller) fail(why error) {
	c.mu.Lock()
	if !c.breakLocked(why) {
		c.mu.Unlock()
		return
	}
	var left []delivery
	for _, s := range c.slots {
		if w := s.waiter; w != nil {
			o := outcome{why: why, executed: object.ExecutedUnknown}
			if !c.leftLocked(w) {
				o.executed = object.ExecutedNo
			}
			left = append(left, delivery{number: w.number, outcome: o, waiter: w})
		}
	}
	for _, d := range left {
		c.leaveLocked(d.number)
	}
	c.alarm.stop()
	c.dismissLocked()
	c.mu.Unlock()
	c.cut()
	for _, d := range left {
		d.waiter.tell(d.outcome)
	}
}
