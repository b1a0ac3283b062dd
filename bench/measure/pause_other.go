//go:build !linux

package measure

import "time"

// pauses returns a function that pauses as exactly as a timer can.
func pauses() func(d time.Duration) {
	return func(d time.Duration) { <-time.After(d) }
}
