package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/report"
)

func sample(name string, w measure.Workload, wall time.Duration) measure.Sample {
	return measure.Sample{
		Peer: name, Workload: w, Calls: 1000, Wall: wall, CPU: 2 * wall, Mallocs: 2000, Bytes: 64_000,
		LeastCalls: 1, MostCalls: 999, P50: 300, P99: 12_345, Max: time.Second,
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	one := measure.Workload{Callers: 1, Objects: 1}
	r := report.Report{
		Lines:     []string{"a machine"},
		Baselines: []string{"slow", "absent"},
		Samples: []measure.Sample{
			sample("fast", one, 100*time.Microsecond), sample("slow", one, 400*time.Microsecond),
			sample("fast", one, 300*time.Microsecond), sample("slow", one, 600*time.Microsecond),
			sample("fast", one, 200*time.Microsecond), sample("slow", one, 500*time.Microsecond),
		},
		Activations: []measure.Activation{
			{Peer: "fast", Objects: 10, Callers: 2, Wall: 10 * time.Microsecond, HeapBytes: 300, StackBytes: 24},
			{Peer: "slow", Objects: 10, Callers: 2, Wall: 90 * time.Microsecond, HeapBytes: 3000, Goroutines: 10},
		},
		Orders: []measure.Order{{Peer: "fast", Callers: 64}, {Peer: "slow", Callers: 64, OutOfPlace: 3, Overtaking: 2}},
		Figures: []report.Figure{
			report.Times("calls, times slow", "fast", "slow", one, 2.5),
			report.Times("calls, times fast", "slow", "fast", one, 0.9),
			report.Times("calls, times absent", "fast", "absent", one, 1),
			report.Allocations("allocations", "fast", one, 2),
			report.ActivationTimes("activations, times slow", "fast", "slow", 8),
			report.ActivationBytes("bytes each", "fast", 24, 299),
			report.Goroutines("goroutines", "slow", 9),
			report.OutOfTurn("order of fast", "fast"),
			report.OutOfTurn("order of slow", "slow"),
		},
	}
	check(t, r, want)
}

func check(t *testing.T, r report.Report, want string) {
	t.Helper()
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func crossing(name string, callers int, calls int64, mallocs uint64) measure.Crossing {
	return measure.Crossing{
		Peer: name, Payload: 16, Callers: callers, Calls: calls, Wall: time.Second,
		Usage: measure.Usage{CPU: 2 * time.Second, Mallocs: mallocs, Bytes: 100 * mallocs},
		P50:   100 * time.Microsecond, P99: time.Millisecond, P999: 2 * time.Millisecond, Max: time.Second,
	}
}

func TestWriteCrossings(t *testing.T) {
	t.Parallel()
	slow := crossing("slow", 64, 1000, 20_000)
	slow.P50 *= 4
	paced := crossing("fast", 64, 500, 8_000)
	paced.Pace, paced.Rate, paced.Late = "500/s due", 500, 60*time.Microsecond
	check(t, report.Report{
		Lines:              []string{"a machine"},
		Baselines:          []string{"slow", "absent"},
		MessageAllocations: 6,
		Crossings: []measure.Crossing{
			crossing("fast", 64, 4000, 40_000), slow, crossing("fast", 64, 5000, 60_000), crossing("fast", 64, 3000, 36_000),
			crossing("fast", 1, 100, 1_000), paced,
		},
		Figures: []report.Figure{
			report.CrossingTimes("times slow", "fast", "slow", 16, 64, 4),
			report.CrossingTimes("times fast", "slow", "fast", 16, 64, 0.5),
			report.CrossingTimes("other payload", "fast", "slow", 17, 64, 1),
			report.CrossingTimes("other callers", "fast", "slow", 16, 1, 1),
			report.CrossingLatency("p50, times slow", "fast", "slow", 16, 64, 0.25),
			report.CrossingLatency("p50, times fast", "slow", "fast", 16, 64, 3.9),
			report.CrossingAllocations("allocations of fast", "fast", 16, 64, 6),
			report.CrossingAllocations("allocations of slow", "slow", 16, 64, 13.9),
		},
	}, wantCrossings)
}

const wantCrossings = `
a machine

  16 bytes, 64 callers  calls/s  spread  CPU s/100k  allocs     B    p50  p99  p99.9  max  x slow  x absent
                  fast     4000     50%      50.000    12.0  1200  100us  1ms    2ms   1s    4.00         -
                  slow     1000      0%     200.000    20.0  2000  400us  1ms    2ms   1s    1.00         -

  16 bytes, 1 caller  calls/s  spread  CPU s/100k  allocs     B    p50  p99  p99.9  max  x slow  x absent
                fast      100      0%    2000.000    10.0  1000  100us  1ms    2ms   1s       -         -

  16 bytes, 500/s due, 64 callers  calls/s  spread  CPU s/100k  allocs     B    p50  p99  p99.9  max  due/s  late p99
                             fast      500      0%     400.000    16.0  1600  100us  1ms    2ms   1s    500      60us

               figure  required      measured        
           times slow      >= 4          4.00   holds
           times fast    >= 0.5          0.25  MISSED
        other payload      >= 1  not measured        
        other callers      >= 1  not measured        
      p50, times slow   <= 0.25          0.25   holds
      p50, times fast    <= 3.9          4.00  MISSED
  allocations of fast      <= 6          6.00   holds
  allocations of slow   <= 13.9         14.00  MISSED
`

const want = `
a machine

  1 caller, 1 object  ns/call  spread  calls/s  allocs   B  CPU s/100k    p50     p99  calls/caller  x slow  x absent
                fast      200    100%  5000000     2.0  64       0.040  300ns  12.3us         1-999    2.50         -
                slow      500     40%  2000000     2.0  64       0.100  300ns  12.3us         1-999    1.00         -

  activate 10 objects, 2 callers  seconds  ns each  CPU s  heap B each  stack B each  resident B each  goroutines
                            fast     0.00     1000      -          300            24                -           0
                            slow     0.00     9000      -         3000             0                -          10

  order of service on one object  waiting  out of place  overtaking
                            fast       64             0           0
                            slow       64             3           2

                   figure  required      measured        
        calls, times slow    >= 2.5          2.50   holds
        calls, times fast    >= 0.9          0.40  MISSED
      calls, times absent      >= 1  not measured        
              allocations      <= 2          2.00   holds
  activations, times slow      >= 8          9.00   holds
               bytes each    <= 299        300.00  MISSED
               goroutines      <= 9         10.00  MISSED
            order of fast      <= 0          0.00   holds
            order of slow      <= 0          5.00  MISSED
`
