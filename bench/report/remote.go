package report

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/xiaonanln/goverse/bench/measure"
)

// crossings is the workload that a table of calls to another process is of.
type crossings struct {
	payload int
	callers int
	pace    string
}

func workloadOf(c measure.Crossing) crossings {
	return crossings{payload: c.Payload, callers: c.Callers, pace: c.Pace}
}

// CrossingTimes is the figure that a peer makes so many times as many calls a second as another one.
func CrossingTimes(claim, name, baseline string, payload, callers int, atLeast float64) Figure {
	return Figure{Claim: claim, Bound: atLeast, Of: func(r *Report) (float64, bool) {
		own, ok := r.callsPerSecond(name, crossings{payload: payload, callers: callers})
		base, known := r.callsPerSecond(baseline, crossings{payload: payload, callers: callers})
		return own / base, ok && known
	}}
}

// CrossingLatency is the figure that a peer's median latency is at most so many times another one's.
func CrossingLatency(claim, name, baseline string, payload, callers int, atMost float64) Figure {
	return Figure{Claim: claim, Bound: atMost, AtMost: true, Of: func(r *Report) (float64, bool) {
		own := r.crossings(name, crossings{payload: payload, callers: callers})
		base := r.crossings(baseline, crossings{payload: payload, callers: callers})
		if len(own) == 0 || len(base) == 0 {
			return 0, false
		}
		p50 := func(c measure.Crossing) float64 { return float64(c.P50) }
		return medianOf(own, p50) / medianOf(base, p50), true
	}}
}

// CrossingAllocations is the figure that a call allocates so many times at most, in all processes together, beyond what
// its messages do. It is to one decimal: the rest of the processes allocates too.
func CrossingAllocations(claim, name string, payload, callers int, atMost float64) Figure {
	return Figure{Claim: claim, Bound: atMost, AtMost: true, Of: func(r *Report) (float64, bool) {
		own := r.crossings(name, crossings{payload: payload, callers: callers})
		if len(own) == 0 {
			return 0, false
		}
		exact := medianOf(own, func(c measure.Crossing) float64 { return perCall(c, float64(c.Usage.Mallocs)) }) - r.MessageAllocations
		return math.Round(exact*10) / 10, true
	}}
}

func (r *Report) crossings(name string, workload crossings) []measure.Crossing {
	var own []measure.Crossing
	for _, c := range r.Crossings {
		if c.Peer == name && workloadOf(c) == workload {
			own = append(own, c)
		}
	}
	return own
}

func (r *Report) callsPerSecond(name string, workload crossings) (float64, bool) {
	own := r.crossings(name, workload)
	if len(own) == 0 {
		return 0, false
	}
	return medianOf(own, perSecond), true
}

func perSecond(c measure.Crossing) float64 { return float64(c.Calls) / c.Wall.Seconds() }

func perCall(c measure.Crossing, v float64) float64 { return v / float64(max(c.Calls, 1)) }

func (r *Report) writeCrossings(out io.Writer) {
	var seen []crossings
	for _, c := range r.Crossings {
		w := workloadOf(c)
		if slices.Contains(seen, w) {
			continue
		}
		seen = append(seen, w)
		r.writeCrossingsHead(out, w)
		for _, name := range distinct(r.Crossings, func(c measure.Crossing) string { return c.Peer }) {
			if own := r.crossings(name, w); len(own) > 0 {
				r.writeCrossing(out, name, w, own)
			}
		}
	}
}

func (r *Report) writeCrossingsHead(out io.Writer, w crossings) {
	if w.pace != "" {
		fmt.Fprintf(out, "\n%d bytes, %s, %s\tcalls/s\tspread\tCPU s/100k\tallocs\tB\tp50\tp99\tp99.9\tmax\tdue/s\tlate p99\t\n",
			w.payload, w.pace, callersText(w.callers))
		return
	}
	fmt.Fprintf(out, "\n%d bytes, %s\tcalls/s\tspread\tCPU s/100k\tallocs\tB\tp50\tp99\tp99.9\tmax\t", w.payload, callersText(w.callers))
	for _, b := range r.Baselines {
		fmt.Fprintf(out, "x %s\t", b)
	}
	fmt.Fprintln(out)
}

func callersText(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

func (r *Report) writeCrossing(out io.Writer, name string, w crossings, own []measure.Crossing) {
	of := func(f func(measure.Crossing) float64) float64 { return medianOf(own, f) }
	rates := make([]float64, len(own))
	for i, c := range own {
		rates[i] = perSecond(c)
	}
	mid := median(rates)
	fmt.Fprintf(out, "%s\t", name)
	fmt.Fprintf(out, "%.0f\t%.0f%%\t%s\t%.1f\t%.0f\t%s\t%s\t%s\t%s\t", mid, 100*(slices.Max(rates)-slices.Min(rates))/mid,
		known(of(func(c measure.Crossing) float64 { return perCall(c, c.Usage.CPU.Seconds()*100_000) }), "%.3f"),
		of(func(c measure.Crossing) float64 { return perCall(c, float64(c.Usage.Mallocs)) }),
		of(func(c measure.Crossing) float64 { return perCall(c, float64(c.Usage.Bytes)) }),
		duration(of(func(c measure.Crossing) float64 { return float64(c.P50) })),
		duration(of(func(c measure.Crossing) float64 { return float64(c.P99) })),
		duration(of(func(c measure.Crossing) float64 { return float64(c.P999) })),
		duration(of(func(c measure.Crossing) float64 { return float64(c.Max) })))
	if w.pace != "" {
		fmt.Fprintf(out, "%.0f\t%s\t", of(func(c measure.Crossing) float64 { return c.Rate }),
			duration(of(func(c measure.Crossing) float64 { return float64(c.Late) })))
	} else {
		r.writeRatios(out, mid, w)
	}
	fmt.Fprintln(out)
}

func (r *Report) writeRatios(out io.Writer, own float64, w crossings) {
	for _, b := range r.Baselines {
		ratio := "-"
		if base, ok := r.callsPerSecond(b, w); ok {
			ratio = fmt.Sprintf("%.2f", own/base)
		}
		fmt.Fprintf(out, "%s\t", ratio)
	}
}
