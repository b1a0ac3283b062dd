package measure

import (
	"math/bits"
	"time"
)

const (
	// subBits splits each power of two into 32 buckets: a quantile is at most 3 % above the true one.
	subBits = 5
	// powers reach to 2^40 ns, 18 minutes; longer is counted as that.
	powers  = 40
	buckets = (powers - subBits + 1) << subBits
)

// Histogram counts durations in buckets that widen with the duration. The zero value is empty and ready.
// It is not safe for several goroutines.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
	max    time.Duration
}

// Add counts a duration; a negative one counts as zero.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Merge adds another histogram's counts.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Quantile returns the upper edge of the bucket where the share q of all durations, 0 to 1, is reached.
// It returns 0 for an empty histogram, and never more than [Histogram.Max].
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		seen += uint64(n)
		if seen > rank {
			return min(upperEdge(i), h.max)
		}
	}
	return h.max
}

// Max returns the longest duration, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min((shift+1)<<subBits+int(v>>shift)-1<<subBits, buckets-1)
}

func upperEdge(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	base := uint64(bucket&(1<<subBits-1) | 1<<subBits)
	return time.Duration((base+1)<<shift - 1)
}
