package node

import (
	"sync"
	"time"
)

// What searches may have of the processor while calls are made: one part in so many of one core, after
// so much at once, which is a search or two of hundreds of thousands of objects.
const (
	rationShare = 4
	rationBurst = 50 * time.Millisecond
	leastPause  = 5 * time.Millisecond // shorter ones are put together
	mostWork    = 5 * time.Millisecond // that a segment takes; what is more was spent waiting for the processor
)

// ration bounds what the searches of a node take of the processor together.
type ration struct {
	mu   sync.Mutex
	paid time.Duration // guarded by mu: until when what was taken is made up for
}

// take notes work that has ended now, and returns how long to rest after it.
func (r *ration) take(work, now time.Duration) (rest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paid = max(r.paid, now) + rationShare*work
	if rest = r.paid - now - rationShare*rationBurst; rest < leastPause {
		return 0
	}
	return rest
}
