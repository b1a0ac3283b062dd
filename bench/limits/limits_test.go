package limits_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/bench/limits"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestLimits checks every answer, by what measure audits, and that Close leaves no goroutine.
func TestLimits(t *testing.T) {
	t.Parallel()
	const d = 5 * time.Millisecond
	bench := measure.Bench{Now: time.Now, Budget: measure.Budget{Warm: d, Throughput: d, Latency: d}}
	for _, p := range []peer.Peer{limits.Direct(), limits.Reflection(), limits.Mutex(), limits.Channel(), limits.ChannelWithCopies()} {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			workloads := []measure.Workload{{Callers: 1, Objects: 1}, {Callers: 1, Objects: 50}}
			if p.Name() != limits.Direct().Name() && p.Name() != limits.Reflection().Name() {
				workloads = append(workloads, measure.Workload{Callers: 8, Objects: 3})
			}
			if _, err := bench.Calls(t.Context(), p, workloads...); err != nil {
				t.Error(err)
			}
			if _, err := bench.Activations(t.Context(), p, 1, 100); err != nil {
				t.Error(err)
			}
		})
	}
}
