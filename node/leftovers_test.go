package node_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/xiaonanln/goverse/object"
)

// However many keys come after it, that of a call that still runs is remembered.
func TestKeyOfARunningCallIsRemembered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		key := object.WithIdempotencyKey("k")
		first := w.begin("Plain-a", "Free", "hold x", key)
		for i := range 2048 {
			if _, err := w.keyed("Plain-a", "Free", fmt.Sprint("other ", i), "nothing"); err != nil {
				t.Fatal(err)
			}
		}
		second := w.begin("Plain-a", "Free", "hold x", key)
		w.wantNotes("x")
		w.open("x")
		first.ok("x")
		second.ok("x")
		if out := w.must("Plain-a", "Free", "hold x", key); out != "x" {
			t.Errorf("replayed %q", out)
		}
		w.wantNotes()
	})
}

// Who gives up waiting for the outcome of the call that runs with its key cannot say
// that the call was not run.
func TestKeyedCallThatGivesUpMayHaveRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		key := object.WithIdempotencyKey("k")
		first := w.begin("Plain-a", "Free", "hold x", key)
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		late := w.start(ctx, "Plain-a", "Free", "hold x", key)
		ctx, cancel = context.WithCancel(w.t.Context())
		left := w.start(ctx, "Plain-a", "Free", "hold x", key)
		cancel()
		left.fails(object.ErrCanceled, object.ExecutedUnknown)
		late.fails(object.ErrDeadlineExceeded, object.ExecutedUnknown)
		w.wantNotes("x")
		w.open("x")
		first.ok("x")
	})
}

// Why the caller's context ended is the caller's affair: the code of a call that was
// left says that it was cancelled or late, whatever the cause.
func TestDetachedCallsOfContextsWithCauses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		causes := []error{errors.New("lost interest"), object.NewError(object.CodeNotFound, "nobody is left")}
		for i, cause := range causes {
			for _, executed := range []object.Execution{object.ExecutedUnknown, object.ExecutedNo} {
				id := fmt.Sprintf("Plain-%d-%v", i, executed)
				var head *pending
				if executed == object.ExecutedNo { // it waits
					head = w.begin(id, "Patient", "hold "+id)
				}
				cancelled, cancel := context.WithCancelCause(w.t.Context())
				p := w.start(cancelled, id, "Loose", "heed y")
				cancel(cause)
				p.fails(object.ErrCanceled, executed)
				synctest.Wait() // a turn that was left is over

				late, release := context.WithTimeoutCause(w.t.Context(), time.Second, cause)
				w.start(late, id, "Loose", "heed y").fails(object.ErrDeadlineExceeded, executed)
				release()
				synctest.Wait()
				if head != nil {
					w.open(id)
					head.ok(id)
				}
			}
		}
	})
}

// A context that has ended has ended for good, in all its faces.
func TestContextAtACutOffStaysEnded(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		inBubble(t, func(w *world) {
			w.on("look", func(ctx context.Context, _ *actor, _ string) (string, error) {
				<-w.gate("cut off")
				for i := range 2 { // the first look at Done comes after the first at Err
					if err := ctx.Err(); !errors.Is(err, context.Canceled) {
						t.Errorf("%s: Err at look %d: %v", method, i, err)
					}
					select {
					case <-ctx.Done():
					default:
						t.Errorf("%s: Done is open at look %d", method, i)
					}
				}
				if err := context.Cause(ctx); err == nil {
					t.Errorf("%s: no cause", method)
				}
				w.note("looked")
				return "", nil
			})
			p := w.begin("Plain-a", method, "look")
			ctx, cancel := context.WithCancel(w.t.Context())
			cancel()
			stopped := w.stopping(ctx)
			w.open("cut off")
			p.wait()
			if err := <-stopped; err != nil {
				t.Errorf("%s: Stop: %v", method, err)
			}
			w.wantNotes("looked")
		})
	}
}

// A re-entrant call that gives up while another of its chain runs leaves nothing: its
// caller's context is garbage.
func TestRefusedReentrantCallsLeaveNothing(t *testing.T) {
	t.Parallel()
	type keyType struct{}
	const calls = 100
	inBubble(t, func(w *world) {
		chain := object.WithMetadata("chain", "1")
		var values []weak.Pointer[[1 << 10]byte]
		w.on("outer", func(ctx context.Context, o *actor, _ string) (string, error) {
			inner := w.start(ctx, o.ID(), "Write", "hold x", chain)
			for range calls {
				value := new([1 << 10]byte)
				values = append(values, weak.Make(value))
				c, cancel := context.WithCancel(context.WithValue(ctx, keyType{}, value))
				p := w.start(c, o.ID(), "Write", "note ran", chain)
				cancel()
				p.fails(object.ErrCanceled, object.ExecutedNo)
			}
			w.open("x")
			inner.ok("x")
			return "", nil
		})
		w.must("Loop-a", "Write", "outer", chain)
		w.wantNotes("x")
		runtime.GC()
		kept := 0
		for _, v := range values {
			if v.Value() != nil {
				kept++
			}
		}
		if kept > calls/10 { // a stack may still show the last
			t.Errorf("the contexts of %d of %d refused calls are kept", kept, calls)
		}
	})
}

// A timer whose only call is refused has had it.
func TestTimerWhoseCallIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stop := w.timed()
		w.must("Tight-a", "Write", "after t 10s Write note tick")
		head := w.begin("Tight-a", "Patient", "hold x")
		var waiting []*pending
		for range 3 { // the mailbox limit
			waiting = append(waiting, w.begin("Tight-a", "Patient", "echo 1"))
		}
		sleep(11 * time.Second)
		if stop("t") {
			t.Error("stop says that it prevented the call that was refused")
		}
		w.open("x")
		head.ok("x")
		for _, p := range waiting {
			p.ok("1")
		}
		sleep(time.Minute)
		w.wantNotes("x")
	})
}

// OnDisconnect that ends its goroutine ends the object as one that returns.
func TestDetachWhoseHookExits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		if err := w.AttachClient(w.t.Context(), "Guest-1"); err != nil {
			t.Fatal(err)
		}
		w.on("OnDisconnect", w.action("exit"))
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		_ = w.DetachClient(ctx, "Guest-1", object.DisconnectClosed) // what it answers is another matter
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v", d)
		}
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
	})
}
