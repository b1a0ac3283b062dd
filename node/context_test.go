package node_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// A turn's context ends with the turn, and so does all that was derived from it.
func TestContextEndsWithTheTurn(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"return", "fail x", "panic x"} {
		inBubble(t, func(w *world) {
			done := make(chan string, 10)
			w.on("watch", func(ctx context.Context, o *actor, arg string) (string, error) {
				if err := ctx.Err(); err != nil {
					w.t.Errorf("Err in the turn: %v", err)
				}
				select {
				case <-ctx.Done():
					w.t.Error("Done in the turn")
				default:
				}
				timed, cancel := context.WithTimeout(ctx, time.Hour)
				context.AfterFunc(timed, func() { cancel(); done <- "derived" })
				context.AfterFunc(ctx, func() { done <- "own" })
				stop := context.AfterFunc(ctx, func() { w.t.Error("a stopped AfterFunc ran") })
				if !stop() {
					w.t.Error("stop of a pending AfterFunc = false")
				}
				if arg == "return" {
					return "", nil
				}
				return o.acted(ctx, arg)
			})
			_, _ = w.do("Plain-a", "Write", "watch "+way)
			synctest.Wait()
			if len(done) != 2 {
				w.t.Errorf("%s: %d contexts ended with the turn, want 2", way, len(done))
			}
		})
	}
}

// acted is act for requests within actions.
func (a *actor) acted(ctx context.Context, req string) (string, error) {
	out, err := a.act(ctx, wrapperspb.String(req))
	return out.GetValue(), err
}

// However the caller's context ends, the turn's tells the same.
func TestContextFollowsItsCaller(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		cause := errors.New("the caller's cause")
		for _, c := range []struct {
			name string
			ctx  func() (context.Context, func())
			err  error
		}{
			{"cancel", func() (context.Context, func()) {
				ctx, cancel := context.WithCancelCause(w.t.Context())
				return ctx, func() { cancel(cause) }
			}, context.Canceled},
			{"deadline", func() (context.Context, func()) {
				ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Second, cause)
				return ctx, func() { sleep(time.Second); cancel() }
			}, context.DeadlineExceeded},
			{"foreign kind", func() (context.Context, func()) {
				f := &foreignContext{Context: w.t.Context(), done: make(chan struct{})}
				return f, f.end
			}, context.Canceled},
		} {
			got := make(chan [3]error, 1)
			w.on("watch", func(ctx context.Context, _ *actor, _ string) (string, error) {
				derived, cancel := context.WithCancel(ctx)
				defer cancel()
				<-derived.Done()
				got <- [3]error{ctx.Err(), derived.Err(), context.Cause(ctx)}
				return "", nil
			})
			ctx, end := c.ctx()
			p := w.start(ctx, "Plain-a", "Write", "watch")
			end()
			p.ok("")
			errs := <-got
			if !errors.Is(errs[0], c.err) || !errors.Is(errs[1], c.err) {
				w.t.Errorf("%s: Err %v, derived %v, want %v", c.name, errs[0], errs[1], c.err)
			}
			if !errors.Is(errs[2], c.err) { // the caller's own cause would not cross nodes
				w.t.Errorf("%s: Cause %v, want %v", c.name, errs[2], c.err)
			}
		}
	})
}

// foreignContext is a context that package context does not know.
type foreignContext struct {
	context.Context

	done chan struct{}
	mu   sync.Mutex
	over bool // guarded by mu
}

func (f *foreignContext) Done() <-chan struct{} { return f.done }

func (f *foreignContext) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return context.Canceled
	}
	return nil
}

func (f *foreignContext) end() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	close(f.done)
}

// Err alone, without Done, tells the end as well.
func TestErrWithoutDone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("poll", func(ctx context.Context, _ *actor, _ string) (string, error) {
			for range 100 {
				if err := ctx.Err(); err != nil {
					return "", err
				}
				<-time.After(100 * time.Millisecond)
			}
			return "", nil
		})
		began := time.Now()
		_, err := w.do("Plain-a", "Hurry", "poll")
		wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
		if d := time.Since(began); d != time.Second {
			w.t.Errorf("told after %v", d)
		}
		ctx, cancel := context.WithCancel(w.t.Context())
		p := w.start(ctx, "Plain-a", "Write", "poll")
		cancel()
		p.fails(object.ErrCanceled, object.ExecutedUnknown)
	})
}

