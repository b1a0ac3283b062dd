package node_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// keyed is a call with an idempotency key.
func (w *world) keyed(id, method, key, req string) (string, error) {
	return w.do(id, method, req, object.WithIdempotencyKey(key))
}

func (w *world) countRuns() {
	runs := 0
	var mu sync.Mutex
	w.on("run", func(_ context.Context, _ *actor, arg string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		runs++
		if arg == "fail" {
			return "", object.NewError(object.CodeAborted, fmt.Sprint("run ", runs))
		}
		return fmt.Sprint("run ", runs), nil
	})
}

func TestSameKeyRunsOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		inBubble(t, func(w *world) {
			w.countRuns()
			for range 5 {
				if out, err := w.keyed("Plain-a", method, "k", "run"); err != nil || out != "run 1" {
					w.t.Errorf("%s: %q, %v", method, out, err)
				}
			}
			if out, _ := w.keyed("Plain-a", method, "other", "run"); out != "run 2" {
				w.t.Errorf("another key: %q", out)
			}
			if out, _ := w.keyed("Plain-b", method, "k", "run"); out != "run 3" {
				w.t.Errorf("another object: %q", out)
			}
			if out, _ := w.keyed("Plain-a", method, "", "run"); out != "run 4" {
				w.t.Errorf("no key: %q", out)
			}
			// Another request, or the same to another method, is a mistake.
			_, err := w.keyed("Plain-a", method, "k", "run more")
			wantErr(w.t, err, object.ErrKeyReused, object.ExecutedNo)
			_, err = w.keyed("Plain-a", "Hurry", "k", "run")
			wantErr(w.t, err, object.ErrKeyReused, object.ExecutedNo)
			// An application's error is an outcome.
			for range 3 {
				_, err := w.keyed("Plain-a", method, "f", "run fail")
				wantErr(w.t, err, object.ErrAborted, object.ExecutedYes, "run 5")
			}
			// A one-way call has its key too.
			if err := w.sendWith("Plain-a", "run", object.WithIdempotencyKey("one-way")); err != nil {
				w.t.Error(err)
			}
			synctest.Wait()
			if out, _ := w.keyed("Plain-a", "Write", "one-way", "run"); out != "run 6" {
				w.t.Errorf("after the one-way call: %q", out)
			}
		})
	}
}

func TestKeyIsVisibleInTheMethodOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("key", func(ctx context.Context, o *actor, arg string) (string, error) {
			key := object.IdempotencyKey(ctx)
			if arg == "" {
				return key, nil
			}
			out, err := callOn(ctx, o, arg)
			return key + "," + out, err
		})
		if out, err := w.keyed("Plain-a", "Write", "k", "key Plain-b.Write ! key"); err != nil || out != "k," {
			w.t.Errorf("keys %q, %v; want k for the callee alone", out, err)
		}
	})
}

