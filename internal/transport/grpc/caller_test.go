package grpc

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// A call that is given up while its connection breaks, or while its reply comes, gets one outcome. A second one would
// be that of the next call.
func TestOneOutcomePerCall(t *testing.T) {
	t.Parallel()
	tr := New(Config{Clock: clock.Virtual()})
	for round := range 5000 {
		c := &caller{waiters: &tr.waiters, cut: func() {}, free: func() {}}
		c.init(tr.cfg.Clock, &tr.buffers, tr.bounds())
		ctx, cancel := context.WithCancel(t.Context())
		var others []*waiter
		for range []int{0, 2 * vigilFrom}[round/2%2] { // with them it is a vigil that gives it up
			others = append(others, start(ctx, t, c))
		}
		w := start(ctx, t, c)
		var beside sync.WaitGroup
		beside.Go(cancel)
		beside.Go(func() {
			if round%2 == 0 {
				c.fail(transport.ErrBroken)
				return
			}
			arrive(t, c, w)
		})
		for _, x := range append(others, w) {
			await(ctx, x)
		}
		beside.Wait()
		if len(w.done) != 0 {
			t.Fatalf("round %d: the call has got two outcomes", round)
		}
		if c.flights != 0 {
			t.Fatalf("round %d: %d calls are under way", round, c.flights)
		}
	}
}

// A large call is encoded while the peer says that it takes no more: it is not sent, as nobody would read it.
func TestALargeCallMeetsAGoodbye(t *testing.T) {
	t.Parallel()
	tr := New(Config{Clock: clock.Virtual()})
	c := &caller{waiters: &tr.waiters, cut: func() {}, free: func() {}}
	c.init(tr.cfg.Clock, &tr.buffers, tr.bounds())
	call := &transport.Call{Request: object.Request{Body: make([]byte, alone)}}
	c.mu.Lock()
	waiting := c.standLocked()
	c.draining = true
	c.mu.Unlock()
	for _, w := range []*waiter{nil, waiting} {
		if err := c.beginAlone(t.Context(), w, callHeader{}, call, call.Size()); !errors.Is(err, transport.ErrDraining) {
			t.Errorf("sent: %v", err)
		}
	}
	if len(c.queue) != 0 || c.flights != 0 {
		t.Errorf("%d messages are queued, %d calls under way", len(c.queue), c.flights)
	}
}
