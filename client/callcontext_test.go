package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/ends"
)

// The context of a call is one like others, whether somebody looks at it before it ends
// or after.
func TestCallContext(t *testing.T) {
	t.Parallel()
	cause := errors.New("why")
	looks := func(c *callContext) { c.Done() }
	blind := func(*callContext) {}
	for name, test := range map[string]struct {
		before func(*callContext)
		timed  bool
		err    error
		cause  error
	}{
		"cancelled":             {looks, false, context.Canceled, cause},
		"cancelled, unseen":     {blind, false, context.Canceled, cause},
		"expired":               {looks, true, context.DeadlineExceeded, context.DeadlineExceeded},
		"expired, unseen":       {blind, true, context.DeadlineExceeded, context.DeadlineExceeded},
		"cancelled in time":     {func(c *callContext) { c.Done(); c.end(cause) }, true, context.Canceled, cause},
		"cancelled, then timed": {func(c *callContext) { c.end(cause); c.end(errCallOver) }, true, context.Canceled, cause},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &callContext{clock: clock.Virtual()}
				if test.timed {
					c.deadline = time.Now().Add(time.Minute)
				}
				if c.Err() != nil {
					t.Errorf("it ends before: %v", c.Err())
				}
				test.before(c)
				if test.timed {
					time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
				} else {
					c.end(cause)
				}
				derived, cancel := context.WithCancel(c)
				defer cancel()
				for _, ctx := range []context.Context{c, derived} {
					<-ctx.Done()
					if err := ctx.Err(); err != test.err { //nolint:errorlint // identity
						t.Errorf("it ends with %v", err)
					}
				}
				if got := context.Cause(c); got != test.cause { //nolint:errorlint // identity
					t.Errorf("the cause is %v", got)
				}
				if d, ok := c.Deadline(); ok != test.timed || d != c.deadline {
					t.Errorf("the deadline is %v, %v", d, ok)
				}
				c.end(errCallOver)
			})
		})
	}
}

// follower notes that it was told.
type follower struct {
	ends.Follower

	told bool
}

func (f *follower) Ended(*ends.Follower) { f.told = true }

// Who follows the context of a call is told when it is cancelled, as is done when the call is over too.
func TestFollowACallContext(t *testing.T) {
	t.Parallel()
	c := &callContext{clock: clock.Virtual()}
	var f follower
	f.Told = &f
	if !c.Follow(&f.Follower) || f.told {
		t.Fatalf("it cannot be followed, or has ended: %t", f.told)
	}
	c.end(errCallOver)
	if !f.told || c.Err() == nil {
		t.Errorf("after the end: told %t, %v", f.told, c.Err())
	}
	if c.Follow(&f.Follower) {
		t.Error("what has ended was followed")
	}
}
