package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CountsSuspend says whether the Boot of a [System] clock counts the time that the machine slept.
const CountsSuspend = true

func readBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
