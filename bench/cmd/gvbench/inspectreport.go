package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/xiaonanln/goverse/bench/report"
)

// sight is all that inspect has measured.
type sight struct {
	plan   inspectPlan
	trials []trial
	panics []time.Duration
	births []time.Duration
	flows  []flow
	finds  []found
}

// flow is what a tab got to read while calls were made, both a second.
type flow struct {
	view         string
	bytes, calls float64
}

// found is how long one search took, the first time first, and how often it failed or missed some.
type found struct {
	query   string
	deep    bool // not the first page
	total   int
	partial int
	times   []time.Duration
}

// lines are the report's tables.
func (s *sight) lines() []string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "\n%d callers\tcalls/s\tspread\tcost\t95%% between\twithout bounds\t95%% between\tin calls/s\t95%% between\tinspector's cores\ttelling nodes'\t\n", s.plan.callers)
	for _, kind := range costKinds() {
		for _, state := range s.plan.costStates() {
			lost, free, slower := s.estimate(kind, state, trial.lost), s.estimate(kind, state, trial.lostUnbounded), s.estimate(kind, state, trial.lostRate)
			inspector, telling := s.cores(kind, state, inspecting), s.cores(kind, state, telling)
			rates := each(s.of(kind, state), func(t trial) float64 { return t.rate })
			fmt.Fprintf(out, "%s, %s\t%.0f\t%.1f%%\t%.2f%%\t%.2f%% and %.2f%%\t%.2f%%\t%.2f%% and %.2f%%\t%.2f%%\t%.2f%% and %.2f%%\t%.4f\t%.4f\t\n", kind, state,
				middle(rates), 100*(slices.Max(rates)-slices.Min(rates))/middle(rates), lost.mid, lost.low, lost.high, free.mid, free.low, free.high, slower.mid, slower.low, slower.high, inspector, telling)
		}
	}
	fmt.Fprintf(out, "\nfrom event to stream\tsamples\tp50\tp95\tworst\t\n")
	for _, row := range []struct {
		name  string
		times []time.Duration
	}{{"a panic in events", s.panics}, {"a new object in graph", s.births}, {"both", s.events()}} {
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\t\n", row.name, len(row.times), short(share(row.times, 0.5)), short(share(row.times, 0.95)), short(slices.Max(row.times)))
	}
	if len(s.flows) > 0 {
		fmt.Fprintf(out, "\na tab, %d objects\tKB/s\tcalls/s\t\n", 2*s.plan.talkers)
	}
	for _, f := range s.flows {
		fmt.Fprintf(out, "%s\t%.1f\t%.0f\t\n", f.view, f.bytes/1000, f.calls)
	}
	if len(s.finds) > 0 {
		fmt.Fprintf(out, "\nsearch, %d objects on 3 nodes\tfound\tfirst\tmedian of %d\tworst\tpartial\t\n", s.plan.many, searches)
	}
	for _, f := range s.finds {
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\t%d\t\n", f.query, f.total,
			short(f.times[0]), short(share(f.times[1:], 0.5)), short(slices.Max(f.times[1:])), f.partial)
	}
	_ = out.Flush() // it writes to memory
	lines := []string{
		processor(),
		fmt.Sprintf("%s; cost: %d crossovers of an inspector between two clusters of two nodes, each time %d pairs of bursts of %s, with a tab %d",
			time.Now().Format(time.DateOnly), s.plan.repetitions, 2*s.plan.bursts*alone, s.plan.duration, 2*s.plan.bursts),
		"cost is by how much fewer calls a second of processor time brings in the cluster that is looked at than in the other, by pairs of bursts that follow each",
		"other, of which none counts as farther than 10% from the middle of its kind at the time (without bounds: as it is), and what the inspector takes",
		"of the cores that the calls take, in the middle of the crossovers; in calls/s is the same of calls a second, and what inspector and telling nodes take of all",
		"cores; 95% between is where that middle lies by the order of the crossovers (signed-rank test); spread is (max-min)/median; what reads the tab's stream is",
		"a part of none of these processes, and its work is not told",
	}
	if s.plan.short {
		lines = append(lines, "SHORT RUN: the times mean nothing")
	}
	return append(lines, strings.TrimRight(text.String(), "\n"))
}

