package grpc

import (
	"context"
	"sync"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// slot is where a waiter stands: the lower half of its call's number. The upper half tells the calls apart that have
// stood there one after the other.
type slot struct {
	turn   uint32
	waiter *waiter
	vigil  *vigil // looks out for the end of its context; nil: it does itself
}

// caller is the calling side of a connection.
type caller struct {
	duplex

	to       transport.Peer
	stream   stream
	cut      func() // ends the stream at once; may be called again
	free     func() // what is left to do when the stream has ended
	waiters  *sync.Pool
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
	payload []byte // of a reply, where the outcome does not say why there is none
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
func (c *caller) begin(ctx context.Context, call *transport.Call, oneWay bool, b *bound) (*waiter, error) {
	size := call.Size()
	if err := c.admit(ctx, ask{call: !oneWay, large: size >= large, object: call.ID}); err != nil {
		return nil, err
	}
	if c.draining {
		c.mu.Unlock()
		return nil, transport.ErrDraining
	}
	var h callHeader
	w, over := c.enterLocked(&h, oneWay, b)
	switch {
	case over:
		c.mu.Unlock()
		w.Land()
		return nil, errOver
	case size >= alone:
		c.mu.Unlock()
		return w, c.beginAlone(ctx, w, h, call, size)
	case c.byLaneLocked(ask{object: call.ID}):
		c.queueBulkLocked(w, appendCall(nil, &h, call, nil), call)
	default:
		c.queueLocked(w, &h, call)
	}
	c.mu.Unlock()
	return w, nil
}

// enterLocked makes the header of a call, and gives it a waiter, if somebody waits: one who has left again, if it is over
// already.
func (c *caller) enterLocked(h *callHeader, oneWay bool, b *bound) (w *waiter, over bool) {
	if !b.deadline.IsZero() {
		h.limited, h.deadline = true, b.deadline.Sub(c.begun)
	}
	if oneWay {
		return nil, false
	}
	w = c.standLocked()
	h.number = w.number
	c.watchLocked(w, b)
	if over = b.own && c.armLocked(w, h.deadline); over {
		c.leaveLocked(w.number)
	}
	return w, over
}

// queueLocked queues the frame of a call that is small.
func (c *caller) queueLocked(w *waiter, h *callHeader, call *transport.Call) {
	s := c.growLocked()
	c.sayLocked(s, call.Method, call.Message)
	before := len(*s.buffer)
	if w != nil {
		w.sent, w.at = s, before
	}
	*s.buffer = appendCall(*s.buffer, h, call, c.said)
	c.committedLocked(s, before)
	if w != nil && c.flights == 1 && c.company.Expected() <= 0 {
		c.sendOffLocked() // there is no company to wait for
	}
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
	buffer = appendCall(buffer, &h, call, nil)
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
	w.Land()
}

// abandon ends the waiting for a call, unless it has got its outcome.
func (c *caller) abandon(ctx context.Context, w *waiter) {
	c.mu.Lock()
	if c.leaveLocked(w.number) == nil {
		c.mu.Unlock()
		<-w.done
		return
	}
	defer c.mu.Unlock()
	w.end = outcome{why: transport.Ended(ctx), executed: c.giveUpLocked(w)}
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
	w.conn, w.sent, w.bulk, w.due = c, nil, nil, 0
	var i uint32
	if n := len(c.vacant); n > 0 {
		i, c.vacant = c.vacant[n-1], c.vacant[:n-1]
	} else {
		i = uint32(len(c.slots)) //nolint:gosec // G115: bounded
		c.slots = append(c.slots, slot{})
	}
	s := &c.slots[i]
	s.turn++
	w.calls++
	s.waiter = w
	w.number = uint64(s.turn)<<32 | uint64(i)
	c.flights++
	return w
}

// leaveLocked takes the waiter of a number out of its slot; nil if it has left. It does not look at the waiter, which may
// be far from the processor.
func (c *caller) leaveLocked(number uint64) *waiter {
	i := uint32(number) //nolint:gosec // G115: the lower half
	if uint64(i) >= uint64(len(c.slots)) {
		return nil
	}
	s := &c.slots[i]
	w := s.waiter
	if w == nil || uint64(s.turn) != number>>32 {
		return nil
	}
	s.waiter = nil
	if s.vigil != nil {
		s.vigil.relying--
		s.vigil = nil
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
		r := cursor{rest: payload}
		c.arrived = append(c.arrived, delivery{number: r.uvarint(), payload: payload})
		return nil // what else is in there is looked at when it is known for whom it is
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

// deliver gives the callers what has arrived for them. The error is that a reply is not understood.
func (c *caller) deliver() error {
	if len(c.arrived) == 0 {
		return nil
	}
	c.mu.Lock()
	for i := range c.arrived {
		d := &c.arrived[i]
		d.waiter = c.leaveLocked(d.number)
	}
	c.mu.Unlock()
	var bad error
	woken := 0
	for i := range c.arrived {
		d := &c.arrived[i]
		if err := c.hand(d, bad); bad == nil {
			bad = err
		}
		if d.waiter != nil && d.waiter.expected {
			woken++
		}
	}
	c.company.Expect(woken)
	for _, d := range c.arrived {
		if d.waiter != nil { // else nobody waits any more
			d.waiter.tell()
		}
	}
	clear(c.arrived)
	c.arrived = c.arrived[:0]
	return bad
}

// hand writes an outcome to its waiter. What has come behind a reply that is not understood does not count.
func (c *caller) hand(d *delivery, bad error) error {
	w := d.waiter
	if w == nil {
		w = new(waiter) // whose reply nobody wants, but it must be one
	}
	w.end, w.expected = d.outcome, w.waits.Load() == w.calls
	if w.end.why == nil && bad == nil {
		if bad = readReply(d.payload, c.known, w); bad != nil {
			w.reply = transport.Reply{}
		}
	}
	if bad != nil {
		w.end = outcome{why: because(transport.ErrBroken, bad), executed: object.ExecutedUnknown}
	}
	return bad
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
		d.waiter.giveUp(d.outcome)
	}
}
