package mem

import (
	"context"
	"sync"

	"github.com/xiaonanln/goverse/util/tally"
)

// gate counts what is under way, lets others wait for its end, and can be shut.
type gate struct {
	under tally.Tally

	mu      sync.Mutex
	refused error // guarded by mu: why no more are taken; nil: they are
}

// add counts one more, or says why not.
func (g *gate) add() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused == nil {
		g.under.Begin()
	}
	return g.refused
}

// done is the end of one.
func (g *gate) done() { g.under.End() }

// refuse lets add fail from now on.
func (g *gate) refuse(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = why
}

// refusal is why add would fail; nil if it would not.
func (g *gate) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// wait returns nil when nothing is under way, or the cause of ctx's end.
func (g *gate) wait(ctx context.Context) error { return g.under.Wait(ctx) }
