package cluster

import (
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

const (
	// lately is how long a look at the boot clock counts for.
	lately = 100 * time.Microsecond
	// unmoved is by how much the wall clock may leave the monotonic one in that time: a machine that slept finds it
	// ahead by as long.
	unmoved = 50 * time.Microsecond
)

// validity is until when a member may answer. The boot clock decides, which goes on while
// the machine sleeps. A reading of it is a system call, so one counts for a while if the
// wall clock, which is read together with the monotonic one and cheaply, shows that the
// machine has not slept since.
type validity struct {
	begun time.Time    // on the wall clock and the monotonic one
	until atomic.Int64 // on the boot clock, in ns; 0: it may not answer
	sure  atomic.Int64 // until then nobody needs to look again, in ns of monotonic time since begun
	apart atomic.Int64 // what the wall clock had gained on the monotonic one at the last look, in ns; stored before sure
}

// set replaces the time; 0: from now on the member may not answer. Who is looking just
// now may not know for as long as a look counts.
func (v *validity) set(until time.Duration) {
	v.until.Store(int64(until))
	v.sure.Store(0)
}

// holds says whether the member may answer now.
func (v *validity) holds(c clock.Clock) bool {
	now := c.Now() // first: what is found counts from here, however late it is noted
	elapsed := int64(now.Sub(v.begun))
	apart := now.UnixNano() - elapsed
	if elapsed < v.sure.Load() {
		if slept := apart - v.apart.Load(); slept < int64(unmoved) && slept > -int64(unmoved) {
			return true
		}
	}
	until := v.until.Load()
	if until == 0 {
		return false
	}
	left := until - int64(c.Boot())
	if left <= 0 {
		return false
	}
	v.apart.Store(apart)
	v.sure.Store(elapsed + min(left, int64(lately)))
	return true
}

// left is for how long the member may answer still; 0: it may not.
func (v *validity) left(c clock.Clock) time.Duration {
	if until := v.until.Load(); until != 0 {
		return time.Duration(until) - c.Boot()
	}
	return 0
}
