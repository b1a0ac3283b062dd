package grpc

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// Of the callers whose outcome has come those are expected who wait for it, until they run; also in the places of those
// who waited before.
func TestWhoWaitsIsExpected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &caller{waiters: new(sync.Pool)}
		c.init(clock.System(), new(buffers), bounds{queue: 1 << 20, calls: 10})
		for range 3 {
			waits, starts := c.standLocked(), c.standLocked()
			waited := make(chan error, 1)
			go func() {
				_, err := waits.Wait(t.Context())
				waited <- err
			}()
			synctest.Wait()
			for _, w := range []*waiter{waits, starts} {
				c.arrived = append(c.arrived, delivery{number: w.number, outcome: outcome{why: transport.ErrDraining, executed: object.ExecutedNo}})
			}
			c.mu.Lock() // frames are held
			c.held.Store(1)
			c.mu.Unlock()
			if err := c.deliver(); err != nil {
				t.Fatal(err)
			}
			if starts.expected {
				t.Error("one who does not wait is expected")
			}
			if err := <-waited; !errors.Is(err, transport.ErrDraining) {
				t.Errorf("the call ended with %v", err)
			}
			synctest.Wait()
			if n := c.expected.Load(); n != 0 || !c.called && !c.leaving {
				t.Errorf("%d are expected when who waited has run; who holds frames was told: %t", n, c.called || c.leaving)
			}
			c.called, c.leaving = false, false
			if _, err := starts.Wait(t.Context()); !errors.Is(err, transport.ErrDraining) {
				t.Errorf("the call that nobody waited for ended with %v", err)
			}
			if n := c.expected.Load(); n != 0 {
				t.Errorf("%d are expected in the end", n)
			}
		}
	})
}
