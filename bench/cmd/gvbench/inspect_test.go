package main

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"
)

func TestInspectShort(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"inspect", "-short", "-callers", "4"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	t.Log(stdout.String())
	for _, row := range []string{
		"local, no inspector", "local, inspector, no tab", "local, inspector, a tab",
		"remote, no inspector", "remote, inspector, no tab", "remote, inspector, a tab",
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
	for i, round := range [][]float64{{100, 99, 90}, {200, 198, 180}, {400, 398, 392}} {
		for j, state := range costStates() {
			s.costs = append(s.costs,
				cost{kind: localCalls, state: state, rate: round[j], cpu: 1},
				cost{kind: remoteCalls, state: state, rate: float64(100 * (i + 1)), cpu: 100 + float64(j)/10})
		}
	}
	want := []struct {
		value float64
		holds bool
	}{
		{1, false}, {0, true}, {10, false}, {0, true}, // local
		{0, true}, {0.1, true}, {0, true}, {0.2, true}, // remote
		{2000, false}, {0, false}, {0, false}, {0, false}, {250, false},
	}
	for i, f := range s.figures() {
		got, measured := f.Of(nil)
		if diff := got - want[i].value; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%s: %g, want %g", f.Claim, got, want[i].value)
		}
		if measured == (i >= 9 && i <= 11) || (measured && (got <= f.Bound) != want[i].holds) {
			t.Errorf("%s: %g measured %v, at most %g", f.Claim, got, measured, f.Bound)
		}
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	s := &sight{}
	for i := range 100 { // in no order: what is lost is 0 %, 1 %, …, 99 %
		lost := float64(i * 37 % 100)
		s.costs = append(s.costs, cost{kind: localCalls, state: unwatched, rate: float64(i + 1)},
			cost{kind: localCalls, state: attached, rate: float64(i+1) * (100 - lost) / 100})
	}
	got := s.lost(localCalls, attached)
	// Of 100 rounds the 40th and the 61st by exact tables of the sign test.
	if math.Abs(got.mid-49.5) > 1e-9 || math.Abs(got.low-39) > 1e-9 || math.Abs(got.high-60) > 1e-9 {
		t.Errorf("%+v, want 49.5 between 39 and 60", got)
	}
	if got := s.pairwise(localCalls, unwatched, func(_, _ cost) float64 { return 0 }); got != (estimate{}) {
		t.Errorf("nothing is %+v", got)
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
