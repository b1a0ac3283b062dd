package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/xiaonanln/goverse/bench/measure"
)

// UpkeepBytes is the figure that each member of a crowd takes so many bytes of heap and stack at most, where there are
// so many members at least.
func UpkeepBytes(claim, name string, members int, atMost float64) Figure {
	return Figure{Claim: claim, Bound: atMost, AtMost: true, Of: func(r *Report) (float64, bool) {
		for _, u := range r.Upkeeps {
			if u.Peer == name && u.Members >= members {
				return u.Heap + u.Stacks, true
			}
		}
		return 0, false
	}}
}

func (r *Report) writeUpkeeps(out io.Writer) {
	if len(r.Upkeeps) == 0 {
		return
	}
	fmt.Fprint(out, "\nmemory of each, idle\tmembers\theap+stack B\theap B\tstack B\tresident B\tgoroutines\t\n")
	for _, u := range r.Upkeeps {
		fmt.Fprintf(out, "%s\t%d\t%.0f\t%.0f\t%.0f\t%s\t%.1f\t\n", u.Peer, u.Members, u.Heap+u.Stacks, u.Heap, u.Stacks,
			known(u.Resident, "%.0f"), u.Goroutines)
	}
	for _, u := range r.Upkeeps {
		fmt.Fprintf(out, "\nheap of a %s by who allocated it\tB\t\n", u.Peer)
		for _, part := range slices.SortedFunc(maps.Keys(u.Parts), func(a, b string) int { return cmp.Compare(u.Parts[b], u.Parts[a]) }) {
			const little = 50
			if u.Parts[part] >= little {
				fmt.Fprintf(out, "%s\t%.0f\t\n", part, u.Parts[part])
			}
		}
	}
}

func (r *Report) writeFanOuts(out io.Writer) {
	if len(r.FanOuts) == 0 {
		return
	}
	first := r.FanOuts[0]
	fmt.Fprintf(out, "\n%d bytes to each of %d members\tmessages/s\tspread\tCPU s/100k\tallocs\tB\tp50\tp99\tp99.9\tmax\tof all processes: CPU s/s\t\n",
		first.Payload, first.Members)
	for _, name := range distinct(r.FanOuts, func(f measure.FanOut) string { return f.Peer }) {
		own := slices.DeleteFunc(slices.Clone(r.FanOuts), func(f measure.FanOut) bool { return f.Peer != name })
		of := func(f func(measure.FanOut) float64) float64 { return medianOf(own, f) }
		rates := make([]float64, len(own))
		for i, f := range own {
			rates[i] = float64(f.Heard) / f.Wall.Seconds()
		}
		mid := median(rates)
		each := func(f measure.FanOut, v float64) float64 { return v / float64(max(f.Heard, 1)) }
		fmt.Fprintf(out, "%s\t%.0f\t%.0f%%\t%s\t%.1f\t%.0f\t%s\t%s\t%s\t%s\t%.2f\t\n", name, mid,
			100*(slices.Max(rates)-slices.Min(rates))/mid,
			known(of(func(f measure.FanOut) float64 { return each(f, f.Usage.CPU.Seconds()*100_000) }), "%.3f"),
			of(func(f measure.FanOut) float64 { return each(f, float64(f.Usage.Mallocs)) }),
			of(func(f measure.FanOut) float64 { return each(f, float64(f.Usage.Bytes)) }),
			duration(of(func(f measure.FanOut) float64 { return float64(f.P50) })),
			duration(of(func(f measure.FanOut) float64 { return float64(f.P99) })),
			duration(of(func(f measure.FanOut) float64 { return float64(f.P999) })),
			duration(of(func(f measure.FanOut) float64 { return float64(f.Max) })),
			of(func(f measure.FanOut) float64 { return f.Usage.CPU.Seconds() / f.Wall.Seconds() }))
	}
}
