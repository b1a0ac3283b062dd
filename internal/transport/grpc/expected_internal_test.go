package grpc

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Of the callers whose outcome has come those are expected who wait for it, until they run; also in the places of those
// who waited before.
func TestWhoWaitsIsExpected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &caller{waiters: new(sync.Pool)}
		c.init(New(Config{}))
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
			c.company.Expect(1) // until frames are held
			c.mu.Lock()
			c.frameLocked(func(b []byte) []byte { return appendNumbered(b, kindCancel, 1) })
			if !c.holdLocked() {
				t.Error("frames are not held")
			}
			c.called = false
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
			if n := c.company.Expected(); n != 1 || c.called || c.leaving {
				t.Errorf("%d are expected when who waited has run, want 1; who holds frames was told: %t", n, c.called || c.leaving)
			}
			c.company.Came()
			if !c.called && !c.leaving {
				t.Error("nobody is expected any more, and who holds frames was not told")
			}
			c.sendOffLocked()
			c.next()
			c.called = false
			if _, err := starts.Wait(t.Context()); !errors.Is(err, transport.ErrDraining) {
				t.Errorf("the call that nobody waited for ended with %v", err)
			}
			if n := c.company.Expected(); n != 0 {
				t.Errorf("%d are expected in the end", n)
			}
		}
	})
}
