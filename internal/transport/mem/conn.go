package mem

import (
	"context"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// conn is a connection that a link has made. It breaks once.
type conn struct {
	net         *Network
	from        transport.Peer
	to          *endpoint
	there, back *pipe
	broken      chan struct{} // closed when the connection has broken

	silent bool          // guarded by net.mu: the two sides do not hear of each other
	since  time.Duration // guarded by net.mu: when that began, on the clock's monotonic scale

	mu      sync.Mutex // guards the fields below
	why     error      // it broke; nil while it holds
	count   uint64     // the number of the last call
	pending map[uint64]chan outcome
	serving map[uint64][]*served // more than one: a duplicate
}

// outcome is how a call ends for its caller: with a reply, or with why there is none.
type outcome struct {
	reply    *transport.Reply
	why      error
	executed object.Execution
}

// served is a call that runs on the callee. Its fields do not change.
type served struct{ cancel context.CancelCauseFunc }

func newConn(n *Network, from transport.Peer, to *endpoint) *conn {
	c := &conn{
		net: n, from: from, to: to, broken: make(chan struct{}),
		pending: map[uint64]chan outcome{}, serving: map[uint64][]*served{},
	}
	w := way{from.Address, to.self.Address}
	c.there, c.back = newPipe(n, w, c.broken), newPipe(n, w.back(), c.broken)
	return c
}

// start runs the connection's goroutines.
func (c *conn) start(wg *sync.WaitGroup) {
	for _, p := range []*pipe{c.there, c.back} {
		wg.Go(func() {
			defer c.fail(transport.ErrBroken, transport.ErrBroken) // a handler may end the goroutine
			p.carry()
		})
	}
	wg.Go(c.watch)
}

// holds says whether the connection has not broken.
func (c *conn) holds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why == nil
}

// flight is a call that was sent. It implements transport.Flight.
type flight struct {
	conn     *conn
	call     *transport.Call // of the connection's own
	number   uint64
	done     <-chan outcome // nil: nobody waits
	to       transport.Peer
	deadline time.Time // ends it, if its context does not before; zero: never
}

// Wait implements transport.Flight.
func (f *flight) Wait(ctx context.Context) (*transport.Reply, error) {
	ctx, cancel := limit(ctx, f.deadline)
	defer cancel()
	var o outcome
	select {
	case o = <-f.done:
	case <-ctx.Done():
		if f.abandon() {
			return nil, transport.Fail(transport.Ended(ctx), object.ExecutedUnknown, f.to, nil)
		}
		o = <-f.done
	}
	if o.why != nil {
		return nil, transport.Fail(o.why, o.executed, f.to, nil)
	}
	return o.reply, nil
}

// Land implements transport.Flight: the memory is the collector's business.
func (*flight) Land() {}

// request sends a call, which belongs to the connection, or says why it was not sent.
func (c *conn) request(call *transport.Call) (*flight, error) {
	if err := c.to.calls.refusal(); err != nil { // it has said goodbye
		return nil, err
	}
	c.mu.Lock()
	if c.why != nil {
		c.mu.Unlock()
		return nil, c.why
	}
	c.count++
	f := &flight{conn: c, call: call, number: c.count}
	if !call.OneWay {
		done := make(chan outcome, 1)
		c.pending[f.number] = done
		f.done = done
	}
	c.mu.Unlock()
	c.there.push(message{from: callerOf(call), deliver: func() { c.to.accept(c, f.number, copyCall(call)) }})
	return f, nil
}

// abandon tells the callee that nobody waits for the call. It is false if the call has got its outcome.
func (f *flight) abandon() bool {
	c := f.conn
	c.mu.Lock()
	_, waits := c.pending[f.number]
	delete(c.pending, f.number)
	c.mu.Unlock()
	if waits {
		c.there.push(message{from: callerOf(f.call), deliver: func() { c.cancel(f.number) }})
	}
	return waits
}

func callerOf(call *transport.Call) sender {
	s := sender{object: call.ID}
	if n := len(call.Chain); n > 0 {
		s.turn = call.Chain[n-1].Turn
	}
	return s
}

// answer sends an outcome back; gone is called when it has arrived, or cannot any more.
func (c *conn) answer(number uint64, o outcome, gone func()) {
	c.back.push(message{from: sender{reply: number}, gone: gone, deliver: func() { c.resolve(number, o) }})
}

// resolve gives a call its outcome, unless it has one.
func (c *conn) resolve(number uint64, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done, waits := c.pending[number]; waits {
		delete(c.pending, number)
		done <- o
	}
}

// begin notes a call that runs on the callee; false if the connection has broken.
func (c *conn) begin(number uint64, s *served) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return false
	}
	c.serving[number] = append(c.serving[number], s)
	return true
}

// end forgets a call that ran on the callee.
func (c *conn) end(number uint64, s *served) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var others []*served
	for _, o := range c.serving[number] {
		if o != s {
			others = append(others, o)
		}
	}
	if others == nil {
		delete(c.serving, number)
	} else {
		c.serving[number] = others
	}
}

// cancel ends the context of a call that runs on the callee.
func (c *conn) cancel(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.serving[number] {
		s.cancel(context.Canceled)
	}
}

// fail breaks the connection: calls under way end with why and may have run, the contexts of those that are served
// end with the cause served.
func (c *conn) fail(why, served error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return
	}
	c.why = why
	close(c.broken)
	c.net.forget(c)
	for number, done := range c.pending {
		delete(c.pending, number)
		done <- outcome{why: why, executed: object.ExecutedUnknown}
	}
	for _, calls := range c.serving {
		for _, s := range calls {
			s.cancel(served)
		}
	}
}

// watch breaks the connection when the two sides have not heard of each other for too long.
func (c *conn) watch() {
	for {
		left, silent, changed := c.net.patience(c)
		if silent && left <= 0 {
			c.fail(transport.ErrBroken, transport.ErrBroken)
			return
		}
		if !c.endures(left, silent, changed) {
			return
		}
	}
}

// endures waits until there may be something to do; false if the connection has broken.
func (c *conn) endures(left time.Duration, silent bool, changed <-chan struct{}) bool {
	var over <-chan time.Time
	if silent {
		timer := c.net.clock.NewTimer(left)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-changed:
	case <-c.broken:
		return false
	}
	return true
}
