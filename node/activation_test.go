package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// A crowd calls cold objects at the same moment: each object is activated once, and
// everybody is answered by that activation.
func TestConcurrentFirstCallsActivateOnce(t *testing.T) {
	t.Parallel()
	const ids, callers = 10, 100
	w := newWorld(t, clock.System())
	defer func() {
		if err := w.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var mu sync.Mutex
	ups := make(map[string]int)
	w.on("OnActivate", func(_ context.Context, o *actor, _ string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		ups[o.ID()]++
		return "", nil
	})
	for round := range 20 {
		var wg sync.WaitGroup
		barrier := make(chan struct{})
		for i := range ids * callers {
			wg.Go(func() {
				<-barrier
				w.must(fmt.Sprintf("Hook-%d-%d", round, i%ids), []string{"Write", "Read", "Free", "Loose"}[i%4], "nothing")
			})
		}
		close(barrier)
		wg.Wait()
	}
	if len(ups) != 20*ids {
		t.Errorf("%d objects, want %d", len(ups), 20*ids)
	}
	for id, n := range ups {
		if n != 1 {
			t.Errorf("%s was activated %d times", id, n)
		}
	}
}

// The first call's end does not concern those that wait for the activation it began.
func TestCancelledFirstCallerDoesNotFailTheOthers(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Loose"} {
		inBubble(t, func(w *world) {
			w.on("OnActivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
				sleepIn(ctx, 10*time.Second)
				w.note("up %v", ctx.Err())
				return "", nil
			})
			ctx, cancel := context.WithCancel(w.t.Context())
			first := w.start(ctx, "Hook-a", method, "note first")
			second := w.begin("Hook-a", "Write", "note second")
			third := w.begin("Hook-a", "Read", "note third")
			cancel()
			first.fails(object.ErrCanceled, object.ExecutedNo)
			second.ok("second")
			third.ok("third")
			w.wantNotes("up <nil>", "second", "third")
		})
	}
}

// Deadlines during a slow activation: who is late is not run; the object comes up.
func TestDeadlinesDuringASlowActivation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
			sleepIn(ctx, 10*time.Second)
			return "", nil
		})
		began := time.Now()
		first := w.begin("Hook-a", "Hurry", "note first")
		hurried := w.begin("Hook-a", "Hurry", "note hurried")
		patient := w.begin("Hook-a", "Write", "note patient")
		detached := make(chan error, 1)
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
		defer cancel()
		go func() {
			_, err := w.try(ctx, "Hook-a", "Loose", "note detached")
			detached <- err
		}()
		hurried.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
		if d := time.Since(began); d != time.Second {
			w.t.Errorf("a waiting call expired after %v", d)
		}
		wantErr(w.t, <-detached, object.ErrDeadlineExceeded, object.ExecutedNo)
		if d := time.Since(began); d != 2*time.Second {
			w.t.Errorf("a detached call expired after %v", d)
		}
		first.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
		patient.ok("patient")
		if d := time.Since(began); d != 10*time.Second {
			w.t.Errorf("up after %v", d)
		}
		w.wantNotes("patient")
	})
}

// A hook that does not end is told so after the type's call timeout.
func TestHookTimeout(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(ctx context.Context, _ *actor, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() })
		began := time.Now()
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
		defer cancel()
		_, err := w.try(ctx, "HookQuick-a", "Write", "note ran")
		wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedNo)
		if d := time.Since(began); d != 5*time.Second {
			w.t.Errorf("the hook was told after %v", d)
		}
		w.wantNotes()
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
	}, typed((*hooked)(nil), "HookQuick", object.CallTimeout(5*time.Second)))
}

// Orleans 3: a burst of calls to an object that cannot come up all fail, each burst
// costs one attempt, and the next call tries anew.
func TestBurstOnAFailingActivation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		attempts := 0
		w.on("OnActivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
			attempts++
			sleepIn(ctx, time.Second)
			if attempts == 3 {
				return "", nil
			}
			return "", object.NewError(object.CodeUnavailable, fmt.Sprintf("attempt %d", attempts))
		})
		for attempt := 1; attempt <= 3; attempt++ {
			var burst []*pending
			for range 50 {
				burst = append(burst, w.begin("Hook-a", "Write", "note ran"))
			}
			for _, p := range burst {
				if attempt == 3 {
					p.ok("ran")
				} else {
					p.fails(object.ErrUnavailable, object.ExecutedNo, fmt.Sprintf("attempt %d", attempt))
				}
			}
			if attempts != attempt {
				w.t.Errorf("%d attempts in burst %d", attempts, attempt)
			}
			if attempt < 3 {
				w.wantNotes()
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%d activations", n)
				}
			}
		}
	})
}