// What the caller keeps in its context stays with the caller; the runtime's own
// values are there.
func TestCallersValuesAreNotVisible(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		type key struct{}
		w.on("values", func(ctx context.Context, o *actor, arg string) (string, error) {
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			for _, c := range []context.Context{ctx, derived} {
				if v := c.Value(key{}); v != nil {
					w.t.Errorf("the caller's value %v is visible", v)
				}
				if rt, ok := object.FromContext(c); !ok || rt != object.Runtime(w) {
					w.t.Error("the runtime is not in the context")
				}
			}
			if arg == "" {
				return "", nil
			}
			return callOn(context.WithValue(derived, key{}, "callee"), o, arg)
		})
		ctx := context.WithValue(w.t.Context(), key{}, "caller")
		if _, err := w.try(ctx, "Plain-a", "Write", "values Plain-b.Write ! values"); err != nil {
			w.t.Error(err)
		}
	})
}

// Metadata flows from caller to callee and on, never back, and is nobody's shared map.
func TestMetadataFlowsDown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("meta", func(ctx context.Context, _ *actor, _ string) (string, error) {
			m := object.MetadataFrom(ctx)
			got := m["a"] + m["b"] + m["c"]
			m["a"], m["new"] = "spoilt", "spoilt"
			return got, nil
		})
		w.on("add", func(ctx context.Context, _ *actor, _ string) (string, error) {
			one, err := w.Call(ctx, "Plain-b", "Write", wrapperspb.String("meta"), object.WithMetadata("b", "2"))
			if err != nil {
				return "", err
			}
			two, err := w.Call(ctx, "Plain-b", "Write", wrapperspb.String("meta"), object.WithMetadata("a", "9"), object.WithMetadata("c", "3"))
			if err != nil {
				return "", err
			}
			m := object.MetadataFrom(ctx)
			return one.(*str).GetValue() + " " + two.(*str).GetValue() + " " + m["a"] + m["b"] + m["c"] + m["new"], nil
		})
		if got := w.must("Plain-a", "Write", "add", object.WithMetadata("a", "1")); got != "12 93 1" {
			w.t.Errorf("seen %q, want what went down: 12 93 1", got)
		}
		w.on("none", func(ctx context.Context, _ *actor, _ string) (string, error) {
			if m := object.MetadataFrom(ctx); m != nil {
				w.t.Errorf("metadata %v without any", m)
			}
			return "", nil
		})
		w.must("Plain-a", "Write", "none")
	})
}

// Derived contexts of many turns leave no goroutine behind, also on real ones.
func TestDerivedContextsLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	w.on("derive", func(ctx context.Context, _ *actor, _ string) (string, error) {
		derived, cancel := context.WithTimeout(ctx, time.Hour)
		if len(object.MetadataFrom(ctx)) == 0 {
			defer cancel()
		} else {
			context.AfterFunc(derived, cancel) // ended by the turn
		}
		return "", derived.Err()
	})
	for i := range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		opts := []object.CallOption{object.WithMetadata("leave", "")}[:i%2]
		if _, err := w.try(ctx, "Plain-a", "Write", "derive", opts...); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Many calls are cancelled at every moment of their lives: what is said not to have
// run has not, what succeeded has run once, and the object stays usable.
func TestManyCancellations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	const callers, calls = 8, 1000
	var ran [callers * calls]atomic.Int32
	w.on("count", func(ctx context.Context, _ *actor, arg string) (string, error) {
		i, err := strconv.Atoi(arg)
		if err != nil {
			return "", err
		}
		ran[i].Add(1)
		return "", ctx.Err()
	})
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c * calls; i < (c+1)*calls; i++ {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				method := []string{"Write", "Read", "Loose", "Free"}[i%4]
				_, err := w.try(ctx, "Plain-a", method, fmt.Sprintf("count %d", i))
				n := ran[i].Load()
				switch {
				case err == nil && n == 1:
				case err != nil && !errors.Is(err, object.ErrCanceled):
					t.Errorf("%s: %v", method, err)
				case object.Executed(err) == object.ExecutedNo && n == 0:
				case object.Executed(err) == object.ExecutedUnknown && n <= 1:
				default:
					t.Errorf("%s: ran %d times, %v, executed=%v", method, n, err, object.Executed(err))
				}
			}
		})
	}
	wg.Wait()
	w.must("Plain-a", "Write", "nothing")
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range ran { // nothing ran later either
		if n := ran[i].Load(); n > 1 {
			t.Errorf("call %d ran %d times", i, n)
		}
	}
}
