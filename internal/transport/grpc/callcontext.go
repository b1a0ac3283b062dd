package grpc

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/ends"
)

// root is what the contexts of the calls have in common that have arrived on one way.
type root struct {
	ctx   context.Context //nolint:containedctx // the parent of theirs
	ended ends.Point      // ctx has
	clock clock.Clock
	begun time.Time     // the zero of their deadlines
	zero  time.Duration // the same on the clock's monotonic scale
}

func (o *root) init(ctx context.Context, c clock.Clock) {
	o.ctx, o.clock, o.begun, o.zero = ctx, c, c.Now(), c.Monotonic()
}

// now is the time since begun.
func (o *root) now() time.Duration { return o.clock.Monotonic() - o.zero }

// callContext is the context of a call that has arrived. What can end it early is made when it is first asked for: most
// calls are over before anybody looks, and a timer and a link to the connection cost more than they do.
type callContext struct {
	root     *root
	deadline time.Duration // since root.begun; 0: none
	ended    atomic.Bool
	life     atomic.Pointer[lifetime]   // nil: nobody has asked
	joint    atomic.Pointer[ends.Joint] // of those who follow; nil: nobody does
}

// lifetime is the part of a callContext that can be waited for.
type lifetime struct {
	ctx    context.Context //nolint:containedctx // the same
	cancel context.CancelFunc
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) {
	if c.deadline == 0 {
		return time.Time{}, false
	}
	return c.root.begun.Add(c.deadline), true
}

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
	if err := c.root.ctx.Err(); err != nil {
		return err
	}
	if c.deadline != 0 && c.root.now() >= c.deadline {
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
	return c.root.ctx.Value(key)
}

// Follow implements [ends.Source].
func (c *callContext) Follow(f *ends.Follower) bool {
	j := c.joint.Load()
	if j == nil {
		j = ends.NewJoint()
		if !c.root.ended.Follow(&j.Up[0]) {
			return false
		}
		if !c.joint.CompareAndSwap(nil, j) {
			j.Close()
			j = c.joint.Load()
		} else if c.ended.Load() { // before anybody knew of it
			j.Close()
		}
	}
	return j.Follow(f)
}

// lifetime makes the part that can be waited for.
func (c *callContext) lifetime() *lifetime {
	if l := c.life.Load(); l != nil {
		return l
	}
	l := &lifetime{}
	if at, limited := c.Deadline(); limited {
		l.ctx, l.cancel = context.WithDeadline(c.root.ctx, at)
	} else {
		l.ctx, l.cancel = context.WithCancel(c.root.ctx)
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
	if j := c.joint.Load(); j != nil {
		j.Close()
	}
}
