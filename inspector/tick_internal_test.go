package inspector

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	"github.com/xiaonanln/goverse/util/clock"
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
		if got := untilTick(second.Add(at), time.Second); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}

// While nobody looks, seconds are counted as rarely as nodes tell something, a quarter of a second after that; from when somebody comes each by
// itself, however often there is something else to ask nodes.
func TestSecondsAreCountedRarelyWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := New(Config{Clock: clock.Virtual()})
		begun := time.Now() // a multiple of all paces
		record := cluster.View{UUID: "u", Revision: 1}
		i.model.Place(record)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			i.tick(ctx)
		}()
		wait := func(until time.Duration) {
			for time.Since(begun) < until {
				time.Sleep(100 * time.Millisecond) //nolint:forbidigo // virtual time
				i.model.Place(record)              // the records change, and nothing in them
			}
			synctest.Wait()
		}
		wait(2*model.HoldFor + time.Second)
		release, err := i.model.Hold(model.Interest{})
		if err != nil {
			t.Fatal(err)
		}
		wait(2*model.HoldFor + 3*time.Second)
		release()
		wait(7 * model.HoldFor)
		cancel()
		<-ended
		var at []time.Duration
		for _, p := range *i.model.Overview(true).History {
			at = append(at, time.UnixMilli(p.T).Sub(begun))
		}
		const quarter, last = tickAfter, 15 * time.Second // for as long it is as if somebody looked
		want := []time.Duration{time.Second + quarter, model.HoldFor + quarter, 2*model.HoldFor + quarter}
		for s := 2*model.HoldFor + 2*time.Second; s <= 2*model.HoldFor+3*time.Second+last; s += time.Second {
			want = append(want, s+quarter)
		}
		want = append(want, 6*model.HoldFor+quarter)
		if !slices.Equal(at, want) {
			t.Errorf("seconds ended at %v, want %v", at, want)
		}
	})
}
