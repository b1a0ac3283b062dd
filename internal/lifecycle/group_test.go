package lifecycle_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/lifecycle"
)

func TestGroupShowsItsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, quiet := &transcript{}, &transcript{}
		g := lifecycle.New(tr.observe, steady(quiet, "a", time.Second, 0), steady(quiet, "b", 0, time.Second))
		if err := g.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := g.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.check(t, "a starting", "a ready", "b starting", "b ready",
			"b stopping", "b stopped", "a stopping", "a stopped")
	})
}

func TestStartReturnsTheFirstFailureAndLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		g := lifecycle.New(nil, steady(tr, "a", 0, time.Second),
			lifecycle.Service{Name: "b", Run: func(context.Context, func()) error { return errBroken }},
			steady(tr, "c", 0, 0))
		if err := g.Start(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("Start = %v, want b's error", err)
		}
		tr.check(t, "a up", "a down: run service b: broken")
		select {
		case <-g.Done():
		default:
			t.Error("not done after a failed start")
		}
		if err := g.Stop(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("Stop after a failed start = %v, want the failure again", err)
		}
	})
}

func TestStartFailsWhenAnEarlierServiceDies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		g := lifecycle.New(nil, failing("a", time.Second, errBroken), steady(tr, "b", time.Hour, 0))
		if err := g.Start(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("Start = %v, want a's error", err)
		}
		tr.check(t, "b up", "b down: run service a: broken")
	})
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBroken)
		defer cancel()
		g := lifecycle.New(nil, steady(tr, "a", 0, 0), steady(tr, "b", time.Hour, 0))
		err := g.Start(ctx)
		if !errors.Is(err, errBroken) || err.Error() != "start service b: broken" {
			t.Errorf("Start = %v, want its context's cause", err)
		}
		tr.check(t, "a up", "b up", "b down: stopped", "a down: stopped")
		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v: no service has failed", err)
		}
	})
}

func TestStopDuringStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		g := lifecycle.New(nil, steady(tr, "a", 0, 0), steady(tr, "b", time.Hour, 0))
		started := make(chan error, 1)
		go func() { started <- g.Start(t.Context()) }()
		synctest.Wait()
		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v", err)
		}
		if err := <-started; !errors.Is(err, lifecycle.ErrStop) {
			t.Errorf("Start = %v, want ErrStop", err)
		}
		tr.check(t, "a up", "b up", "b down: stopped", "a down: stopped")
	})
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	tr := &transcript{}
	g := lifecycle.New(nil, steady(tr, "a", 0, 0))
	for range 2 {
		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("Stop before Start = %v", err)
		}
	}
	<-g.Done()
	if err := g.Start(t.Context()); !errors.Is(err, lifecycle.ErrNotStartable) {
		t.Errorf("Start after Stop = %v, want ErrNotStartable", err)
	}
	tr.check(t)
}

func TestStartTwice(t *testing.T) {
	t.Parallel()
	tr := &transcript{}
	g := lifecycle.New(nil, steady(tr, "a", 0, 0))
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context()); !errors.Is(err, lifecycle.ErrNotStartable) {
		t.Errorf("second Start = %v, want ErrNotStartable", err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v: the refused Start must not harm", err)
	}
}

func TestStopNamesTheServiceItGaveUpWaitingFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		g := lifecycle.New(nil, steady(tr, "a", 0, 0), steady(tr, "b", 0, time.Hour))
		if err := g.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := g.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "stop service b: context deadline exceeded" {
			t.Errorf("Stop with a deadline = %v", err)
		}
		tr.check(t, "a up", "b up")

		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("second Stop = %v", err)
		}
		tr.check(t, "a up", "b up", "b down: stopped", "a down: stopped")

		if err := g.Stop(ctx); err != nil {
			t.Errorf("Stop of a stopped group with an ended context = %v", err)
		}
	})
}

// order checks, event by event, that services stop in reverse order and one after the other.
type order struct {
	t    *testing.T
	live map[string]bool
	last string // the last that was told to stop
}

func (o *order) observe(e lifecycle.Event) {
	switch e.Phase {
	case lifecycle.Starting:
		o.live[e.Service] = true
	case lifecycle.Stopping:
		if o.last != "" && e.Service >= o.last {
			o.t.Errorf("%s stopping after %s", e.Service, o.last)
		}
		o.last = e.Service
		for name := range o.live {
			if name > e.Service {
				o.t.Errorf("%s stopping before %s is gone", e.Service, name)
			}
		}
	case lifecycle.Stopped:
		delete(o.live, e.Service)
	case lifecycle.Ready:
	}
}

// Starts, stops and failures at random moments, from several goroutines: whatever happens, all services end, and in
// reverse order.
func TestStress(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { stress(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func stress(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	ms := func() time.Duration { return time.Duration(rnd.IntN(8)) * time.Millisecond }
	tr := &transcript{}
	services := make([]lifecycle.Service, 4)
	for i := range services {
		name := string(rune('a' + i))
		services[i] = steady(tr, name, ms(), ms())
		if rnd.IntN(4) == 0 {
			services[i] = failing(name, ms(), errBroken)
		}
	}
	o := &order{t: t, live: map[string]bool{}}
	g := lifecycle.New(o.observe, services...)

	ctx, cancel := context.WithTimeout(t.Context(), 4*ms()+time.Millisecond)
	defer cancel()
	delay := ms() + ms()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := g.Start(ctx); err == nil {
			return
		}
		select {
		case <-g.Done():
		default:
			t.Error("services are running after a failed Start")
		}
	})
	for range 3 {
		wg.Go(func() {
			time.Sleep(delay) //nolint:forbidigo // virtual time
			if err := g.Stop(t.Context()); err != nil && !errors.Is(err, errBroken) {
				t.Errorf("Stop = %v", err)
			}
		})
	}
	wg.Wait()
	if len(o.live) != 0 {
		t.Errorf("still live after Stop: %v", o.live)
	}
}
