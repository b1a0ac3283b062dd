package measure_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
)

// clocked is a target whose calls take some time.
type clocked struct {
	takes time.Duration
	calls atomic.Int64
	fails bool
}

func (c *clocked) Context(ctx context.Context) context.Context { return ctx }
func (c *clocked) Close(context.Context) error                 { return nil }

func (c *clocked) Call(context.Context, int, int) (int64, error) {
	if c.fails {
		return 0, errors.New("the target is broken")
	}
	if c.takes > 0 {
		<-time.After(c.takes)
	}
	return c.calls.Add(1), nil
}

func TestDriveTimesCallsWhenAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := &clocked{takes: 10 * time.Millisecond}
		bench := measure.Bench{Now: time.Now}
		w := measure.Workload{Callers: 4, Objects: 2}
		untimed, err := bench.Drive(t.Context(), target, w, time.Second, false)
		if err != nil || untimed.Calls < 4*100 || untimed.P50 != 0 {
			t.Errorf("untimed: %+v, %v", untimed, err)
		}
		timed, err := bench.Drive(t.Context(), target, w, time.Second, true)
		if err != nil || timed.P50 != target.takes || timed.P999 != target.takes {
			t.Errorf("timed: %+v, %v", timed, err)
		}
		if untimed.Calls+timed.Calls != target.calls.Load() {
			t.Errorf("%d and %d calls are reported of %d", untimed.Calls, timed.Calls, target.calls.Load())
		}
	})
}

func TestOpenMakesTheCallsThatAreDue(t *testing.T) {
	t.Parallel()
	target := &clocked{}
	drive, err := measure.Bench{Now: time.Now}.Open(t.Context(), target, measure.Workload{Callers: 8, Objects: 2}, 10_000, 50*time.Millisecond)
	if err != nil || drive.Calls != 500 || target.calls.Load() != 500 {
		t.Errorf("%+v, %d calls, %v", drive, target.calls.Load(), err)
	}
	if drive.Wall < 49*time.Millisecond {
		t.Errorf("500 calls at 10000 a second were made in %s", drive.Wall)
	}
}

// TestOpenCountsFromWhenACallWasDue: one caller serves calls that are due faster than they can be served, so that each
// waits for all those before it.
func TestOpenCountsFromWhenACallWasDue(t *testing.T) {
	t.Parallel()
	const calls = 20
	target := &clocked{takes: 5 * time.Millisecond}
	drive, err := measure.Bench{Now: time.Now}.Open(t.Context(), target, measure.Workload{Callers: 1, Objects: 1}, calls*1000, time.Millisecond)
	if err != nil || drive.Calls != calls {
		t.Fatalf("%+v, %v", drive, err)
	}
	if least := (calls - 1) * target.takes; drive.Max < least {
		t.Errorf("the last call waited %s, less than the %s that those before it took", drive.Max, least)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	bench := measure.Bench{Now: time.Now}
	w := measure.Workload{Callers: 2, Objects: 1}
	if _, err := bench.Open(t.Context(), &clocked{fails: true}, w, 1000, 10*time.Millisecond); err == nil {
		t.Error("failing calls go unnoticed")
	}
	if _, err := bench.Open(t.Context(), &clocked{}, w, 10, time.Millisecond); err == nil {
		t.Error("a run without calls is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bench.Open(ctx, &clocked{}, w, 1000, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
