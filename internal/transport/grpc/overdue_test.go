package grpc

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// A call whose time is over is not queued, and nothing of it stays.
func TestOverdueCallsAreNotQueued(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 10})
	past := c.clock.Now().Add(-time.Second)
	w, err := c.begin(t.Context(), &transport.Call{}, false, &bound{deadline: past, own: true})
	if w != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an overdue call: %v, %v", w, err)
	}
	if len(c.queue) > 0 || c.flights != 0 || c.alarm.at != 0 {
		t.Errorf("%d messages, %d calls under way, an alarm at %v", len(c.queue), c.flights, c.alarm.at)
	}
	send(t, c, 1)
	equal(t, "a call after that", kinds(t, c), kindCall)
}