// Creations that wait behind a failing activation are not failed by it: they try.
func TestCreateBehindAFailingActivation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		attempts := 0
		w.on("OnActivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
			sleepIn(ctx, time.Second)
			if attempts++; attempts == 1 {
				return "", object.NewError(object.CodeUnavailable, "first")
			}
			return "", nil
		})
		w.on("OnCreate", func(_ context.Context, _ *actor, arg string) (string, error) {
			w.note("create %s", arg)
			return "", nil
		})
		call := w.begin("Hook-a", "Write", "note called")
		created := make(chan error, 1)
		go func() {
			_, err := w.Create(w.t.Context(), "Hook", "Hook-a", wrapperspb.String("me"))
			created <- err
		}()
		synctest.Wait()
		behind := w.begin("Hook-a", "Write", "note behind")
		deleted := make(chan error, 1)
		go func() { deleted <- w.Delete(w.t.Context(), "Hook-a") }()
		call.fails(object.ErrUnavailable, object.ExecutedNo)
		behind.fails(object.ErrUnavailable, object.ExecutedNo)
		if err := <-created; err != nil {
			w.t.Errorf("Create: %v", err)
		}
		if err := <-deleted; err != nil {
			w.t.Errorf("Delete: %v", err)
		}
		w.wantNotes("create me")
	})
}

func TestHookOrderAndInit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for _, hook := range []string{"OnCreate", "OnActivate", "OnDeactivate"} {
			w.on(hook, func(_ context.Context, o *actor, arg string) (string, error) {
				w.note("%s %s %d", hook, arg, o.n)
				return "", nil
			})
		}
		init := wrapperspb.String("init")
		id, err := w.Create(w.t.Context(), "Hook", "Hook-a", init)
		if err != nil || id != "Hook-a" {
			w.t.Fatalf("Create: %q, %v", id, err)
		}
		w.must("Hook-a", "Write", "note call")
		if err := w.Delete(w.t.Context(), "Hook-a"); err != nil {
			w.t.Error(err)
		}
		w.must("Hook-a", "Write", "note again")
		if _, err := w.Create(w.t.Context(), "Hook", "Hook-b", nil); err != nil {
			w.t.Error(err)
		}
		w.wantNotes("OnCreate init 1", "OnActivate  2", "call", "OnDeactivate deleted 4", "OnActivate  1", "again", "OnCreate  1", "OnActivate  2")
	})
}

// Different types, and IDs that differ in a byte, are different objects.
func TestIdentity(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		seen := make(map[string]string)
		for _, id := range []string{"Plain-a", "Plain-A", "Brief-a", "Plain-a-b", "Plain-ä", "Plain-a\u0308", "Plain- a", "Plain--"} {
			who := w.must(id, "Write", "who")
			if other, ok := seen[who]; ok {
				w.t.Errorf("%q and %q are one object", id, other)
			}
			seen[who] = id
		}
		w.on("names", func(_ context.Context, o *actor, _ string) (string, error) {
			return o.Type() + "|" + o.Name() + "|" + o.ID(), nil
		})
		if got := w.must("Plain-a-b", "Write", "names"); got != "Plain|a-b|Plain-a-b" {
			w.t.Errorf("names %q", got)
		}
		for _, id := range []string{"", "Plain", "Plain-", "-a", "Plain-a/b", "Plain-a\x00", "Plain-\xff", "Plain-\u0085", "Plain-" + string(make([]byte, 300))} {
			_, err := w.do(id, "Write", "nothing")
			wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo)
			wantErr(w.t, w.Delete(w.t.Context(), id), object.ErrInvalidArgument, object.ExecutedNo)
		}
		_, err := w.do("Nobody-a", "Write", "nothing")
		wantErr(w.t, err, object.ErrNotRegistered, object.ExecutedNo, "Nobody")
		wantErr(w.t, w.Delete(w.t.Context(), "Nobody-a"), object.ErrNotRegistered, object.ExecutedNo)
		_, err = w.Create(w.t.Context(), "Nobody", "", nil)
		wantErr(w.t, err, object.ErrNotRegistered, object.ExecutedNo)
		if n := w.Activations(); n != len(seen) {
			w.t.Errorf("%d activations, want %d", n, len(seen))
		}
	})
}

// An object of a shard that the node does not own is unavailable, and nothing runs.
func TestShardsOfOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		r := object.NewRegistry()
		if err := typed((*actor)(nil), "Plain")(r); err != nil {
			w.t.Fatal(err)
		}
		n := w.another(r)
		_, err := n.Call(w.t.Context(), "Plain-a", "Write", wrapperspb.String("note ran"))
		wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo)
		_, err = n.Create(w.t.Context(), "Plain", "Plain-a", nil)
		wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo)
		s := n.ShardOf("Plain-a")
		if err := n.OpenShard(w.t.Context(), s, 0, nil); err == nil {
			w.t.Error("a shard was opened at epoch 0")
		}
		if err := n.OpenShard(w.t.Context(), 9999, 1, nil); err == nil {
			w.t.Error("a shard that is none was opened")
		}
		if err := n.OpenShard(w.t.Context(), s, 7, nil); err != nil || n.Epoch(s) != 7 {
			w.t.Errorf("OpenShard: %v, epoch %d", err, n.Epoch(s))
		}
		if _, err := n.Call(w.t.Context(), "Plain-a", "Write", wrapperspb.String("note ran")); err != nil {
			w.t.Error(err)
		}
		w.wantNotes("ran")
		if err := n.Stop(w.t.Context()); err != nil || n.Epoch(s) != 0 {
			w.t.Errorf("Stop: %v, epoch %d", err, n.Epoch(s))
		}
	})
}
