package measure

import (
	"runtime"
	"syscall"
	"time"
)

// prSetTimerSlack is PR_SET_TIMERSLACK of prctl(2): by how many nanoseconds the kernel may put off a wake-up.
const prSetTimerSlack = 29

// pauses returns a function that pauses to within some microseconds, where timers of the runtime are only good to a
// millisecond. It ties the goroutine to its thread, which ends with the goroutine.
func pauses() func(d time.Duration) {
	runtime.LockOSThread()
	// A kernel that refuses wakes up 50 us late: the run shows it.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
	return func(d time.Duration) {
		t := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&t, nil) // cut short, it is called again
	}
}
