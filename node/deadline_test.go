package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// A call whose time is up while it waits is never run, and others keep their turns.
func TestCallsThatEndWhileTheyWait(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Loose"} {
		inBubble(t, func(w *world) {
			head := w.begin("Plain-a", "Write", "hold head")
			cancelled, cancel := context.WithCancel(w.t.Context())
			limited, release := context.WithTimeout(w.t.Context(), 3*time.Second)
			defer release()
			first := w.begin("Plain-a", method, "note first")
			canceled := w.start(cancelled, "Plain-a", method, "note cancelled")
			expired := w.start(limited, "Plain-a", method, "note expired")
			hurried := w.begin("Plain-a", "Hurry", "note hurried")
			last := w.begin("Plain-a", method, "note last")

			cancel()
			canceled.fails(object.ErrCanceled, object.ExecutedNo)
			canceled.fails(context.Canceled, object.ExecutedNo)
			began := time.Now()
			hurried.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
			expired.fails(context.DeadlineExceeded, object.ExecutedNo)
			if d := time.Since(began); d != 3*time.Second {
				w.t.Errorf("the deadline of 3 s came after %v", d)
			}
			w.open("head")
			head.ok("head")
			first.ok("first")
			last.ok("last")
			sleep(time.Minute)
			if notes := w.notes(); len(notes) != 3 {
				w.t.Errorf("ran %q, want head, first and last", notes)
			}
		})
	}
}

// A writer that gives up lets the readers behind it join those that run.
func TestGivingUpUnblocksThoseBehind(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		reader := w.begin("Plain-a", "Read", "hold reader")
		ctx, cancel := context.WithCancel(w.t.Context())
		writer := w.start(ctx, "Plain-a", "Write", "note writer")
		second := w.begin("Plain-a", "Read", "note second")
		second.running()
		cancel()
		writer.fails(object.ErrCanceled, object.ExecutedNo, "behind 0 others")
		second.ok("second")

		ctx, cancel = context.WithCancel(w.t.Context())
		deletion := make(chan error, 1)
		go func() { deletion <- w.Delete(ctx, "Plain-a") }()
		sleep(0)
		free := w.begin("Plain-a", "Free", "note free") // not past a deletion
		free.running()
		cancel()
		wantErr(w.t, <-deletion, object.ErrCanceled, object.ExecutedNo)
		free.ok("free")
		w.open("reader")
		reader.ok("reader")
	})
}

func TestDefaultCallTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id, method string
		want       time.Duration
	}{
		{"Plain-a", "Write", 30 * time.Second},
		{"Plain-a", "Hurry", time.Second},
		{"Plain-a", "Patient", 0},
		{"Quick-a", "Write", 2 * time.Second},
		{"Quick-a", "Hurry", time.Second},
	} {
		t.Run(c.id+"."+c.method, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.on("look", func(ctx context.Context, _ *actor, _ string) (string, error) {
					d, ok := ctx.Deadline()
					if ok != (c.want > 0) || ok && time.Until(d) != c.want {
						w.t.Errorf("deadline %v %v, want in %v", d, ok, c.want)
					}
					return "", nil
				})
				w.must(c.id, c.method, "look")

				// The caller's own deadline counts instead, also where it is later.
				ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
				defer cancel()
				w.on("look", func(ctx context.Context, _ *actor, _ string) (string, error) {
					if d, ok := ctx.Deadline(); !ok || time.Until(d) != time.Hour {
						w.t.Errorf("deadline %v %v, want in an hour", d, ok)
					}
					return "", nil
				})
				if _, err := w.try(ctx, c.id, c.method, "look"); err != nil {
					w.t.Error(err)
				}

				began := time.Now()
				if c.want > 0 {
					_, err := w.do(c.id, c.method, "heed never")
					wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
					if d := time.Since(began); d != c.want {
						w.t.Errorf("told after %v, want %v", d, c.want)
					}
					return
				}
				patient := w.begin(c.id, c.method, "heed never")
				sleep(24 * time.Hour)
				patient.running()
			}, quick())
		})
	}
}

// quick is registered by tests that need a timeout for the whole type.
func quick() registration {
	return typed((*actor)(nil), "Quick", object.CallTimeout(2*time.Second))
}

// What is left of a caller's time goes with the calls that its turn makes.
func TestDeadlineGoesDownTheChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("wait", func(ctx context.Context, o *actor, arg string) (string, error) {
			sleepIn(ctx, 10*time.Second)
			return callOn(ctx, o, arg)
		})
		began := time.Now()
		_, err := w.do("Plain-a", "Write", "wait Plain-b.Patient > Plain-c.Hurry ! heed never")
		wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
		if d := time.Since(began); d != 30*time.Second {
			w.t.Errorf("ended after %v, want at the first call's 30 s", d)
		}
	})
}