// Calls with the same key that overlap: one runs, the others get its outcome.
func TestSameKeyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	w.countRuns()
	for round := range 100 {
		var wg sync.WaitGroup
		outs := make([]string, 8)
		for i := range outs {
			wg.Go(func() {
				out, err := w.keyed("Plain-a", "Free", fmt.Sprint(round), "run")
				if err != nil {
					t.Error(err)
				}
				outs[i] = out
			})
		}
		wg.Wait()
		for _, out := range outs {
			if out != fmt.Sprint("run ", round+1) {
				t.Fatalf("round %d: %q", round, outs)
			}
		}
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who waits for another call's outcome gives up in time, and tries itself where that
// call came to no outcome.
func TestWaitingForAnotherOutcome(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("once", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.note("ran")
			select {
			case <-w.gate("go"):
				return "done", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
		key := object.WithIdempotencyKey("k")
		ctx, cancel := context.WithCancel(w.t.Context())
		first := w.start(ctx, "Plain-a", "Free", "once", key)
		soon, release := context.WithTimeout(w.t.Context(), time.Second)
		defer release()
		second := w.start(soon, "Plain-a", "Free", "once", key)
		third := w.begin("Plain-a", "Free", "once", key)
		wrong := w.begin("Plain-a", "Free", "once more", key)
		wrong.fails(object.ErrKeyReused, object.ExecutedNo)
		second.fails(object.ErrDeadlineExceeded, object.ExecutedUnknown)
		cancel()
		first.fails(object.ErrCanceled, object.ExecutedUnknown)
		synctest.Wait()
		w.wantNotes("ran", "ran") // the third tries itself
		w.open("go")
		third.ok("done")
		if out := w.must("Plain-a", "Free", "once", key); out != "done" {
			w.t.Errorf("replayed %q", out)
		}
		w.wantNotes()
	})
}

// A chain that uses one key twice on an object must not wait for itself.
func TestKeyReusedWithinAChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		began := time.Now()
		w.on("again", func(ctx context.Context, o *actor, arg string) (string, error) {
			return w.try(ctx, o.ID(), arg, "echo x", object.WithIdempotencyKey("k"))
		})
		_, err := w.keyed("Loop-a", "Write", "k", "again Write")
		wantErr(w.t, err, object.ErrKeyReused, object.ExecutedYes)
		_, err = w.keyed("Plain-a", "Free", "k", "again Free")
		wantErr(w.t, err, object.ErrKeyReused, object.ExecutedYes)
		depth := 0
		w.on("same", func(ctx context.Context, o *actor, arg string) (string, error) {
			if depth++; depth > 1 {
				w.t.Error("the same request ran inside itself")
			}
			return w.try(ctx, o.ID(), arg, "same "+arg, object.WithIdempotencyKey("s"))
		})
		_, err = w.keyed("Loop-a", "Write", "s", "same Write")
		wantErr(w.t, err, object.ErrDeadlock, object.ExecutedYes, "Loop-a.Write → Loop-a.Write")
		depth = 0
		_, err = w.keyed("Plain-a", "Free", "s", "same Free")
		wantErr(w.t, err, object.ErrDeadlock, object.ExecutedYes, "Plain-a.Free → Plain-a.Free")
		if d := time.Since(began); d != 0 {
			w.t.Errorf("took %v", d)
		}
	})
}

// A panic is no outcome.
func TestKeyAfterAPanic(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.countRuns()
		for range 2 {
			_, err := w.keyed("Plain-a", "Write", "k", "panic x")
			wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
		}
		// Two at once: the second runs on the next activation.
		head := w.begin("Plain-a", "Write", "hold head")
		one := w.begin("Plain-a", "Write", "panic x", object.WithIdempotencyKey("k"))
		two := w.begin("Plain-a", "Write", "panic x", object.WithIdempotencyKey("k"))
		w.open("head")
		head.ok("head")
		one.fails(object.ErrInternal, object.ExecutedYes)
		two.fails(object.ErrInternal, object.ExecutedYes)
		// Concurrent: the one that waits for the outcome runs, on the failing activation.
		w.on("burst", func(context.Context, *actor, string) (string, error) {
			w.note("burst")
			<-w.gate("burst")
			panic("burst")
		})
		one = w.begin("Plain-a", "Free", "burst", object.WithIdempotencyKey("b"))
		two = w.begin("Plain-a", "Free", "burst", object.WithIdempotencyKey("b"))
		w.wantNotes("head", "burst")
		w.open("burst")
		one.fails(object.ErrInternal, object.ExecutedYes)
		two.fails(object.ErrInternal, object.ExecutedYes)
		w.wantNotes("burst")
		if out, err := w.keyed("Plain-a", "Write", "k", "run"); err != nil || out != "run 1" {
			w.t.Errorf("after the panics: %q, %v", out, err)
		}
	})
}

// A reply that cannot be encoded for another node is an outcome: the method has run.
func TestKeyOfAReplyThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		inBubble(t, func(w *world) {
			w.on("garble", func(context.Context, *actor, string) (string, error) { w.note("ran"); return "\xff", nil })
			request := func(key string) object.Request {
				return object.Request{ID: "Plain-a", Method: method, Message: strName, Body: encoded(w.t, word("garble")), Key: key}
			}
			for range 3 {
				_, err := w.Serve(w.t.Context(), request("k"))
				wantErr(w.t, err, object.ErrInternal, object.ExecutedYes, "encode the reply")
			}
			_, err := w.keyed("Plain-a", method, "k", "garble") // of the same node, which needs no encoding
			wantErr(w.t, err, object.ErrInternal, object.ExecutedYes, "encode the reply")
			w.wantNotes("ran")
			_, err = w.keyed("Plain-a", method, "k", "garble more")
			wantErr(w.t, err, object.ErrKeyReused, object.ExecutedNo)

			if out, err := w.keyed("Plain-a", method, "l", "garble"); err != nil || out != "\xff" {
				w.t.Errorf("%s: %q, %v", method, out, err)
			}
			_, err = w.Serve(w.t.Context(), request("l")) // the outcome is a reply, which it cannot have
			wantErr(w.t, err, object.ErrInternal, object.ExecutedYes, "encode the reply")
			w.wantNotes("ran")
		})
	}
}

