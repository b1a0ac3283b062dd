package inspection

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is what /proc counts time in, on all that Go runs on.
const ticksPerSecond = 100

// residentBytes is how much memory the process has from the system; zero: unknown.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	return statm(text) * uint64(os.Getpagesize()) //nolint:gosec // G115: positive
}

// statm is the resident pages in what /proc/self/statm says.
func statm(text []byte) uint64 {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64) // zero for what is no number
	return pages
}

// processAge is how long ago the process started.
func processAge() (age time.Duration, ok bool) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	started, ok := stat(text)
	var now unix.Timespec
	if !ok || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0, false
	}
	return max(time.Duration(now.Nano())-started, 0), true
}

// stat is when, since the boot, the process started by what /proc/self/stat says.
func stat(text []byte) (started time.Duration, ok bool) {
	// The second field is a name in parentheses, in which anything may be. The start is the 22nd.
	const start = 22 - 3
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= start {
		return 0, false
	}
	ticks, err := strconv.ParseInt(string(fields[start]), 10, 64)
	return time.Duration(ticks) * (time.Second / ticksPerSecond), err == nil
}
