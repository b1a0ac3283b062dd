package node

import (
	"math"
	"time"
)

// histogram counts durations by bucket: bucket i counts those of at least 2^(i/4) µs,
// bucket 0 also all shorter ones. The last begins at about an hour.
type histogram [128]uint64

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	micros := float64(d) / float64(time.Microsecond)
	if micros <= 1 {
		return 0
	}
	return min(int(4*math.Log2(micros)), len(histogram{})-1)
}

// counts returns the buckets without the empty ones at the end.
func (h *histogram) counts() []uint64 {
	n := len(h)
	for n > 0 && h[n-1] == 0 {
		n--
	}
	return append([]uint64(nil), h[:n]...)
}
