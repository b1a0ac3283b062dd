package grpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/ends"
)

// once Err of a call's context is not nil it stays as it is.
func TestTheEndOfACallStaysAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o root
		o.init(t.Context(), clock.Virtual())
		c := &callContext{root: &o, deadline: time.Second}
		c.end() // its caller has left
		before := c.Err()
		<-time.After(2 * time.Second)
		<-c.Done()
		if after := c.Err(); !errors.Is(after, before) || !errors.Is(context.Cause(c), before) {
			t.Errorf("Err is %v, and then %v (cause %v)", before, after, context.Cause(c))
		}
	})
}

// Who follows the context of a call is told of its end: its caller's, the connection's, or the call's own.
func TestFollowTheContextOfACall(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"call", "connection"} {
		var o root
		o.init(t.Context(), clock.Virtual())
		c := &callContext{root: &o}
		var fs [2]spy
		var followers [2]ends.Follower
		for i := range followers {
			followers[i].Told = &fs[i]
			if !c.Follow(&followers[i]) || fs[i].told {
				t.Fatalf("%s: it cannot be followed, or has ended: %t", what, fs[i].told)
			}
		}
		if what == "connection" {
			o.ended.End()
		} else {
			c.end()
		}
		if !fs[0].told || !fs[1].told {
			t.Errorf("%s: told of the end: %v", what, fs)
		}
		if c.Follow(&followers[0]) {
			t.Errorf("%s: what has ended was followed", what)
		}
	}
}

// The deadline of a call is told on the clock of days.
func TestDeadlineOfACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o root
		o.init(t.Context(), clock.Virtual())
		<-time.After(time.Minute)
		c := &callContext{root: &o, deadline: o.now() + time.Second}
		if at, limited := c.Deadline(); !limited || !at.Equal(time.Now().Add(time.Second)) {
			t.Errorf("it is %v, %t", at, limited)
		}
		if c.Err() != nil {
			t.Error("it has ended before")
		}
		<-time.After(time.Second)
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("then its Err is %v", c.Err())
		}
		if _, limited := (&callContext{root: &o}).Deadline(); limited {
			t.Error("one without a deadline has one")
		}
	})
}
