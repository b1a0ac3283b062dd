//go:build !linux

package clock

import (
	"errors"
	"time"
)

// CountsSuspend says whether the Boot of a [System] clock counts the time that the machine slept.
const CountsSuspend = false

func readBoot() (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
