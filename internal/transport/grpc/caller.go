package grpc

import (
	"context"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// outcome is how a call ends for its caller: with a reply, or with why there is none.
type outcome struct {
	reply    *transport.Reply
	why      error
	executed object.Execution
}

// waiter is a call that waits for its outcome. It is used again for others.
type waiter struct {
	done   chan outcome // capacity 1
	number uint64
	due    time.Duration // when it is given up, on the scale of sent_at; 0: never
	sent   *segment      // holds the call's frame; valid until it is handed over
	at     int           // where in there
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
	known    names      // the reader's
	arrived  []delivery // the reader's
	draining bool       // guarded by mu: the peer takes no calls any more
	slots    []slot     // guarded by mu
	alarm    alarm      // guarded by mu
	vacant   []uint32   // guarded by mu: slots without a waiter
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
	if err := c.admit(ctx, !oneWay); err != nil {
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
		if b.own {
			c.armLocked(w, h.deadline)
		}
	}
	if size := call.Size(); size >= alone {
		c.mu.Unlock()
		return w, c.beginAlone(ctx, w, h, call, size)
	}
	s := c.growLocked()
	before := len(*s.buffer)
	if w != nil {
		w.sent, w.at = s, before
	}
	*s.buffer = appendCall(*s.buffer, h, call)
	c.committedLocked(s, before)
	c.mu.Unlock()
	return w, nil
}

// beginAlone sends a large call, which it encodes while others send theirs.
func (c *caller) beginAlone(ctx context.Context, w *waiter, h callHeader, call *transport.Call, size int) error {
	buffer := make([]byte, prefixBytes, prefixBytes+size+leastBuffer)
	buffer = appendCall(buffer, h, call)
	if err := c.admit(ctx, false); err != nil {
		c.retreat(w)
		return err
	}
	if c.draining { // since it was encoded: behind the pong nobody would read it
		c.mu.Unlock()
		c.retreat(w)
		return transport.ErrDraining
	}
	defer c.mu.Unlock()
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

// release makes a waiter without an outcome ready for another call.
func (c *caller) release(w *waiter) {
	w.number, w.sent, w.due = 0, nil, 0
	c.waiters.Put(w)
}

// await is the outcome of a call that was sent.
func (c *caller) await(ctx context.Context, w *waiter) outcome {
	var o outcome
	select {
	case o = <-w.done:
	case <-ctx.Done():
		o = c.abandon(ctx, w)
	}
	c.release(w)
	return o
}

// abandon ends the waiting for a call, unless it has got its outcome.
func (c *caller) abandon(ctx context.Context, w *waiter) outcome {
	c.mu.Lock()
	if c.leaveLocked(w.number) == nil {
		c.mu.Unlock()
		return <-w.done
	}
	defer c.mu.Unlock()
	return outcome{why: transport.Ended(ctx), executed: c.giveUpLocked(w)}
}

// giveUpLocked takes a call back whose waiter has left, or has it cancelled.
func (c *caller) giveUpLocked(w *waiter) object.Execution {
	if w.sent != nil && w.sent.number > c.handed {
		c.withdrawLocked(w.sent, w.at)
		return object.ExecutedNo
	}
	c.frameLocked(func(b []byte) []byte { return appendNumbered(b, kindCancel, w.number) })
	return object.ExecutedUnknown
}

// standLocked gives a new waiter a slot.
func (c *caller) standLocked() *waiter {
	w, ok := c.waiters.Get().(*waiter)
	if !ok {
		w = &waiter{done: make(chan outcome, 1)}
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
	c.vacant = append(c.vacant, i)
	c.flights--
	if c.flights == c.bounds.calls-1 {
		c.roomLocked()
	}
	return w
}

// take takes in one frame.
func (c *caller) take(_ uint64, k kind, payload []byte) error {
	switch k {
	case kindReply:
		number, reply, err := readReply(payload, c.known)
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
	c.mu.Lock()
	for i := range c.arrived {
		d := &c.arrived[i]
		d.waiter = c.leaveLocked(d.number)
	}
	c.mu.Unlock()
	for _, d := range c.arrived {
		if d.waiter != nil { // else nobody waits any more
			d.waiter.done <- d.outcome
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
			if w.sent == nil || w.sent.number > c.handed {
				o.executed = object.ExecutedNo
			}
			left = append(left, delivery{number: w.number, outcome: o, waiter: w})
		}
	}
	for _, d := range left {
		c.leaveLocked(d.number)
	}
	c.alarm.stop()
	c.mu.Unlock()
	c.cut()
	for _, d := range left {
		d.waiter.done <- d.outcome
	}
}
