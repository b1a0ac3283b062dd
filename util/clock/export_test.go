package clock

import "time"

// NewBoot is a Clock whose Boot reads from boot.
func NewBoot(boot func() (time.Duration, error)) Clock {
	return &clock{base: time.Now(), boot: boot}
}