// An activation remembers its last 1024 keys.
func TestKeysRemembered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.countRuns()
		for i := range 1025 {
			_, _ = w.keyed("Plain-a", "Write", fmt.Sprint(i), "run")
		}
		if out, _ := w.keyed("Plain-a", "Write", "1", "run"); out != "run 2" {
			t.Errorf("the oldest of 1024: %q", out)
		}
		if out, _ := w.keyed("Plain-a", "Write", "0", "run"); out != "run 1026" {
			t.Errorf("the one before: %q", out)
		}
		if out, _ := w.keyed("Plain-a", "Write", "1024", "run"); out != "run 1025" {
			t.Errorf("the newest: %q", out)
		}
		if err := w.Delete(w.t.Context(), "Plain-a"); err != nil {
			t.Error(err)
		}
		if out, _ := w.keyed("Plain-a", "Write", "1024", "run"); out != "run 1027" {
			t.Errorf("after deletion: %q", out)
		}
	})
}

// What is remembered is bounded in bytes too; the newest outcome is kept whatever its
// size.
func TestKeysRememberedInBytes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		runs := 0
		w.on("big", func(_ context.Context, _ *actor, arg string) (string, error) {
			runs++
			return strings.Repeat(arg, 1<<20), nil
		})
		for key, want := range []int{1, 2, 3, 4, 5} {
			if _, err := w.keyed("Plain-a", "Write", fmt.Sprint(key), "big x"); err != nil || runs != want {
				t.Fatalf("key %d: %v, %d runs", key, err, runs)
			}
		}
		for _, key := range []string{"4", "3", "2"} {
			if _, _ = w.keyed("Plain-a", "Write", key, "big x"); runs != 5 {
				t.Errorf("key %s: %d runs, want 5", key, runs)
			}
		}
		if _, _ = w.keyed("Plain-a", "Write", "0", "big x"); runs != 6 {
			t.Errorf("the oldest of five replies of 1 MiB is remembered")
		}
		for range 2 {
			_, _ = w.keyed("Plain-b", "Write", "huge", "big xxxxx")
		}
		if runs != 7 {
			t.Errorf("the only outcome, of 5 MiB, is not remembered: %d runs", runs)
		}
		w.on("fail_at_length", func(_ context.Context, _ *actor, arg string) (string, error) {
			runs++
			return "", object.NewError(object.CodeAborted, strings.Repeat(arg, 1<<20))
		})
		runs = 0
		for _, key := range []string{"0", "1", "2", "3", "4", "0"} {
			_, _ = w.keyed("Plain-c", "Write", key, "fail_at_length x")
		}
		if runs != 6 {
			t.Errorf("the oldest of five errors of 1 MiB is remembered")
		}
		long := strings.Repeat("k", 257)
		_, err := w.keyed("Plain-a", "Write", long, "big x")
		wantErr(t, err, object.ErrInvalidArgument, object.ExecutedNo)
		if _, err := w.keyed("Plain-a", "Write", long[1:], "big x"); err != nil {
			t.Errorf("a key of 256 bytes: %v", err)
		}
	})
}

// A caller that changes a replayed reply changes nobody else's.
func TestReplayedReplyIsIsolated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for range 3 {
			reply, err := w.Call(w.t.Context(), "Plain-a", "Write", wrapperspb.String("echo x"), object.WithIdempotencyKey("k"))
			if err != nil || reply.(*str).GetValue() != "x" {
				w.t.Fatalf("%v, %v", reply, err)
			}
			reply.(*str).Value = "spoilt"
		}
	})
}
