package inspector

import (
	"testing"
	"time"
)

// Seconds end a quarter of a second after whole ones, whatever the clock does, and none is shorter than half of one.
func TestSecondsEndAfterWhatNodesTell(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	const ms = time.Millisecond
	for at, want := range map[time.Duration]time.Duration{
		0:        1250 * ms,
		249 * ms: 1001 * ms, // the timer came a little early
		250 * ms: 1000 * ms,
		251 * ms: 999 * ms,
		750 * ms: 500 * ms,
		751 * ms: 1499 * ms,
		999 * ms: 1251 * ms,
	} {
		if got := untilTick(second.Add(at)); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}
