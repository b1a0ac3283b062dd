package cluster

import (
	"testing"
	"time"
	"unsafe"

	"github.com/xiaonanln/goverse/util/clock"
)

// asleep is a clock of a machine that sleeps when told so; its monotonic time stands still otherwise.
type asleep struct {
	clock.Clock

	now   time.Time
	slept time.Duration
	looks int // at the boot clock
}

func (c *asleep) Boot() time.Duration { c.looks++; return c.slept }

// Now is a time whose wall reading is ahead and whose monotonic reading is not: package time makes none, but the first
// word of a time counts the wall's seconds from the bit 30 on.
func (c *asleep) Now() time.Time {
	now := c.now
	*(*uint64)(unsafe.Pointer(&now)) += uint64(c.slept/time.Second) << 30
	return now
}

// A look at the boot clock counts for a while, but not beyond a sleep.
func TestALookCountsUntilASleep(t *testing.T) {
	t.Parallel()
	c := &asleep{now: time.Now()}
	v := &validity{begun: c.now}
	v.set(6 * time.Second)
	for range 3 {
		if !v.holds(c) {
			t.Fatal("not valid")
		}
	}
	if c.looks != 1 {
		t.Errorf("%d looks at the boot clock in no time", c.looks)
	}
	c.slept = 5 * time.Second
	if c.Now().Sub(c.now) != 0 || c.Now().UnixNano()-c.now.UnixNano() != int64(c.slept) {
		t.Fatal("the wall clock does not leave the monotonic one")
	}
	if !v.holds(c) || c.looks != 2 {
		t.Errorf("%d looks at the boot clock after a sleep", c.looks)
	}
	c.slept = 6 * time.Second
	if v.holds(c) {
		t.Error("valid after a sleep as long as the lease")
	}
	v.set(time.Hour)
	if !v.holds(c) {
		t.Error("not valid after a renewal")
	}
	v.set(0)
	if v.holds(c) {
		t.Error("valid after the end")
	}
}
