package main

import (
	"context"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/bench/report"
)

func TestInspectShort(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"inspect", "-short", "-control", "-callers", "4"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	t.Log(stdout.String())
	for _, row := range []string{
		"local, inspector, no tab", "local, inspector, a tab", "local, no inspector", "remote, inspector, no tab", "remote, inspector, a tab", "remote, no inspector",
		"a panic in events", "a new object in graph", busiest, "prefix=many-1234", "sort=calls",
	} {
		if got := rows(stdout.String(), row); got != 1 {
			t.Errorf("%q has %d rows, want 1", row, got)
		}
	}
}

func TestInspectFigures(t *testing.T) {
	t.Parallel()
	s := &sight{
		plan:   inspectPlan{many: 10},
		panics: []time.Duration{time.Millisecond, 2 * time.Second}, births: []time.Duration{3 * time.Millisecond},
		flows: []flow{{view: "a", bytes: 150_000}, {view: "b", bytes: 250_000}},
	}
	for _, lost := range []float64{1, 1, 2, 2, 3, 3} {
		of := func(kind, state string, dearer float64) trial {
			return trial{kind: kind, state: state, dearer: dearer, slower: 99, busy: 1.5, inspector: 0.0015, telling: 99} // 0.1 % of the busy cores
		}
		s.trials = append(s.trials, of(localCalls, attached, lost), of(localCalls, tabbed, lost), of(remoteCalls, attached, lost/10), of(remoteCalls, tabbed, 3*lost))
	}
	want := []struct {
		value   float64
		verdict string
	}{
		{2.1, "MISSED"},
		{2.1, "not shown"},
		{0.3, "holds"},
		{6.1, "MISSED"},
		{2000, "MISSED"},
		{0, "not measured"},
		{0, "not measured"},
		{0, "not measured"},
		{250, "MISSED"},
	}
	figures := s.figures()
	for i, f := range figures {
		if got, _ := f.Of(nil); math.Abs(got-want[i].value) > 1e-9 {
			t.Errorf("%s: %g, want %g", f.Claim, got, want[i].value)
		}
	}
	var text strings.Builder
	if err := (&report.Report{Figures: figures}).Write(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")[1:] // without the head
	if len(lines) != len(want) || len(figures) != len(want) {
		t.Fatalf("%d figures in %d lines, want %d", len(figures), len(lines), len(want))
	}
	for i, line := range lines {
		if !strings.HasSuffix(strings.TrimSpace(line), want[i].verdict) {
			t.Errorf("%q, want %s", line, want[i].verdict)
		}
	}
}

// What the clusters differ by themselves drops out.
func TestTrialOf(t *testing.T) {
	t.Parallel()
	const better, seen = 1.07, 0.98 // the first cluster; one that is looked at
	of := func(ratio, inspector float64, idle [2]float64) period {
		return period{
			calls: map[string]*[2]float64{localCalls: {1000 * ratio, 2000}},
			times: map[string]*[2]float64{localCalls: {1, 2}},
			work:  map[string]*[2]float64{localCalls: {2 * ratio * ratio, 3}}, // it has used more of the cores
			pairs: map[string]*pairs{localCalls: {
				rates:  []float64{math.Log(ratio) + 0.05, math.Log(ratio) - 0.05},
				yields: []float64{math.Log(1 / ratio), math.Log(1 / ratio), math.Log(1 / ratio)},
			}},
			inspector: inspector, idle: idle,
		}
	}
	got := trialOf(attached, localCalls, [2]period{of(better*seen, 0.01, [2]float64{0.07, 0.02}), of(better/seen, 0.03, [2]float64{0.06, 0.03})})
	want := trial{
		state: attached, kind: localCalls, rate: 500 * (1 + better/seen), busy: (1.5 + 2*better/seen*better/seen) / 2,
		slower: 2, dearer: 100 * (1 - 1/seen), unbounded: 100 * (1 - 1/seen), inspector: 0.02, telling: 0.01,
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	if got.state != want.state || got.kind != want.kind || !near(got.rate, want.rate) || !near(got.busy, want.busy) || !near(got.slower, want.slower) ||
		!near(got.dearer, want.dearer) || !near(got.unbounded, want.unbounded) || !near(got.inspector, want.inspector) || !near(got.telling, want.telling) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if lost := got.lost(); !near(lost, want.dearer+100*0.02/want.busy) {
		t.Errorf("lost %g", lost)
	}
	if lost := got.lostRate(); !near(lost, 2+100*0.03/float64(runtime.GOMAXPROCS(0))) {
		t.Errorf("lost %g of the calls a second", lost)
	}
}

// What a pair of bursts says is the difference between the clusters; one that the machine disturbed says little.
func TestPairs(t *testing.T) {
	t.Parallel()
	var of pairs
	of.add([2]burst{{calls: 300, wall: 2, work: 3}, {calls: 100, wall: 1, work: 2}})
	if math.Abs(of.rates[0]-math.Log(1.5)) > 1e-9 || math.Abs(of.yields[0]-math.Log(2)) > 1e-9 {
		t.Errorf("%+v", of)
	}
	if got, want := meanWithin([]float64{0.31, 0.30, 0.29, 0.27, 5, math.Inf(-1), 0.33}, farthest), (0.31+0.30+0.29+0.27+0.40+0.20+0.33)/7; math.Abs(got-want) > 1e-9 {
		t.Errorf("%g, want %g", got, want)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	var all []float64
	for i := range 100 { // in no order: 0, 1, …, 99
		all = append(all, float64(i*37%100))
	}
	if got := estimateOf(all); got != (estimate{49.5, 43.5, 55.5}) { // by another program
		t.Errorf("%+v, want 49.5 between 43.5 and 55.5", got)
	}
	// By the table of the signed-rank test 8 of the 55 means are outside on either side: one less is on the safe side.
	if got := estimateOf([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}); got != (estimate{5.5, 3, 8}) {
		t.Errorf("of ten: %+v", got)
	}
	if got := estimateOf([]float64{1, 2, 3, 4, 5}); got != (estimate{3, math.Inf(-1), math.Inf(1)}) {
		t.Errorf("of five: %+v", got)
	}
	if got := estimateOf([]float64{6, 5, 4, 3, 2, 1}); got != (estimate{3.5, 1, 6}) {
		t.Errorf("of six: %+v", got)
	}
}

func TestInspectFlags(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end() // what is wrongly accepted fails at once
	for _, args := range []string{"-reps 0", "-d 0s", "-events 1", "-many -1", "more"} {
		var stdout, stderr strings.Builder
		if code := run(ended, append([]string{"inspect"}, strings.Fields(args)...), &stdout, &stderr); code != 2 {
			t.Errorf("%s: exit code %d: %s", args, code, stderr.String())
		}
	}
}
