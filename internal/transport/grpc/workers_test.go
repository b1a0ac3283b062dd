package grpc

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
)

// task is a call of an endpoint without connections.
func task(e *endpoint, f func()) *served {
	c := newCallee(e, serverStream{ctx: context.Background()})
	c.live++
	e.calls.Begin()
	return &served{callee: c, cancel: func() {}, accepted: func(done func(*transport.Reply)) {
		defer done(nil) // as transport.Accept promises it, whatever f does
		f()
	}}
}

func (p *workers) resting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

func TestWorkersAreUsedAgainAndBounded(t *testing.T) {
	t.Parallel()
	e := &endpoint{transport: New(Config{Clock: clock.Virtual()}), base: context.Background()}
	p := &e.workers
	wait := func(what string, condition func() bool) {
		t.Helper()
		for i := 0; !condition(); i++ {
			if i > 1e8 {
				t.Fatalf("%s: waited too long", what)
			}
			runtime.Gosched()
		}
	}
	together := func(n int) {
		var all, let sync.WaitGroup
		all.Add(n)
		let.Add(1)
		for range n {
			p.run(task(e, func() { all.Done(); let.Wait() }))
		}
		all.Wait() // they run beside each other
		let.Done()
		if err := e.calls.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	}
	together(10)
	wait("ten to rest", func() bool { return p.resting() == 10 })
	for range 100 {
		p.run(task(e, func() {}))
		wait("the task's worker to rest", func() bool { return p.resting() == 10 })
	}
	p.run(task(e, runtime.Goexit))
	wait("a worker to be gone", func() bool { return p.resting() == 9 })

	p.trim()
	p.run(task(e, func() {}))
	wait("the worker to rest", func() bool { return p.resting() == 9 })
	p.trim()
	if n := p.resting(); n != 1 {
		t.Errorf("%d workers rest of which one had something to do, want 1", n)
	}
	p.trim()
	if n := p.resting(); n != 0 {
		t.Errorf("%d workers rest that had nothing to do", n)
	}

	together(2 * idleWorkers)
	wait("many to rest", func() bool { return p.resting() == idleWorkers })
	late := make(chan struct{})
	p.run(task(e, func() { <-late }))
	p.close()
	close(late)
	p.wg.Wait()
	if n := p.resting(); n != 0 {
		t.Errorf("%d workers rest after the end", n)
	}
}
