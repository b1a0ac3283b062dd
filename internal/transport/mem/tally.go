package mem

import (
	"context"
	"sync"
)

// tally counts what is under way, and lets others wait for its end.
type tally struct {
	mu      sync.Mutex // guards the fields below
	count   int
	refused error         // why no more are taken; nil: they are
	zero    chan struct{} // closed when the count comes to 0; nil: nobody waits
}

// add counts one more, or says why not.
func (t *tally) add() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.count++
	}
	return t.refused
}

// done is the end of one.
func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if t.count == 0 && t.zero != nil {
		close(t.zero)
		t.zero = nil
	}
}

// refuse lets add fail from now on.
func (t *tally) refuse(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = why
}

// refusal is why add would fail; nil if it would not.
func (t *tally) refusal() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// wait returns nil when the count is 0, or the cause of ctx's end.
func (t *tally) wait(ctx context.Context) error {
	t.mu.Lock()
	if t.count == 0 {
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
