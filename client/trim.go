package client

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/util/clock"
)

// trimEvery is how often a crew is trimmed: a worker that has had nothing to do for that
// long, or at most twice as long, is let go.
const trimEvery = 10 * time.Second

// What a trimmer is at.
const (
	rests   int32 = iota // it has no timer
	watches              // it has one, and nothing has been done since it was set
	works                // it has one
)

// trimmer has a crew trimmed while that has something to do, and until it has no idle
// workers left. A service without sessions has no timer for it.
type trimmer struct {
	clock clock.Clock
	trim  func()
	state atomic.Int32

	mu     sync.Mutex // guards the fields below
	timer  *time.Timer
	closed bool
}

// note is told that the crew gets something to do.
func (t *trimmer) note() {
	if t.state.Load() != works && t.state.Swap(works) == rests {
		t.set()
	}
}

func (t *trimmer) set() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.timer = t.clock.AfterFunc(trimEvery, t.ring)
	}
}

// ring is the timer. What has idled since the last one is let go; if nothing was done
// since, that is all.
func (t *trimmer) ring() {
	t.trim()
	if !t.state.CompareAndSwap(watches, rests) {
		t.state.Store(watches)
		t.set()
	}
}

// stop ends it.
func (t *trimmer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}
