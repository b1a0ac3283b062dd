package report

import (
	"fmt"
	"io"
	"math"

	"github.com/xiaonanln/goverse/bench/measure"
)

// Figure is a claim about a run: a number that must not be below, or not above, a bound.
type Figure struct {
	Claim string
	// Of computes the number; false when the run did not measure what it needs.
	Of func(r *Report) (float64, bool)
	// Bound is the least it may be, or the most when AtMost is set.
	Bound  float64
	AtMost bool
	// Within is the interval of an estimate: a figure whose bound lies inside it is not decided. Zero: the number is exact.
	Within [2]float64
}

// undecided reports whether the estimate does not say on what side of the bound the number is.
func (f Figure) undecided() bool { return f.Within[0] < f.Bound && f.Bound < f.Within[1] }

// Times is the figure that a peer is so many times as fast as another one in a workload.
func Times(claim, name, baseline string, workload measure.Workload, atLeast float64) Figure {
	return Figure{Claim: claim, Bound: atLeast, Of: func(r *Report) (float64, bool) {
		own, ok := r.CallTime(name, workload)
		base, known := r.CallTime(baseline, workload)
		return base / own, ok && known
	}}
}

// Allocations is the figure that a peer's call allocates so many times at most, to one decimal: the rest of the
// process allocates too.
func Allocations(claim, name string, workload measure.Workload, atMost float64) Figure {
	return Figure{Claim: claim, Bound: atMost, AtMost: true, Of: func(r *Report) (float64, bool) {
		samples := r.samples(name, workload)
		if len(samples) == 0 {
			return 0, false
		}
		exact := medianOf(samples, func(s measure.Sample) float64 { return per(s, float64(s.Mallocs)) })
		return math.Round(exact*10) / 10, true
	}}
}

// ActivationTimes is the figure that a peer activates so many times as fast as another one.
func ActivationTimes(claim, name, baseline string, atLeast float64) Figure {
	return Figure{Claim: claim, Bound: atLeast, Of: func(r *Report) (float64, bool) {
		own, base := r.activations(name), r.activations(baseline)
		if len(own) == 0 || len(base) == 0 {
			return 0, false
		}
		return medianOf(base, activationTime) / medianOf(own, activationTime), true
	}}
}

// ActivationBytes is the figure that an idle object of a peer keeps so many bytes of heap and stack at most,
// own being those that belong to its user: the fields and the name.
func ActivationBytes(claim, name string, own, atMost float64) Figure {
	return Figure{Claim: claim, Bound: atMost, AtMost: true, Of: func(r *Report) (float64, bool) {
		all := r.activations(name)
		if len(all) == 0 {
			return 0, false
		}
		return medianOf(all, func(a measure.Activation) float64 { return a.HeapBytes + a.StackBytes - own }), true
	}}
}

// Goroutines is the figure that a peer has so many goroutines at most for all its idle objects.
func Goroutines(claim, name string, atMost float64) Figure {
	return Figure{Claim: claim, Bound: atMost, AtMost: true, Of: func(r *Report) (float64, bool) {
		all := r.activations(name)
		if len(all) == 0 {
			return 0, false
		}
		return medianOf(all, func(a measure.Activation) float64 { return float64(a.Goroutines) }), true
	}}
}

// OutOfTurn is the figure that no caller of a peer is served out of its turn: out of place, or overtaking.
func OutOfTurn(claim, name string) Figure {
	return Figure{Claim: claim, AtMost: true, Of: func(r *Report) (float64, bool) {
		for _, o := range r.Orders {
			if o.Peer == name {
				return float64(o.OutOfPlace + o.Overtaking), true
			}
		}
		return 0, false
	}}
}

func (r *Report) writeFigures(out io.Writer) {
	if len(r.Figures) == 0 {
		return
	}
	fmt.Fprint(out, "\nfigure\trequired\tmeasured\t\t\n")
	for _, f := range r.Figures {
		v, measured := f.Of(r)
		switch {
		case !measured:
			fmt.Fprintf(out, "%s\t%s\tnot measured\t\t\n", f.Claim, f.required())
		case f.undecided():
			fmt.Fprintf(out, "%s\t%s\t%.2f\tnot shown\t\n", f.Claim, f.required(), v)
		case f.holds(v):
			fmt.Fprintf(out, "%s\t%s\t%.2f\tholds\t\n", f.Claim, f.required(), v)
		default:
			fmt.Fprintf(out, "%s\t%s\t%.2f\tMISSED\t\n", f.Claim, f.required(), v)
		}
	}
}

func (f Figure) required() string {
	if f.AtMost {
		return fmt.Sprintf("<= %g", f.Bound)
	}
	return fmt.Sprintf(">= %g", f.Bound)
}

func (f Figure) holds(v float64) bool {
	if f.AtMost {
		return v <= f.Bound
	}
	return v >= f.Bound
}
