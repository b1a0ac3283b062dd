// Package clock is where time enters the runtime. Nothing in node, cluster, object or storage calls package time for
// the time of day or for a timer; it is given a [Clock].
//
// The package promises three readings. Now is the wall clock: for people, logs and stored due times, never for
// measuring. Monotonic never steps and is cheap enough to be read once per turn. Boot never steps either and, where
// the operating system can do it (see [CountsSuspend]), goes on counting while the machine sleeps: a lease must be
// measured on it, because a node that slept past its lease has lost it whatever Monotonic says.
//
// Deadlines of contexts are package time's own: context.WithDeadline has no seam, and what it makes must be a context
// that everybody knows how to derive from. Under testing/synctest both follow the bubble's time.
//
// No reading of one Clock may be compared with a reading of another. The package starts no goroutine of its own;
// timers belong to who asked for them.
package clock

import (
	"math"
	"time"
)

// Clock tells the time and wakes its callers up. All methods are safe for concurrent use.
type Clock interface {
	// Now is the wall-clock time. It may step in both directions.
	Now() time.Time

	// Monotonic is the time since an arbitrary moment before the Clock was made. It does not run while the machine
	// sleeps. It costs about 40 ns: read it once per turn and pass it on.
	Monotonic() time.Duration

	// Boot is Monotonic plus the time the machine slept, where that can be known. It costs a system call, and its
	// readings and those of Monotonic are two different scales. If the system refuses a reading that it granted
	// before, Boot answers the largest duration, so that whatever expires on this scale has expired.
	Boot() time.Duration

	// NewTimer is a timer that sends once, after d of Monotonic time.
	NewTimer(d time.Duration) *time.Timer

	// AfterFunc calls f on a goroutine of its own, after d of Monotonic time. The caller owns that goroutine: who
	// needs it to be over must wait for f.
	AfterFunc(d time.Duration, f func()) *time.Timer
}

// clock implements both kinds of Clock.
type clock struct {
	base time.Time // with a monotonic reading

	// boot reads the clock that counts suspend. Nil: Boot is Monotonic.
	boot func() (time.Duration, error)
}

// System is the Clock of a real process.
func System() Clock {
	c := &clock{base: time.Now(), boot: readBoot}
	if _, err := readBoot(); err != nil {
		c.boot = nil
	}
	return c
}

// Virtual is a Clock for testing/synctest: made inside a bubble, all its readings follow the bubble's time. (The
// operating system knows nothing of bubbles, so the Boot of a System clock goes on with the real time there.) Outside
// a bubble it is a System clock that does not see suspends.
func Virtual() Clock { return &clock{base: time.Now()} }

func (c *clock) Now() time.Time { return time.Now() }

func (c *clock) Monotonic() time.Duration { return time.Since(c.base) }

func (c *clock) Boot() time.Duration {
	if c.boot == nil {
		return c.Monotonic()
	}
	d, err := c.boot()
	if err != nil {
		return math.MaxInt64
	}
	return d
}

func (c *clock) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

func (c *clock) AfterFunc(d time.Duration, f func()) *time.Timer { return time.AfterFunc(d, f) }
