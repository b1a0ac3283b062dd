// Package tally counts work that is under way and lets others wait until none is. It
// is a sync.WaitGroup that may be waited for with a context, by many, and begun again
// meanwhile. It starts no goroutine.
package tally

import (
	"context"
	"sync"
	"sync/atomic"
)

// Tally is a count of work under way. Its zero value is ready, and all methods are
// safe for concurrent use. It must not be copied.
type Tally struct {
	n atomic.Int64

	mu   sync.Mutex
	zero chan struct{} // guarded by mu: closed when n comes to zero; nil when nobody waits
}

// Begin counts one more.
func (t *Tally) Begin() { t.n.Add(1) }

// End counts one less; each Begin has one End.
func (t *Tally) End() {
	if t.n.Add(-1) > 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.zero != nil && t.n.Load() == 0 { // else it has begun again: who came since waits for that, and an End follows
		close(t.zero)
		t.zero = nil
	}
}

// Wait returns nil when it sees that nothing is under way, also if more has begun since;
// else the cause of ctx's end.
func (t *Tally) Wait(ctx context.Context) error {
	t.mu.Lock()
	if t.zero == nil {
		t.zero = make(chan struct{})
	}
	zero := t.zero
	if t.n.Load() == 0 { // after the channel is there: an End that comes to zero later finds it
		close(t.zero)
		t.zero = nil
	}
	t.mu.Unlock()
	select {
	case <-zero:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-zero:
		return nil
	default:
		return context.Cause(ctx)
	}
}
