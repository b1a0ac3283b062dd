package measure_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tiny() measure.Bench {
	const d = 2 * time.Millisecond
	return measure.Bench{Now: time.Now, Budget: measure.Budget{Warm: d, Throughput: d, Latency: d}}
}

// fake is a peer of locked counters, with one fault at most.
type fake struct {
	mu     sync.Mutex
	values map[int]int64
	calls  int
	answer func(calls int, right int64) (int64, error) // nil: the right answer
	skip   func(calls int) bool                        // nil: every call counts
	closed error
}

var errFault = errors.New("fault")

func (f *fake) Name() string   { return "fake" }
func (f *fake) Module() string { return "" }

func (f *fake) Open(context.Context, peer.Options) (peer.Target, error) {
	f.values = make(map[int]int64)
	return f, nil
}

func (f *fake) Context(ctx context.Context) context.Context { return ctx }

func (f *fake) Call(_ context.Context, _, object int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	right := f.values[object] + 1
	if f.skip == nil || !f.skip(f.calls) {
		f.values[object] = right
	}
	if f.answer != nil {
		return f.answer(f.calls, right)
	}
	return right, nil
}

func (f *fake) Close(context.Context) error { return f.closed }

func TestCalls(t *testing.T) {
	t.Parallel()
	workloads := []measure.Workload{{Callers: 1, Objects: 1}, {Callers: 4, Objects: 10}}
	samples, err := tiny().Calls(t.Context(), &fake{}, workloads...)
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != len(workloads) {
		t.Fatalf("%d samples, want %d", len(samples), len(workloads))
	}
	for i, s := range samples {
		if s.Peer != "fake" || s.Workload != workloads[i] {
			t.Errorf("sample %d is of %s with %s", i, s.Peer, s.Workload)
		}
		if s.Calls < int64(s.Workload.Callers) || s.Wall <= 0 || s.LeastCalls < 1 || s.MostCalls < s.LeastCalls {
			t.Errorf("sample %d: %+v", i, s)
		}
		if s.P50 <= 0 || s.P50 > s.P99 || s.P99 > s.Max {
			t.Errorf("sample %d has latencies %v, %v, %v", i, s.P50, s.P99, s.Max)
		}
	}
}

func TestCallsRefusesWrongPeers(t *testing.T) {
	t.Parallel()
	const at = 40 // past the activations
	for name, f := range map[string]*fake{
		"failing call":     {answer: func(n int, v int64) (int64, error) { return v, when(n == at, errFault) }},
		"repeated answer":  {answer: func(n int, v int64) (int64, error) { return v - int64(btoi(n == at)), nil }},
		"failing close":    {closed: errFault},
		"active beginning": {answer: func(_ int, v int64) (int64, error) { return v + 1, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := tiny().Calls(t.Context(), f, measure.Workload{Callers: 1, Objects: 1}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestCallsAuditsTheSum(t *testing.T) {
	t.Parallel()
	const at = 40
	f := &fake{}
	f.skip = func(n int) bool { return n == at }
	_, err := tiny().Calls(t.Context(), f, measure.Workload{Callers: 2, Objects: 10})
	if err == nil || !strings.Contains(err.Error(), "the counters show") {
		t.Errorf("a lost call on one of many objects: %v", err)
	}
}

func TestActivations(t *testing.T) {
	t.Parallel()
	f := &fake{}
	a, err := tiny().Activations(t.Context(), f, 4, 101)
	if err != nil {
		t.Fatal(err)
	}
	if f.calls != 101 || len(f.values) != 101 {
		t.Errorf("%d calls of %d objects, want 101 of 101", f.calls, len(f.values))
	}
	if a.Objects != 101 || a.Callers != 4 || a.Wall <= 0 {
		t.Errorf("%+v", a)
	}
}

func when(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

func btoi(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
