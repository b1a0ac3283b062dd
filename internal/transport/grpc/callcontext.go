package grpc

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// callContext is the context of a call that has arrived. What can end it early is made when it is first asked for: most
// calls are over before anybody looks, and a timer and a link to the connection cost more than they do.
type callContext struct {
	parent   context.Context //nolint:containedctx // it is the implementation of a context
	clock    clock.Clock
	deadline time.Time // zero: none
	ended    atomic.Bool
	life     atomic.Pointer[lifetime] // nil: nobody has asked
}

// lifetime is the part of a callContext that can be waited for.
type lifetime struct {
	ctx    context.Context //nolint:containedctx // the same
	cancel context.CancelFunc
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} { return c.lifetime().ctx.Done() }

// Err implements [context.Context].
func (c *callContext) Err() error {
	if l := c.life.Load(); l != nil {
		return l.ctx.Err()
	}
	if c.ended.Load() {
		return c.lifetime().ctx.Err() // from now on it stays so
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if !c.deadline.IsZero() && !c.clock.Now().Before(c.deadline) {
		return c.lifetime().ctx.Err() // from now on it stays so
	}
	return nil
}

// Value implements [context.Context]. Package context asks for what lets derived contexts follow without a goroutine,
// and for the cause.
func (c *callContext) Value(key any) any {
	if l := c.life.Load(); l != nil {
		return l.ctx.Value(key)
	}
	return c.parent.Value(key)
}

// lifetime makes the part that can be waited for.
func (c *callContext) lifetime() *lifetime {
	if l := c.life.Load(); l != nil {
		return l
	}
	l := &lifetime{}
	if c.deadline.IsZero() {
		l.ctx, l.cancel = context.WithCancel(c.parent)
	} else {
		l.ctx, l.cancel = context.WithDeadline(c.parent, c.deadline)
	}
	if c.ended.Load() { // before anybody sees it: who has seen the end must not see it undone
		l.cancel()
	}
	if !c.life.CompareAndSwap(nil, l) {
		l.cancel()
		return c.life.Load()
	}
	if c.ended.Load() {
		l.cancel()
	}
	return l
}

// end ends the context. It may be called again.
func (c *callContext) end() {
	c.ended.Store(true)
	if l := c.life.Load(); l != nil {
		l.cancel()
	}
}
