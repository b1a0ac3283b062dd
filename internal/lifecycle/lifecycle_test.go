package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// transcript is what happened, line by line. Its zero value is empty.
type transcript struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (tr *transcript) add(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, fmt.Sprintf(format, args...))
}

func (tr *transcript) observe(e lifecycle.Event) {
	if e.Err != nil {
		tr.add("%s %s: %v", e.Service, e.Phase, e.Err)
		return
	}
	tr.add("%s %s", e.Service, e.Phase)
}

func (tr *transcript) check(t *testing.T, want ...string) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !slices.Equal(tr.lines, want) {
		t.Errorf("transcript:\n  %s\nwant:\n  %s", strings.Join(tr.lines, "\n  "), strings.Join(want, "\n  "))
	}
}

// steady needs up to be ready and down to stop, and writes both into tr.
func steady(tr *transcript, name string, up, down time.Duration) lifecycle.Service {
	return lifecycle.Service{Name: name, Run: func(ctx context.Context, ready func()) error {
		tr.add("%s up", name)
		select {
		case <-time.After(up):
			ready()
			<-ctx.Done()
		case <-ctx.Done():
		}
		time.Sleep(down) //nolint:forbidigo // virtual time
		tr.add("%s down: %v", name, context.Cause(ctx))
		return ctx.Err()
	}}
}

// failing becomes ready at once and fails with err after d.
func failing(name string, d time.Duration, err error) lifecycle.Service {
	return lifecycle.Service{Name: name, Run: func(ctx context.Context, ready func()) error {
		ready()
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return nil
		}
	}}
}

func TestRunStartsInOrderAndStopsInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		err := lifecycle.Run(ctx,
			// The first is the quickest to stop and the slowest to start: order cannot come about by speed.
			steady(tr, "a", 3*time.Second, time.Second),
			steady(tr, "b", 2*time.Second, 2*time.Second),
			steady(tr, "c", time.Second, 3*time.Second))
		if err != nil {
			t.Errorf("Run = %v after a clean stop", err)
		}
		if took := time.Since(start); took != time.Hour+6*time.Second {
			t.Errorf("Run took %v, want 1h and 6s of stopping one after the other", took)
		}
		tr.check(t, "a up", "b up", "c up", "c down: stopped", "b down: stopped", "a down: stopped")
	})
}

func TestRunWithoutServicesWaitsForTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := lifecycle.Run(ctx); err != nil || ctx.Err() == nil {
			t.Errorf("Run = %v with the context's error %v", err, ctx.Err())
		}
	})
}

func TestRunStoppedWhileStartingIsClean(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := lifecycle.Run(ctx, steady(tr, "a", 0, 0), steady(tr, "b", time.Hour, 0), steady(tr, "c", 0, 0))
		if err != nil {
			t.Errorf("Run = %v", err)
		}
		tr.check(t, "a up", "b up", "b down: stopped", "a down: stopped")
	})
}

func TestRunWithAnEndedContextStartsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr := &transcript{}
	if err := lifecycle.Run(ctx, steady(tr, "a", 0, 0)); err != nil {
		t.Errorf("Run = %v", err)
	}
	tr.check(t)
}

func TestAFailureStopsTheOthersAndIsTheirCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &transcript{}
		err := lifecycle.Run(t.Context(),
			steady(tr, "a", 0, 0), failing("b", time.Minute, errBroken), steady(tr, "c", 0, 0))
		if !errors.Is(err, errBroken) || err.Error() != "run service b: broken" {
			t.Errorf("Run = %v, want b's error with its name", err)
		}
		tr.check(t, "a up", "c up", "c down: run service b: broken", "a down: run service b: broken")
	})
}

func TestFirstErrorInTimeWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		second := errors.New("second")
		slowStop := lifecycle.Service{Name: "c", Run: func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			time.Sleep(time.Minute) //nolint:forbidigo // virtual time
			return errors.New("third")
		}}
		tr := &transcript{}
		g := lifecycle.New(tr.observe,
			failing("a", time.Second+2*time.Millisecond, second), failing("b", time.Second, errBroken), slowStop)
		if err := g.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-g.Done()
		if err := g.Stop(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("Stop = %v, want the first error in time", err)
		}
		tr.check(t, "a starting", "a ready", "b starting", "b ready", "c starting", "c ready",
			"b stopped: run service b: broken",
			"c stopping",
			"a stopped: run service a: second",
			"c stopped: run service c: third")
	})
}

