package lifecycle

import (
	"context"
	"fmt"
	"sync"
)

// Group is a set of services that are started and stopped together, once. Its methods are safe for concurrent use.
type Group struct {
	services []Service
	observe  func(Event)

	halt  chan struct{} // closed: stop the services
	ready chan struct{} // closed: all services are ready
	done  chan struct{} // closed: all services have returned, or none will ever run

	mu      sync.Mutex // guards the fields below
	started bool
	halted  bool
	err     error  // the first failure
	refusal error  // why a start was given up without a failure
	current string // the service being started or stopped
}

// New is a group of services, not started. The group's goroutine calls observe, unless it is nil, for every event, one
// at a time and in the order in which they happen; it must not wait for the group.
func New(observe func(Event), services ...Service) *Group {
	if observe == nil {
		observe = func(Event) {}
	}
	return &Group{
		services: services,
		observe:  observe,
		halt:     make(chan struct{}),
		ready:    make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// Start starts the services in order and returns nil when the last one is ready. Otherwise (a service failed, ctx
// ended, or Stop was called meanwhile) it returns why, after those already started have been stopped. Once Start has
// returned, ctx's end means nothing to the group. A group starts once: later calls are ErrNotStartable.
func (g *Group) Start(ctx context.Context) error {
	g.mu.Lock()
	if g.started || g.halted {
		g.mu.Unlock()
		return fmt.Errorf("start services: %w", ErrNotStartable)
	}
	g.started = true
	g.mu.Unlock()

	go g.supervise(ctx)

	select {
	case <-g.ready:
		return nil
	case <-g.done:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return g.err
	}
	return g.refusal // nil if all became ready just before the stop
}

// Stop tells the services to stop, last one first, each after the one behind it has returned. It waits for all of them
// and returns the group's first error, nil if it had none. If ctx ends first it returns ctx's cause with the name of
// the service that is waited for; the group goes on stopping, and another Stop waits for it again.
//
// Stop may be called any number of times, and before Start, which is then refused.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	if !g.halted {
		g.halted = true
		close(g.halt)
		if !g.started {
			close(g.done)
		}
	}
	g.mu.Unlock()

	select {
	case <-g.done:
		return g.Err()
	case <-ctx.Done():
	}
	select {
	case <-g.done: // stopped: the deadline does not matter
		return g.Err()
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("stop service %s: %w", g.current, context.Cause(ctx))
}

// Done is closed when all services have returned: after a Stop, or because one of them failed.
func (g *Group) Done() <-chan struct{} { return g.done }

// Err is the first error of a service so far, wrapped with its name.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *Group) setCurrent(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = name
}

func (g *Group) setRefusal(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusal = err
}

// fail records err unless another failure was recorded before.
func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}
