package mem

import (
	"context"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Faults are the troubles of one link. The zero value is none.
type Faults struct {
	// Unavailable refuses every call at once with coord.ErrUnavailable, and ends the watches.
	Unavailable bool
	// Hang holds up every request, reply and event until the fault is lifted or the call's context ends.
	Hang bool
	// LoseReplies lets calls have their effect and then fail with coord.ErrUnavailable.
	LoseReplies bool
	// Refuse refuses every transaction that may put something with coord.ErrRefused, as etcd does when it is full.
	Refuse bool
	// RequestDelay passes before a call has its effect, ReplyDelay after it and before the caller hears of it.
	RequestDelay, ReplyDelay time.Duration
	// StaleKeepAlive makes KeepAliveOnce answer a TTL without renewing anything, be the lease alive or not, as etcd
	// versions did that let a stale leader answer.
	StaleKeepAlive bool
}

// SetFaults replaces the faults of the link, also for calls that are under way.
func (c *Client) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = f
	close(c.changed)
	c.changed = make(chan struct{})
	if f.Unavailable {
		c.dropLocked()
	}
}

// Faults are the present faults of the link.
func (c *Client) Faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults
}

// DropWatches ends the client's present watches with coord.ErrUnavailable. Events that were not received are lost to
// them, not to a watch that resumes.
func (c *Client) DropWatches() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked()
}

func (c *Client) dropLocked() {
	close(c.dropped)
	c.dropped = make(chan struct{})
}

// call sends a request over the link, runs f on the state and sends the reply back.
func (c *Client) call(ctx context.Context, f func() error) error {
	if err := c.pass(ctx, c.Faults().RequestDelay); err != nil {
		return err
	}
	err := c.store.do(func() error {
		if c.restored {
			return c.checkLocked()
		}
		return f()
	})
	if err != nil {
		return err
	}
	faults := c.Faults()
	if faults.LoseReplies {
		return coord.ErrUnavailable
	}
	return c.pass(ctx, faults.ReplyDelay)
}

// pass lets a message over the link, after a delay.
func (c *Client) pass(ctx context.Context, delay time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if delay > 0 {
		timer := c.store.clock.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closing:
			return coord.ErrUnavailable
		}
	}
	for {
		c.mu.Lock()
		faults, changed, closed := c.faults, c.changed, c.closed
		c.mu.Unlock()
		switch {
		case closed || faults.Unavailable:
			return coord.ErrUnavailable
		case !faults.Hang:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closing:
		}
	}
}