// figures are what the project promises of the inspector: none where times mean nothing.
func (s *sight) figures() []report.Figure {
	if s.plan.short {
		return nil
	}
	var all []report.Figure
	add := func(claim string, value, atMost float64, measured bool) {
		all = append(all, report.Figure{
			Claim: claim, Bound: atMost, AtMost: true,
			Of: func(*report.Report) (float64, bool) { return value, measured },
		})
	}
	for _, kind := range costKinds() {
		for _, watcher := range []struct {
			state, name string
			atMost      float64
		}{{attached, "nobody watches", 0.5}, {tabbed, "a tab on the busiest view", 3}} {
			lost := s.estimate(kind, watcher.state, trial.lost)
			add(fmt.Sprintf("%s calls, %s: throughput lost, %% (%.2f to %.2f)", kind, watcher.name, lost.low, lost.high), lost.mid, watcher.atMost, true)
			all[len(all)-1].Within = [2]float64{lost.low, lost.high}
		}
	}
	add("event to stream: p95, ms", milliseconds(share(s.events(), 0.95)), 1000, true)
	var first, deep time.Duration
	most, partial := 0.0, 0
	for _, f := range s.finds {
		partial += f.partial
		if f.deep {
			deep = max(deep, slices.Max(f.times))
		} else {
			first = max(first, slices.Max(f.times))
		}
	}
	for _, f := range s.flows {
		most = max(most, f.bytes/1000)
	}
	add(fmt.Sprintf("search among %d objects, first page: worst, ms", s.plan.many), milliseconds(first), 300, len(s.finds) > 0)
	add(fmt.Sprintf("search among %d objects, a later page: worst, ms", s.plan.many), milliseconds(deep), 300, len(s.finds) > 0)
	add("searches that failed or missed something", float64(partial), 0, len(s.finds) > 0)
	add("to one tab, the larger view: KB/s", most, 200, len(s.flows) > 0)
	return all
}

func (s *sight) events() []time.Duration { return slices.Concat(s.panics, s.births) }

// of returns the trials of a kind in a state.
func (s *sight) of(kind, state string) []trial {
	var all []trial
	for _, t := range s.trials {
		if t.kind == kind && t.state == state {
			all = append(all, t)
		}
	}
	return all
}

// estimate is how much a state costs, in percent.
func (s *sight) estimate(kind, state string, of func(trial) float64) estimate {
	return estimateOf(each(s.of(kind, state), of))
}

// lost is how much of the throughput of busy cores an inspector costs, in percent.
func (t trial) lost() float64 { return t.dearer + 100*t.inspector/t.busy }

// lostUnbounded is the same where each pair counts for what it says.
func (t trial) lostUnbounded() float64 { return t.unbounded + 100*t.inspector/t.busy }

// lostRate is how many calls a second it costs, in percent, with what it and the nodes that tell it something take of all
// cores whether there are calls or not: others cannot have it, where all are busy.
func (t trial) lostRate() float64 {
	return t.slower + 100*(t.inspector+t.telling)/float64(runtime.GOMAXPROCS(0))
}

func inspecting(t trial) float64 { return t.inspector }
func telling(t trial) float64    { return t.telling }

// cores is the median of what one of them takes.
func (s *sight) cores(kind, state string, of func(trial) float64) float64 {
	return middle(each(s.of(kind, state), of))
}

// estimate is the centre of what was measured, and between what that of all that is possible lies with 95 %.
type estimate struct{ mid, low, high float64 }

// estimateOf is the median of the means of all pairs, and its interval by the signed-rank test, both for values whose errors are as often
// above as below, however large some are (Hodges and Lehmann, Estimates of Location Based on Rank Tests, 1963). It takes six values at least to say anything
// with 95 %.
func estimateOf(values []float64) estimate {
	n := len(values)
	means := make([]float64, 0, n*(n+1)/2)
	for i, v := range values {
		for _, w := range values[i:] {
			means = append(means, (v+w)/2)
		}
	}
	slices.Sort(means)
	all := float64(len(means))
	outside := int(all/2 - 1.96*math.Sqrt(float64(n*(n+1)*(2*n+1))/24)) // the normal approximation of its quantile, which is on the safe side
	if n < 6 || outside < 1 {
		return estimate{middle(means), math.Inf(-1), math.Inf(1)}
	}
	return estimate{middle(means), means[outside-1], means[len(means)-outside]}
}

func each(all []trial, f func(trial) float64) []float64 {
	values := make([]float64, len(all))
	for i, c := range all {
		values[i] = f(c)
	}
	return values
}

// middle is the median of at least one value.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// share is the time that so large a part of at least one did not take longer than.
func share(times []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func short(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
