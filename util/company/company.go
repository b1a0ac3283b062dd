// Package company lets what is about to be sent wait for company.
//
// A message costs those who send and receive it as much as ten calls do: two system calls, half a dozen switches between
// goroutines, a processor that is woken. So what has queued waits for those who run soon and are about to have something
// to send too: callers who have just been told their reply, calls that have just been handed to a worker. They are
// expected when they are woken, and come when they run.
//
// As goroutines that can run do, nothing waits for somebody who waits himself. Who has been expected for longer than
// [Patience] is waited for no more. What waits already is told so by who comes or is expected next: where all processors
// are busy with other things, that may take as long as it takes a goroutine there to run.
//
// A server has one company for all its connections: a call that came on one is answered on another.
package company

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// Patience is for how long those who are expected are waited for.
const Patience = 100 * time.Microsecond

// Crowd is how much does not wait for company: so many calls, replies or pushes are one.
const Crowd = 32

// most is how many senders wait at a time: to tell them all is the work of whoever comes.
const most = 64

// Company is those who are expected, and the senders who wait for them. Use [New]. All methods may be used concurrently.
type Company struct {
	clock    clock.Clock
	expected atomic.Int64
	latest   atomic.Int64 // when somebody was expected last, on the monotonic scale
	since    atomic.Int64 // when the first of the senders began to wait; 0: none waits

	mu      sync.Mutex
	senders []Sender // guarded by mu
	spare   []Sender // guarded by mu: memory for others
}

// Sender is who has something to send.
type Sender interface {
	// Look tells who waits that those who were expected have come, and are about to have something to send; late: it is
	// to wait no longer. It may be called when nothing waits any more. It must not wait for anybody who uses the company.
	Look(late bool)
}

// New is a company of which nobody is expected.
func New(c clock.Clock) *Company { return &Company{clock: c} }

// Expect is told that so many are about to run. Each of them calls [Company.Came] when it does.
func (c *Company) Expect(n int) {
	if n == 0 {
		return
	}
	now := c.clock.Monotonic()
	c.latest.Store(int64(now))
	c.expected.Add(int64(n))
	if c.isLate(now) {
		c.tell(true)
	}
}

// Expected is how many are expected.
func (c *Company) Expected() int { return int(c.expected.Load()) }

// Wait reports whether a sender is to wait for those who are expected, until its Look is called. Locks that its Look takes
// may be held, but not those of others.
func (c *Company) Wait(s Sender) bool {
	if c.Expected() <= 0 {
		return false
	}
	now := c.clock.Monotonic()
	if now-time.Duration(c.latest.Load()) >= Patience || !c.add(s, now) {
		return false
	}
	return c.Expected() > 0 // the last of them may have looked before there was somebody to tell
}

// isLate reports whether senders have waited for long.
func (c *Company) isLate(now time.Duration) bool {
	since := time.Duration(c.since.Load())
	return since != 0 && now-since >= Patience
}

func (c *Company) add(s Sender, now time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch len(c.senders) {
	case 0:
		c.since.Store(int64(max(now, 1)))
	case most:
		return false
	}
	c.senders = append(c.senders, s)
	return true
}

// Came is called by one who was expected: the last one, and one who comes late, do not let others wait any longer. Senders
// that began to wait later than the first wait shorter.
func (c *Company) Came() {
	left := c.expected.Add(-1)
	if c.since.Load() == 0 {
		return
	}
	late := c.isLate(c.clock.Monotonic())
	if left > 0 && !late {
		return
	}
	c.tell(late)
}

// tell has all look who wait.
func (c *Company) tell(late bool) {
	c.mu.Lock()
	told := c.senders
	c.senders, c.spare = c.spare, nil
	c.since.Store(0)
	c.mu.Unlock()
	for _, s := range told {
		s.Look(late)
	}
	clear(told)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare = told[:0]
}
