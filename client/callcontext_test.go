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

// valueKey is of a value that an rpc's context has.
type valueKey struct{}

// A call of an rpc ends with that, or when it is cancelled before, and knows what that knows,
// whether somebody looks at its Done or not.
func TestCallContextOfAnRPC(t *testing.T) {
	t.Parallel()
	why, hungUp := errors.New("why"), errors.New("the rpc is over")
	for name, test := range map[string]struct {
		happens func(c *callContext, rpc context.CancelCauseFunc)
		err     error
		cause   error
	}{
		"the rpc ends":    {func(_ *callContext, rpc context.CancelCauseFunc) { rpc(hungUp) }, context.Canceled, hungUp},
		"it is cancelled": {func(c *callContext, _ context.CancelCauseFunc) { c.end(why) }, context.Canceled, why},
		"it expires":      {func(*callContext, context.CancelCauseFunc) { time.Sleep(time.Minute) }, context.DeadlineExceeded, context.DeadlineExceeded}, //nolint:forbidigo // in a bubble
		"it expires, then is over": {func(c *callContext, _ context.CancelCauseFunc) {
			time.Sleep(time.Minute) //nolint:forbidigo // in a bubble
			synctest.Wait()
			c.end(errCallOver)
		}, context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		for _, looks := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rpc, hangUp := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, "a span"))
					defer hangUp(nil)
					timed, cancel := context.WithTimeout(rpc, time.Minute)
					defer cancel()
					c := &callContext{parent: timed}
					if looks {
						c.Done()
					}
					if d, ok := c.Deadline(); !ok || !d.Equal(time.Now().Add(time.Minute)) || c.Err() != nil {
						t.Errorf("before: deadline %v, %v, error %v", d, ok, c.Err())
					}
					if c.Follow(new(ends.Follower)) {
						t.Error("who follows it would not hear of the rpc's end")
					}
					test.happens(c, hangUp)
					synctest.Wait()                                                                      // a timer has its own goroutine
					if cause, err := context.Cause(c), c.Err(); err != test.err || cause != test.cause { //nolint:errorlint // identity
						t.Errorf("it ends with %v, caused by %v", err, cause)
					}
					if v := c.Value(valueKey{}); v != "a span" {
						t.Errorf("the rpc's value is %v", v)
					}
					<-c.Done()
				})
			})
		}
	}
}