// While a method runs its context tells it; the call's outcome is the method's.
func TestCallsThatEndWhileTheyRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		heeds := w.start(ctx, "Plain-a", "Write", "heed a")
		ignores := w.start(ctx, "Plain-b", "Write", "hold b")
		cancel()
		sleep(0)
		heeds.fails(object.ErrCanceled, object.ExecutedUnknown)
		ignores.running()
		w.open("b")
		ignores.ok("b")
		w.wantNotes("a", "b", "a told")

		// An error of its own means that the method came to its end.
		w.on("own", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-ctx.Done()
			return "", object.NewError(object.CodeAborted, "had to stop")
		})
		_, err := w.do("Plain-a", "Hurry", "own")
		wantErr(w.t, err, object.ErrAborted, object.ExecutedYes, "had to stop")

		// A context's error that is not the turn's is an ordinary one.
		w.on("other", func(context.Context, *actor, string) (string, error) {
			return "", fmt.Errorf("call the bank: %w", context.DeadlineExceeded)
		})
		_, err = w.do("Plain-a", "Write", "other")
		wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedYes, "call the bank")
	})
}

func TestDetachedReturnsAtItsDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := w.try(ctx, "Plain-a", "Loose", "hold a")
		wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
		if d := time.Since(began); d != time.Second {
			w.t.Errorf("returned after %v", d)
		}
		next := w.begin("Plain-a", "Write", "note next")
		next.running() // the turn that was left goes on and holds the object
		w.open("a")
		next.ok("next")

		_, err = w.do("Plain-a", "Loose", "hold b") // its own, default deadline
		wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
		if d := time.Since(began); d != 31*time.Second {
			w.t.Errorf("returned after %v", d)
		}

		// Cancelled while it waits behind that turn: never run.
		ctx, cancel = context.WithCancel(w.t.Context())
		waits := w.start(ctx, "Plain-a", "Loose", "note waited")
		cancel()
		waits.fails(object.ErrCanceled, object.ExecutedNo)
		w.open("b")
		sleep(time.Second)
		w.wantNotes("a", "next", "b")
		if out := w.must("Plain-a", "Loose", "echo x"); out != "x" {
			w.t.Errorf("answer %q", out)
		}
		_, err = w.do("Plain-a", "Loose", "fail x")
		wantErr(w.t, err, object.ErrAborted, object.ExecutedYes, "x")
		_, err = w.do("Plain-a", "Loose", "panic x")
		wantErr(w.t, err, object.ErrInternal, object.ExecutedYes)
	})
}

func TestPreCancelledContextSendsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		cause := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(w.t.Context())
		cancel(cause)
		past, release := context.WithTimeout(w.t.Context(), -time.Second)
		defer release()
		for _, c := range []struct {
			ctx  context.Context
			want error
		}{{ctx, object.ErrCanceled}, {past, object.ErrDeadlineExceeded}} {
			for _, method := range []string{"Write", "Read", "Free", "Loose"} {
				_, err := w.try(c.ctx, "Hook-a", method, "note ran")
				wantErr(w.t, err, c.want, object.ExecutedNo)
				_, err = w.try(c.ctx, "Hook-a", method, "note ran", object.OneWay())
				wantErr(w.t, err, c.want, object.ExecutedNo)
			}
			_, err := w.Create(c.ctx, "Hook", "Hook-a", nil)
			wantErr(w.t, err, c.want, object.ExecutedNo)
			wantErr(w.t, w.Delete(c.ctx, "Hook-a"), c.want, object.ExecutedNo)
		}
		sleep(time.Second)
		w.wantNotes()
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
	})
}

// A call that is cancelled before its turn comes is never run, also where both come
// at nearly the same time: the turn before it cancels it and ends.
func TestCancelledByTheTurnBefore(t *testing.T) {
	t.Parallel()
	for _, waiting := range []int{1, 4} { // they wake one by one, or are run one after the other
		inBubble(t, func(w *world) {
			for i := range 300 {
				ctx, cancel := context.WithCancel(w.t.Context())
				gate := fmt.Sprint("all wait ", i)
				w.on("cancel", func(context.Context, *actor, string) (string, error) {
					<-w.gate(gate)
					cancel()
					return "", nil
				})
				head := w.begin("Plain-a", "Write", "cancel")
				var calls []*pending
				for range waiting {
					calls = append(calls, w.start(ctx, "Plain-a", "Write", "note ran"))
				}
				w.open(gate)
				head.ok("")
				for _, p := range calls {
					p.fails(object.ErrCanceled, object.ExecutedNo)
				}
			}
			w.wantNotes()
		})
	}
}

// A detached call that its caller has left is no part of the caller's chain any more:
// it waits for the caller's object like anybody else, and is no deadlock.
func TestDetachedCallThatWasLeftIsNoChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("back", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-w.gate("b")
			_, err := w.Call(context.WithoutCancel(ctx), "Plain-x", "Write", wrapperspb.String("echo 1"))
			w.note("%v", err)
			return "", err
		})
		w.on("outer", func(ctx context.Context, _ *actor, _ string) (string, error) {
			soon, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := w.Call(soon, "Plain-b", "Loose", wrapperspb.String("back"))
			wantErr(w.t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
			<-w.gate("x")
			return "", nil
		})
		outer := w.begin("Plain-x", "Patient", "outer")
		sleep(2 * time.Second)
		w.open("b")
		synctest.Wait()
		w.wantNotes() // it waits
		w.open("x")
		outer.ok("")
		sleep(0)
		w.wantNotes("<nil>")
	})
}
