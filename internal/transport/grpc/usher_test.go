package grpc

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// ushered has f look at a calling side whose usher works and whose writer is f.
func ushered(t *testing.T, f func(c *caller)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		c := quiet(bounds{queue: 1 << 20, calls: 100})
		c.clock, c.begun, c.company = clock.System(), time.Now(), company.New(clock.System())
		var working sync.WaitGroup
		working.Go(c.usher)
		defer working.Wait()
		defer c.fail(errGarbage)
		f(c)
	})
}

// leaves says whether what has queued leaves, when all have done what they can without time passing.
func leaves(c *caller) bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}

// pass lets time pass.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // in a synctest bubble

// A call leaves at once where it is the only one, and no caller is about to make another.
func TestTheOnlyCallLeavesAtOnce(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 100})
	send(t, c, 1)
	if !c.leaving {
		t.Error("the only call does not leave")
	}
	c.next()
	send(t, c, 1)
	if c.leaving {
		t.Error("the second call under way leaves at once")
	}
	c = quiet(bounds{queue: 1 << 20, calls: 100})
	send(t, c, 1)
	c.next()
	if _, err := c.begin(t.Context(), &transport.Call{}, true, &bound{}); err != nil || c.leaving {
		t.Errorf("a one-way call beside the only call leaves at once, or failed: %v", err)
	}
	c = quiet(bounds{queue: 1 << 20, calls: 100})
	c.company.Expect(1)
	if send(t, c, 1); c.leaving {
		t.Error("the only call leaves at once though a caller is expected")
	}
}

// A frame leaves when nobody is expected.
func TestFramesLeave(t *testing.T) {
	t.Parallel()
	ushered(t, func(c *caller) {
		for range 3 {
			if leaves(c) {
				t.Fatal("nothing leaves")
			}
			send(t, c, 1)
			if !leaves(c) {
				t.Fatal("a frame does not leave")
			}
			c.next()
		}
		c.sendPing()
		if !leaves(c) {
			t.Fatal("a ping does not leave")
		}
		c.next()
		send(t, c, large)
		if !leaves(c) {
			t.Fatal("a large frame does not leave")
		}
		c.next()
		if !leaves(c) {
			t.Fatal("the second part of a large frame does not leave")
		}
	})
}

// A crowd leaves at once, whoever is expected and whatever the usher does.
func TestCrowdLeavesAtOnce(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 100})
	c.company.Expect(1)
	for range 2 {
		for i := range crowd {
			if c.leaving {
				t.Fatalf("%d frames leave, %d are a crowd", i, crowd)
			}
			send(t, c, 1)
		}
		if !c.leaving {
			t.Fatal("a crowd does not leave")
		}
		c.next()
	}
	send(t, c, batchBytes)
	for range 2 {
		send(t, c, alone-1)
	}
	if c.leaving {
		t.Fatal("a message with room for more leaves")
	}
	send(t, c, alone) // travels alone
	if !c.leaving {
		t.Fatal("a message without room for more does not leave")
	}
}

// Frames wait for those who are expected, until they are there.
func TestFramesWaitForThoseWhoAreExpected(t *testing.T) {
	t.Parallel()
	ushered(t, func(c *caller) {
		for range 2 {
			c.company.Expect(2)
			send(t, c, 1)
			if leaves(c) {
				t.Fatal("a frame has left without one that was expected")
			}
			send(t, c, 1)
			c.company.Came()
			if leaves(c) {
				t.Fatal("frames have left without one that was expected")
			}
			c.company.Came()
			if !leaves(c) {
				t.Fatal("nobody is expected, and frames do not leave")
			}
			c.next()
		}
	})
}

// Frames do not wait for long, though some are expected still, or others are.
func TestFramesDoNotWaitForLong(t *testing.T) {
	t.Parallel()
	ushered(t, func(c *caller) {
		c.company.Expect(4)
		pass(time.Nanosecond)
		send(t, c, 1)
		if leaves(c) {
			t.Fatal("a frame has left at once")
		}
		pass(company.Patience - 1)
		if c.company.Came(); leaves(c) {
			t.Fatal("a frame has left too early")
		}
		pass(time.Nanosecond)
		if c.company.Came(); !leaves(c) {
			t.Fatal("a frame has waited for too long")
		}
		c.next()
		c.company.Expect(1)
		send(t, c, 1)
		if leaves(c) {
			t.Fatal("another frame has left at once")
		}
		for i := range 3 { // the usher looks again
			c.mu.Lock()
			if holds := c.holdLocked(); holds != (i < 2) {
				t.Errorf("after %d looks, a frame waits: %t", i, holds)
			}
			c.mu.Unlock()
			pass(company.Patience / 2)
		}
	})
}

// Who was expected and comes late sends off what has waited, without the usher.
func TestWhoComesLateSendsOff(t *testing.T) {
	t.Parallel()
	ushered(t, func(c *caller) {
		c.company.Expect(1)
		pass(time.Nanosecond)
		send(t, c, 1)
		if leaves(c) {
			t.Fatal("a frame has left at once")
		}
		pass(company.Patience)
		c.company.Came()
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.leaving || c.called {
			t.Errorf("it leaves: %t; the usher is called: %t", c.leaving, c.called)
		}
	})
}
