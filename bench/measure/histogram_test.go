package measure_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/bench/measure"
)

func TestQuantiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)/4), 1, 200).Draw(t, "durations")
		q := rapid.Float64Range(0, 0.999).Draw(t, "q")
		split := rapid.IntRange(0, len(values)).Draw(t, "split")
		var h, other measure.Histogram
		for i, v := range values {
			if i < split {
				h.Add(time.Duration(v))
			} else {
				other.Add(time.Duration(v))
			}
		}
		h.Merge(&other)
		slices.Sort(values)
		exact := values[int(q*float64(len(values)))]
		got := int64(h.Quantile(q))
		if got < exact || float64(got) > float64(exact)*1.0313+1 {
			t.Fatalf("quantile %v is %d, want %d and at most 3%% more", q, got, exact)
		}
		if int64(h.Max()) != values[len(values)-1] {
			t.Fatalf("max is %v", h.Max())
		}
	})
}

func TestHistogramOfNothingAndOfTheExtremes(t *testing.T) {
	t.Parallel()
	var h measure.Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("an empty histogram has durations")
	}
	h.Add(-time.Second)
	h.Add(1 << 62)
	if h.Quantile(0) != 0 || h.Max() != 1<<62 {
		t.Errorf("%v and %v", h.Quantile(0), h.Max())
	}
}
