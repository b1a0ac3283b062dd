package inspection

import (
	"testing"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// Nothing is held for longer than it may be where the clock of the day stands still.
func TestHeldByAClockThatStandsStill(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	h := held{most: 5 * time.Second}
	told := 0
	for second := range 21 {
		now := time.Duration(second) * time.Second
		if due := h.add(new(inspectpb.WatchResponse), now, day); due != (second == 0 || second%6 == 0) {
			t.Errorf("after %v: due %t, with %d held", now, due, len(h.responses))
		} else if due {
			for range h.all(func() time.Duration { return now }) {
				told++
			}
		}
	}
	if told != 19 || len(h.responses) != 2 {
		t.Errorf("%d were told, %d are held", told, len(h.responses))
	}
}
