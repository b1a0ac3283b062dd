package grpc

import (
	"context"

	"github.com/xiaonanln/goverse/internal/transport"
)

// vigilFrom is how many calls under way are worth a vigil.
const vigilFrom = 8

// vigil looks out for the end of a context that many calls of a connection have in common, such as a server's or a load
// generator's, so that not every one of them does: to wait for two channels, one of which all wait for, is most of what
// waiting costs. It ends with the connection, or some time after the last call that relies on it.
type vigil struct {
	ctx     context.Context //nolint:containedctx // it is what is looked at
	done    <-chan struct{} // the context's
	relying int             // guarded by the connection's mu: waiters
	stop    func() bool
}

// watchLocked has a new waiter's call given up when its context ends: by the vigil, if there is one for the context or
// the last two calls show that it is worth making it. Else the waiter looks out, for w.ended.
func (c *caller) watchLocked(w *waiter, b *bound) {
	w.ended = b.ended
	if w.ended == nil || c.flights < vigilFrom {
		return
	}
	v := c.vigil
	switch {
	case v != nil && v.done == w.ended:
	case v != nil && v.relying > 0 || c.last != w.ended:
		c.last = w.ended
		return
	default:
		c.dismissLocked()
		v = &vigil{ctx: b.ctx, done: w.ended}
		v.stop = context.AfterFunc(b.ctx, func() { c.endAll(v) })
		c.vigil = v
	}
	v.relying++
	c.slots[uint32(w.number)].vigil, w.ended = v, nil //nolint:gosec // G115: the lower half
}

// dismissLocked ends the vigil, on which nobody relies.
func (c *caller) dismissLocked() {
	if c.vigil != nil {
		c.vigil.stop()
		c.vigil = nil
	}
	c.last = nil
}

// endAll gives up the calls that rely on a vigil. It runs on a goroutine of the context's, which nobody needs to wait
// for: it waits for nothing but the connection's mutex.
func (c *caller) endAll(v *vigil) {
	c.mu.Lock()
	if c.vigil == v {
		c.vigil = nil // for those that come later it is too late
	}
	var over []delivery
	for _, s := range c.slots {
		if w := s.waiter; w != nil && s.vigil == v {
			over = append(over, delivery{number: w.number, waiter: w})
		}
	}
	for i := range over {
		d := &over[i]
		c.leaveLocked(d.number)
		d.outcome = outcome{why: transport.Ended(v.ctx), executed: c.giveUpLocked(d.waiter)}
	}
	c.mu.Unlock()
	for _, d := range over {
		d.waiter.giveUp(d.outcome)
	}
}

// beat is [duplex.beat]. A vigil on which nobody relies keeps no context for longer than that.
func (c *caller) beat() bool {
	c.mu.Lock()
	if v := c.vigil; v != nil && v.relying == 0 {
		c.dismissLocked()
	}
	c.mu.Unlock()
	return c.duplex.beat()
}
