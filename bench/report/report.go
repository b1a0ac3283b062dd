// Package report turns the samples of a benchmark run into one table for a terminal.
//
// Every number is the median of its row's repetitions, and every ratio the ratio of two medians of the same
// run. The package owns no goroutine; a Report is written by one.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/xiaonanln/goverse/bench/measure"
)

// Report is a run's results.
type Report struct {
	// Lines say what the run ran on; they are printed first.
	Lines []string
	// Baselines are the peers that the others are compared with, by name.
	Baselines []string
	// Samples, Activations and Orders are the repetitions, in the order in which rows are to appear.
	Samples     []measure.Sample
	Activations []measure.Activation
	Orders      []measure.Order
	// Crossings are repetitions of calls to another process.
	Crossings []measure.Crossing
	// Upkeeps are what members of crowds cost, FanOuts repetitions of saying something to all of them.
	Upkeeps []measure.Upkeep
	FanOuts []measure.FanOut
	// MessageAllocations are those that a call to another process makes for its messages alone.
	MessageAllocations float64
	// Figures are the claims to be checked.
	Figures []Figure
}

// Write prints the report.
func (r *Report) Write(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range r.Lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	r.writeCalls(out)
	r.writeActivations(out)
	r.writeOrders(out)
	r.writeCrossings(out)
	r.writeUpkeeps(out)
	r.writeFanOuts(out)
	r.writeFigures(out)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) writeCalls(out io.Writer) {
	for _, workload := range distinct(r.Samples, func(s measure.Sample) measure.Workload { return s.Workload }) {
		fmt.Fprintf(out, "\n%s\tns/call\tspread\tcalls/s\tallocs\tB\tCPU s/100k\tp50\tp99\tcalls/caller\t", workload)
		for _, b := range r.Baselines {
			fmt.Fprintf(out, "x %s\t", b)
		}
		fmt.Fprintln(out)
		for _, name := range distinct(r.Samples, func(s measure.Sample) string { return s.Peer }) {
			if samples := r.samples(name, workload); len(samples) > 0 {
				r.writeRow(out, name, workload, samples)
			}
		}
	}
}

func (r *Report) writeRow(out io.Writer, name string, workload measure.Workload, samples []measure.Sample) {
	ns := nanoseconds(samples)
	mid := median(ns)
	fmt.Fprintf(out, "%s\t%.0f\t%.0f%%\t%.0f\t%.1f\t%.0f\t%s\t%s\t%s\t%.0f-%.0f\t", name,
		mid, 100*(slices.Max(ns)-slices.Min(ns))/mid, 1e9/mid,
		medianOf(samples, func(s measure.Sample) float64 { return per(s, float64(s.Mallocs)) }),
		medianOf(samples, func(s measure.Sample) float64 { return per(s, float64(s.Bytes)) }),
		known(medianOf(samples, func(s measure.Sample) float64 { return per(s, s.CPU.Seconds()*100_000) }), "%.3f"),
		duration(medianOf(samples, func(s measure.Sample) float64 { return float64(s.P50) })),
		duration(medianOf(samples, func(s measure.Sample) float64 { return float64(s.P99) })),
		medianOf(samples, func(s measure.Sample) float64 { return float64(s.LeastCalls) }),
		medianOf(samples, func(s measure.Sample) float64 { return float64(s.MostCalls) }))
	for _, b := range r.Baselines {
		ratio := "-"
		if base, ok := r.CallTime(b, workload); ok {
			ratio = fmt.Sprintf("%.2f", base/mid)
		}
		fmt.Fprintf(out, "%s\t", ratio)
	}
	fmt.Fprintln(out)
}

func (r *Report) writeActivations(out io.Writer) {
	if len(r.Activations) == 0 {
		return
	}
	first := r.Activations[0]
	fmt.Fprintf(out, "\nactivate %d objects, %d callers\tseconds\tns each\tCPU s\theap B each\tstack B each\tresident B each\tgoroutines\t\n",
		first.Objects, first.Callers)
	for _, name := range distinct(r.Activations, func(a measure.Activation) string { return a.Peer }) {
		all := r.activations(name)
		of := func(f func(measure.Activation) float64) float64 { return medianOf(all, f) }
		fmt.Fprintf(out, "%s\t%.2f\t%.0f\t%s\t%.0f\t%.0f\t%s\t%.0f\t\n", name,
			of(func(a measure.Activation) float64 { return a.Wall.Seconds() }),
			of(activationTime),
			known(of(func(a measure.Activation) float64 { return a.CPU.Seconds() }), "%.2f"),
			of(func(a measure.Activation) float64 { return a.HeapBytes }),
			of(func(a measure.Activation) float64 { return a.StackBytes }),
			known(of(func(a measure.Activation) float64 { return a.ResidentBytes }), "%.0f"),
			of(func(a measure.Activation) float64 { return float64(a.Goroutines) }))
	}
}

func (r *Report) writeOrders(out io.Writer) {
	if len(r.Orders) == 0 {
		return
	}
	fmt.Fprint(out, "\norder of service on one object\twaiting\tout of place\tovertaking\t\n")
	for _, o := range r.Orders {
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t\n", o.Peer, o.Callers, o.OutOfPlace, o.Overtaking)
	}
}

// CallTime returns a peer's median nanoseconds per call.
func (r *Report) CallTime(name string, workload measure.Workload) (float64, bool) {
	samples := r.samples(name, workload)
	if len(samples) == 0 {
		return 0, false
	}
	return median(nanoseconds(samples)), true
}

func (r *Report) samples(name string, workload measure.Workload) []measure.Sample {
	var own []measure.Sample
	for _, s := range r.Samples {
		if s.Peer == name && s.Workload == workload {
			own = append(own, s)
		}
	}
	return own
}

func (r *Report) activations(name string) []measure.Activation {
	var own []measure.Activation
	for _, a := range r.Activations {
		if a.Peer == name {
			own = append(own, a)
		}
	}
	return own
}

func activationTime(a measure.Activation) float64 { return float64(a.Wall) / float64(a.Objects) }

func nanoseconds(samples []measure.Sample) []float64 {
	ns := make([]float64, len(samples))
	for i, s := range samples {
		ns[i] = per(s, float64(s.Wall))
	}
	return ns
}

func per(s measure.Sample, v float64) float64 { return v / float64(max(s.Calls, 1)) }

func medianOf[T any](all []T, f func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, v := range all {
		values[i] = f(v)
	}
	return median(values)
}

// median of at least one value; of an even number the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// distinct returns the keys of all, each once, in the order of their first appearance.
func distinct[T any, K cmp.Ordered | measure.Workload](all []T, key func(T) K) []K {
	var keys []K
	for _, v := range all {
		if k := key(v); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// known formats a number that is zero where the machine does not tell it.
func known(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// duration prints three digits at most.
func duration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.0fns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3gus", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3gms", ns/1e6)
	default:
		return time.Duration(ns).Round(10 * time.Millisecond).String()
	}
}
