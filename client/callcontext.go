package client

import (
	"context"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/ends"
)

// callContext is the context of a call. It ends with its parent or its deadline, when
// it is cancelled and when the call is over. What costs something is made when somebody
// asks for it, which most methods never do.
type callContext struct {
	parent   context.Context //nolint:containedctx // the rpc's; nil: a call of a session, which no rpc is
	clock    clock.Clock     // nil with a parent
	deadline time.Time       // its own; zero: none, as always with a parent

	mu     sync.Mutex
	cause  error           // guarded by mu: it was cancelled; nil: it was not
	life   context.Context //nolint:containedctx // guarded by mu: its implementation, once it is needed
	cancel func(error)     // guarded by mu: of life

	ended ends.Point // when it is cancelled
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) {
	if c.parent != nil {
		return c.parent.Deadline()
	}
	return c.deadline, !c.deadline.IsZero()
}

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} { return c.lived().Done() }

// Err implements [context.Context].
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life != nil || c.cause != nil:
		return c.livedLocked().Err()
	case c.parent != nil:
		return c.parent.Err()
	case c.deadline.IsZero() || c.clock.Now().Before(c.deadline):
		return nil
	}
	return c.livedLocked().Err()
}

// Value implements [context.Context]: without a parent it answers only what package
// context looks for, which is when somebody has looked at it.
func (c *callContext) Value(key any) any {
	c.mu.Lock()
	at := c.life
	c.mu.Unlock()
	switch {
	case at != nil:
		return at.Value(key)
	case c.parent != nil:
		return c.parent.Value(key)
	}
	return nil
}

// AfterFunc lets [context.AfterFunc] and derived contexts follow without a goroutine.
func (c *callContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.lived(), f) }

// Follow implements [ends.Source]. The end of a parent can only be followed by its Done.
func (c *callContext) Follow(f *ends.Follower) bool { return c.parent == nil && c.ended.Follow(f) }

// end cancels the context, the first time.
func (c *callContext) end(cause error) {
	if c.cancelFor(cause) {
		c.ended.End()
	}
}

// cancelFor is end but for those who follow; false: it has been cancelled before.
func (c *callContext) cancelFor(cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return false
	}
	c.cause = cause
	if c.cancel != nil {
		c.cancel(cause)
	}
	return true
}

func (c *callContext) lived() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.livedLocked()
}

func (c *callContext) livedLocked() context.Context {
	if c.life != nil {
		return c.life
	}
	parent := c.parent
	if parent == nil {
		parent = context.Background() //nolint:forbidigo // a session outlives its streams
	}
	ctx, cancel := context.WithCancelCause(parent)
	c.life, c.cancel = ctx, cancel
	if c.cause != nil { // before its deadline
		cancel(c.cause)
		return c.life
	}
	if !c.deadline.IsZero() {
		timed, release := context.WithDeadline(ctx, c.deadline)
		c.life, c.cancel = timed, func(cause error) { cancel(cause); release() }
	}
	return c.life
}
