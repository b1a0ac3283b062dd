package clock_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVirtualFollowsTheBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		now, mono, boot := c.Now(), c.Monotonic(), c.Boot()

		time.Sleep(90 * time.Minute) //nolint:forbidigo // virtual time

		if got := c.Now().Sub(now); got != 90*time.Minute {
			t.Errorf("Now advanced by %v, want 90m", got)
		}
		if got := c.Monotonic() - mono; got != 90*time.Minute {
			t.Errorf("Monotonic advanced by %v, want 90m", got)
		}
		if got := c.Boot() - boot; got != 90*time.Minute {
			t.Errorf("Boot advanced by %v, want 90m", got)
		}
	})
}

func TestTimersFollowTheBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		start := c.Monotonic()

		called := make(chan time.Duration, 1)
		c.AfterFunc(time.Hour, func() { called <- c.Monotonic() - start })
		if got := <-called; got != time.Hour {
			t.Errorf("AfterFunc(1h) called after %v", got)
		}

		<-c.NewTimer(time.Minute).C
		if got := c.Monotonic() - start; got != time.Hour+time.Minute {
			t.Errorf("timer fired at %v, want 1h1m", got)
		}

		stopped := c.AfterFunc(time.Second, func() { t.Error("a stopped AfterFunc was called") })
		if !stopped.Stop() {
			t.Error("Stop of a pending AfterFunc = false")
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
	})
}

// The readings of a System clock never go back, and get on.
func TestSystemNeverStepsBack(t *testing.T) {
	t.Parallel()
	c := clock.System()
	mono, boot := c.Monotonic(), c.Boot()
	if mono < 0 {
		t.Errorf("Monotonic = %v right after construction", mono)
	}
	firstMono, firstBoot := mono, boot
	for range 10_000 {
		m, b := c.Monotonic(), c.Boot()
		if m < mono || b < boot {
			t.Fatalf("went back: Monotonic %v → %v, Boot %v → %v", mono, m, boot, b)
		}
		mono, boot = m, b
	}
	if boot == firstBoot || mono == firstMono {
		t.Errorf("stood still: Monotonic %v, Boot %v", mono, boot)
	}
}

func TestSystemBootCountsFromTheMachinesStart(t *testing.T) {
	t.Parallel()
	c := clock.System()
	if !clock.CountsSuspend {
		// Boot is Monotonic then: a reading between two of the other scale.
		before := c.Monotonic()
		boot := c.Boot()
		if after := c.Monotonic(); boot < before || boot > after {
			t.Errorf("Boot = %v, outside Monotonic's %v … %v", boot, before, after)
		}
		return
	}
	// The machine is up for longer than this process' clock.
	if boot, mono := c.Boot(), c.Monotonic(); boot <= mono {
		t.Errorf("Boot = %v, not beyond the %v of a clock made just now", boot, mono)
	}
}

func TestBootExpiresEverythingWhenRefused(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	c := clock.NewBoot(func() (time.Duration, error) { return 0, refused })
	if got := c.Boot(); got != math.MaxInt64 {
		t.Errorf("Boot of a refused reading = %v, want the largest duration", got)
	}
}

func BenchmarkMonotonic(b *testing.B) {
	c := clock.System()
	for b.Loop() {
		c.Monotonic()
	}
}

func BenchmarkBoot(b *testing.B) {
	c := clock.System()
	for b.Loop() {
		c.Boot()
	}
}
