// Package tally counts work that is under way and lets others wait until none is. It
// is a sync.WaitGroup that may be waited for with a context, by many, and begun again
// meanwhile. It starts no goroutine.
package tally

import (
	"context"
	"sync"
)

// Tally is a count of work under way. Its zero value is ready, and all methods are
// safe for concurrent use. It must not be copied.
type Tally struct {
	mu   sync.Mutex
	n    int           // guarded by mu
	zero chan struct{} // guarded by mu: closed when n comes to zero; nil when nobody waits
}

// Begin counts one more.
func (t *Tally) Begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

// End counts one less; each Begin has one End.
func (t *Tally) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.n == 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

// Wait returns nil when nothing is under way, or was at some moment since the call;
// else the cause of ctx's end.
func (t *Tally) Wait(ctx context.Context) error {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.zero == nil {
		t.zero = make(chan struct{})
	}
	zero := t.zero
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
