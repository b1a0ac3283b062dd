package client

import (
	"context"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/ends"
)

// callContext is the context of a call of a session. It ends with its deadline, when
// it is cancelled and when the call is over. What costs something is made when somebody
// asks for it, which most methods never do.
type callContext struct {
	clock    clock.Clock
	deadline time.Time // zero: none

	mu     sync.Mutex
	cause  error           // guarded by mu: it was cancelled; nil: it was not
	life   context.Context //nolint:containedctx // guarded by mu: its implementation, once it is needed
	cancel func(error)     // guarded by mu: of life

	ended ends.Point // when it is cancelled
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} { return c.lived().Done() }

// Err implements [context.Context].
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil && c.cause == nil && (c.deadline.IsZero() || c.clock.Now().Before(c.deadline)) {
		return nil
	}
	return c.livedLocked().Err()
}

// Value implements [context.Context]: it answers only what package context looks for.
func (c *callContext) Value(key any) any {
	c.mu.Lock()
	life := c.life
	c.mu.Unlock()
	if life == nil {
		return nil
	}
	return life.Value(key)
}

// AfterFunc lets [context.AfterFunc] and derived contexts follow without a goroutine.
func (c *callContext) AfterFunc(f func()) func() bool { return context.AfterFunc(c.lived(), f) }

// Follow implements [ends.Source].
func (c *callContext) Follow(f *ends.Follower) bool { return c.ended.Follow(f) }

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
	ctx, cancel := context.WithCancelCause(context.Background()) //nolint:forbidigo // a session outlives its streams
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
