//go:build unix

package inspection

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the time that the process has used processors for; zero: unknown.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
