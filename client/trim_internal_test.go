package client

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// nothing is a task.
type nothing struct{}

func (nothing) do() {}

// The service's crew is trimmed while it has something to do, once more, and never after Stop.
func TestTheCrewIsTrimmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewService(Config{Clock: clock.Virtual()})
		var trims atomic.Int32
		trim := s.trimmer.trim
		s.trimmer.trim = func() { trims.Add(1); trim() }
		want := func(n int32, after time.Duration) {
			t.Helper()
			time.Sleep(after) //nolint:forbidigo // virtual time
			synctest.Wait()
			if got := trims.Swap(0); got != n {
				t.Errorf("trimmed %d times, want %d", got, n)
			}
		}
		s.start()
		want(0, time.Hour)
		for range 3 {
			s.start(nothing{})
			want(0, trimEvery-1)
			want(1, 1)
			want(1, trimEvery) // what worked then has idled since
			want(0, time.Hour)
		}
		s.start(nothing{})
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		want(0, time.Hour)
		s.start(nothing{}) // whoever is late
		want(0, time.Hour)
	})
}

// However work and the timer meet, a trimmer that has been told of work has a timer.
func TestTrimmerSleepsOverNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		trims := 0
		tr := trimmer{clock: clock.Virtual(), trim: func() { mu.Lock(); trims++; mu.Unlock() }}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 100 {
					tr.note()
					time.Sleep(trimEvery / 2) //nolint:forbidigo // virtual time: half of them meet the timer
				}
			})
		}
		all.Wait()
		time.Sleep(3 * trimEvery) //nolint:forbidigo // virtual time
		mu.Lock()
		defer mu.Unlock()
		if trims < 50 || trims > 53 || tr.state.Load() != rests {
			t.Errorf("%d times in %v, state %d", trims, 50*trimEvery, tr.state.Load())
		}
		tr.stop()
		tr.note()
		if tr.timer.Stop() {
			t.Error("it has a timer after its end")
		}
	})
}
