package grpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// once Err of a call's context is not nil it stays as it is.
func TestTheEndOfACallStaysAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &callContext{parent: t.Context(), clock: clock.Virtual(), deadline: time.Now().Add(time.Second)}
		c.end() // its caller has left
		before := c.Err()
		<-time.After(2 * time.Second)
		<-c.Done()
		if after := c.Err(); !errors.Is(after, before) || !errors.Is(context.Cause(c), before) {
			t.Errorf("Err is %v, and then %v (cause %v)", before, after, context.Cause(c))
		}
	})
}
