package goverse_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGoVerse checks every answer, by what measure audits, and that Close leaves no goroutine.
func TestGoVerse(t *testing.T) {
	t.Parallel()
	const d = 5 * time.Millisecond
	bench := measure.Bench{Now: time.Now, Budget: measure.Budget{Warm: d, Throughput: d, Latency: d}}
	for _, p := range []peer.Peer{goverse.Default(), goverse.Shared()} {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			if _, err := bench.Calls(t.Context(), p, measure.Workload{Callers: 1, Objects: 1}, measure.Workload{Callers: 8, Objects: 3}); err != nil {
				t.Error(err)
			}
			if _, err := bench.Activations(t.Context(), p, 4, 100); err != nil {
				t.Error(err)
			}
			const waiting = 20
			order, err := bench.Order(t.Context(), p, waiting)
			if err != nil {
				t.Fatal(err)
			}
			if order.OutOfPlace != 0 || order.Overtaking != 0 {
				t.Errorf("of %d waiting callers %d were served out of place, and %d overtook", waiting, order.OutOfPlace, order.Overtaking)
			}
		})
	}
}
