package admin

import (
	"context"
	"sync"
	"time"
)

// patience is how long an examination may take before the server counts as stuck.
const patience = 2 * time.Second

// pulse finds out whether a server stands still. One examination runs at a time, however
// many ask: of a server that is stuck, one goroutine is.
type pulse struct {
	examine func()
	running sync.WaitGroup

	mu   sync.Mutex
	done chan struct{} // guarded by mu: closed when the examination that runs has come back; nil: none runs
}

// beats reports whether an examination comes back in time.
func (p *pulse) beats(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.begin():
		return true
	case <-ctx.Done():
		return false
	}
}

// begin returns what is closed when an examination has come back that runs already, or
// begins now.
func (p *pulse) begin() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done != nil {
		return p.done
	}
	done := make(chan struct{})
	p.done = done
	p.running.Go(func() {
		p.examine()
		p.mu.Lock()
		p.done = nil
		p.mu.Unlock()
		close(done)
	})
	return done
}