func TestErrorsOfAService(t *testing.T) {
	t.Parallel()
	waits := func(result func(context.Context) error) func(context.Context, func()) error {
		return func(ctx context.Context, ready func()) error {
			ready()
			ready() // doing it twice does nothing
			<-ctx.Done()
			return result(ctx)
		}
	}
	for _, tc := range []struct {
		name string
		run  func(context.Context, func()) error
		want error // nil: clean
	}{
		{"nil before ready", func(context.Context, func()) error { return nil }, lifecycle.ErrReturned},
		{"nil after ready", func(_ context.Context, r func()) error { r(); return nil }, lifecycle.ErrReturned},
		{"error before ready", func(context.Context, func()) error { return errBroken }, errBroken},
		{"its own cancellation", func(context.Context, func()) error { return context.Canceled }, context.Canceled},
		{"panic", func(context.Context, func()) error { panic(errBroken) }, errBroken},
		{"goexit", func(context.Context, func()) error { runtime.Goexit(); return nil }, lifecycle.ErrExited},
		{"nil when stopped", waits(func(context.Context) error { return nil }), nil},
		{"ctx's error when stopped", waits(func(ctx context.Context) error { return fmt.Errorf("x: %w", ctx.Err()) }), nil},
		{"ctx's cause when stopped", waits(context.Cause), nil},
		{"error when stopped", waits(func(context.Context) error { return errBroken }), errBroken},
		{"panic when stopped", waits(func(context.Context) error { panic(errBroken) }), errBroken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := lifecycle.Run(ctx, lifecycle.Service{Name: "part", Run: tc.run})
				if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
					t.Errorf("Run = %v, want %v", err, tc.want)
				}
				if err != nil && !strings.HasPrefix(err.Error(), "run service part: ") {
					t.Errorf("Run = %q, without the service's name", err)
				}
			})
		})
	}
}

func TestPanicKeepsItsStackOutOfTheMessage(t *testing.T) {
	t.Parallel()
	err := lifecycle.Run(t.Context(), lifecycle.Service{
		Name: "part",
		Run:  func(context.Context, func()) error { panic("no disk") },
	})
	var p *lifecycle.PanicError
	if !errors.As(err, &p) {
		t.Fatalf("Run = %v, want a PanicError", err)
	}
	if err.Error() != "run service part: panic: no disk" || p.Unwrap() != nil {
		t.Errorf("Run = %q (wrapping %v)", err, p.Unwrap())
	}
	if !strings.Contains(string(p.Stack), "TestPanicKeepsItsStackOutOfTheMessage") {
		t.Errorf("the stack does not show who panicked:\n%s", p.Stack)
	}
}

func TestServicesInheritValuesButNotTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "v"), time.Minute)
		defer cancel()
		ended := make(chan time.Duration, 1)
		start := time.Now()
		g := lifecycle.New(nil, lifecycle.Service{Name: "a", Run: func(ctx context.Context, ready func()) error {
			if ctx.Value(key{}) != "v" {
				t.Error("the context's value did not reach the service")
			}
			if _, ok := ctx.Deadline(); ok {
				t.Error("the deadline of the start reached the service")
			}
			ready()
			<-ctx.Done()
			ended <- time.Since(start)
			return nil
		}})
		if err := g.Start(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // virtual time
		if err := g.Stop(t.Context()); err != nil {
			t.Errorf("Stop = %v", err)
		}
		if got := <-ended; got != time.Hour {
			t.Errorf("the service ended after %v, want 1h", got)
		}
	})
}

func TestPhaseString(t *testing.T) {
	t.Parallel()
	if got := lifecycle.Phase(9).String(); got != "Phase(9)" {
		t.Errorf("Phase(9) = %q", got)
	}
}

// What went wrong during a stop counts, whatever it is joined with.
func TestFailureBesideACancellationCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"cancelled":        {fmt.Errorf("read: %w", context.Canceled), nil},
		"cause":            {fmt.Errorf("read: %w", lifecycle.ErrStop), nil},
		"cancelled twice":  {errors.Join(context.Canceled, fmt.Errorf("read: %w", context.Canceled)), nil},
		"joined":           {errors.Join(context.Canceled, errBroken), errBroken},
		"wrapped together": {fmt.Errorf("%w; %w", errBroken, context.Canceled), errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			err := lifecycle.Run(ctx, lifecycle.Service{Name: "a", Run: func(ctx context.Context, ready func()) error {
				ready()
				cancel()
				<-ctx.Done()
				return c.err
			}})
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("Run = %v, want %v", err, c.want)
			}
		})
	}
}
