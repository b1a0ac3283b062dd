package model

import "math"

// buckets is how many buckets of latency are kept: the last begins at 2^(159/4) µs, ten days.
const buckets = 160

// latency counts by time: bucket i begins at 2^(i/4) µs. Trailing empty buckets are left out.
type latency []uint64

// plus is it with more counts; it is changed, or not, as by append.
func (l latency) plus(counts []uint64) latency {
	if len(counts) > buckets {
		rest := counts[buckets:]
		counts = append([]uint64(nil), counts[:buckets]...)
		for _, n := range rest {
			counts[buckets-1] += n
		}
	}
	for len(l) < len(counts) {
		l = append(l, 0)
	}
	for i, n := range counts {
		l[i] += n
	}
	return l
}

// quantile is the time, in µs, that the part q of the counts stays below: the middle of the
// bucket that it falls into. nil: there are none.
func (l latency) quantile(q float64) *float64 {
	var total uint64
	for _, n := range l {
		total += n
	}
	if total == 0 {
		return nil
	}
	rank, sum := max(uint64(math.Ceil(q*float64(total))), 1), uint64(0)
	for i, n := range l {
		if sum += n; sum >= rank {
			at := math.Round(math.Exp2((float64(i)+0.5)/4)*10) / 10
			return &at
		}
	}
	return nil
}

func (l latency) percentiles() (p50, p95, p99 *float64) {
	return l.quantile(0.5), l.quantile(0.95), l.quantile(0.99)
}
