package lifecycle

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// process is a service that has been started.
type process struct {
	name   string
	cancel context.CancelCauseFunc
	ready  chan struct{} // closed by the service
	err    error         // its outcome, to be read after it came through supervision.exits
	ended  bool          // it came through supervision.exits; owned by the supervising goroutine
}

// supervision is what the supervising goroutine of a group owns.
type supervision struct {
	*Group

	exits   chan *process // every process that has ended, in order
	running []*process    // in the order of their start
}

// supervise starts the services, waits for the end and stops them.
func (g *Group) supervise(ctx context.Context) {
	defer close(g.done)
	s := &supervision{Group: g, exits: make(chan *process, len(g.services))}
	if s.startAll(ctx) {
		close(g.ready)
		select {
		case <-g.halt:
		case p := <-s.exits:
			s.collect(p)
		}
	}
	s.stopAll()
}

// startAll says whether all services became ready.
func (s *supervision) startAll(ctx context.Context) bool {
	for _, svc := range s.services {
		s.setCurrent(svc.Name)
		if ctx.Err() != nil { // also when the service before became ready at the same moment
			s.setRefusal(fmt.Errorf("start service %s: %w", svc.Name, context.Cause(ctx)))
			return false
		}
		s.observe(Event{Service: svc.Name, Phase: Starting})
		p := s.spawn(ctx, svc)
		select {
		case <-p.ready:
			s.observe(Event{Service: svc.Name, Phase: Ready})
		case ended := <-s.exits:
			s.collect(ended)
			return false
		case <-s.halt:
			s.setRefusal(fmt.Errorf("start service %s: %w", svc.Name, ErrStop))
			return false
		case <-ctx.Done():
			s.setRefusal(fmt.Errorf("start service %s: %w", svc.Name, context.Cause(ctx)))
			return false
		}
	}
	return true
}

// stopAll stops what runs, in reverse order, and waits for each. Others may end meanwhile, on their own: they are
// collected in the order in which they do, so that the first error is the first in time.
func (s *supervision) stopAll() {
	for _, p := range slices.Backward(s.running) {
		s.setCurrent(p.name)
		if p.ended {
			continue
		}
		s.observe(Event{Service: p.name, Phase: Stopping})
		cause := s.Err()
		if cause == nil {
			cause = ErrStop
		}
		p.cancel(cause)
		for !p.ended {
			s.collect(<-s.exits)
		}
	}
}

// collect takes note of a process that has ended.
func (s *supervision) collect(p *process) {
	p.ended = true
	p.cancel(ErrStop) // frees the context of one that ended by itself
	if p.err != nil {
		p.err = fmt.Errorf("run service %s: %w", p.name, p.err)
		s.fail(p.err)
	}
	s.observe(Event{Service: p.name, Phase: Stopped, Err: p.err})
}

// spawn starts a service on its own goroutine.
func (s *supervision) spawn(parent context.Context, svc Service) *process {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	p := &process{name: svc.Name, cancel: cancel, ready: make(chan struct{})}
	s.running = append(s.running, p)
	go func() {
		p.err = ErrExited // unless something else is known
		defer func() { s.exits <- p }()
		defer func() {
			if v := recover(); v != nil {
				p.err = &PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		p.err = outcome(ctx, svc.Run(ctx, sync.OnceFunc(func() { close(p.ready) })))
	}()
	return p
}

// outcome is what a service's return with err means, given its context.
func outcome(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == nil && err == nil:
		return ErrReturned
	case ctx.Err() == nil:
		return err
	case err == nil, only(err, func(e error) bool { return e == context.Canceled || e == context.Cause(ctx) }): //nolint:errorlint // only unwraps
		return nil
	}
	return err
}

// only says whether all that is joined in err is clean, or wraps what is. What is joined with
// something clean may be a failure.
func only(err error, clean func(error) bool) bool {
	if clean(err) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // it unwraps
	case interface{ Unwrap() error }:
		return only(e.Unwrap(), clean)
	case interface{ Unwrap() []error }:
		all := e.Unwrap()
		return len(all) > 0 && !slices.ContainsFunc(all, func(one error) bool { return !only(one, clean) })
	}
	return false
}
