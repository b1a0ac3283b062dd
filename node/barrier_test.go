package node_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// later is "call" that begins when a gate opens: "gate ID.Method > …".
func (w *world) later() {
	w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
		gate, path, _ := strings.Cut(arg, " ")
		<-w.gate(gate)
		return callOn(ctx, o, path)
	})
}

// deleting calls Delete on a goroutine of its own.
func (w *world) deleting(ctx context.Context, id string) <-chan error {
	out := make(chan error, 1)
	go func() { out <- w.Delete(ctx, id) }()
	synctest.Wait()
	return out
}

// Two turns call each other's objects, which are no cycle, while both objects are to
// be deleted: the deletions wait for the chains, not the chains for the deletions.
func TestConcurrentCallsOfAChainPassDeletions(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.later()
		began := time.Now()
		a := w.begin("Plain-a", "Write", "later go Plain-b.Free ! hold both")
		b := w.begin("Plain-b", "Write", "later go Plain-a.Free ! hold both")
		deletedA, deletedB := w.deleting(w.t.Context(), "Plain-a"), w.deleting(w.t.Context(), "Plain-b")
		w.open("go")
		synctest.Wait()
		w.wantNotes("both", "both")
		w.open("both")
		a.ok("both")
		b.ok("both")
		if err := <-deletedA; err != nil {
			t.Error(err)
		}
		if err := <-deletedB; err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v", d)
		}
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
	})
}

// The same while the node stops, also where the chain comes back through an object
// that is otherwise free.
func TestConcurrentCallsOfAChainPassStop(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Free"} {
		inBubble(t, func(w *world) {
			w.later()
			began := time.Now()
			first := w.begin("Plain-a", method, "later first Plain-z."+map[string]string{"Write": "Free", "Free": "Write"}[method])
			second := w.begin("Plain-z", "Write", "later second Plain-a.Free")
			stopped := w.stopping(w.t.Context())
			w.open("first")
			synctest.Wait()
			w.open("second")
			first.ok("end")
			second.ok("end")
			if err := <-stopped; err != nil {
				t.Errorf("%s: Stop: %v", method, err)
			}
			if d := time.Since(began); d != 0 {
				t.Errorf("%s: took %v", method, d)
			}
		})
	}
}

// When a deletion gives up, the concurrent calls behind it run at once, although a
// sequential turn begins at the same moment.
func TestConcurrentCallBehindADeletionThatGivesUp(t *testing.T) { //nolint:paralleltest // it sets GOMAXPROCS
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the order in which it went wrong
	for range 50 {
		inBubble(t, func(w *world) {
			ctx, cancel := context.WithCancel(w.t.Context())
			w.on("cancelling", func(context.Context, *actor, string) (string, error) {
				<-w.gate("cancel")
				cancel()
				return "", nil
			})
			ahead := w.begin("Plain-a", "Free", "cancelling")
			deleted := w.deleting(ctx, "Plain-a")
			holds := w.begin("Plain-a", "Write", "hold x")
			waits := w.begin("Plain-a", "Write", "echo 1")
			free := w.begin("Plain-a", "Free", "echo free")
			free.running()
			w.open("cancel")
			synctest.Wait()
			ahead.ok("")
			if err := <-deleted; err != nil {
				wantErr(t, err, object.ErrCanceled, object.ExecutedNo)
				free.over()
				waits.running()
			}
			w.open("x")
			holds.ok("x")
			waits.ok("1")
			free.ok("free")
		})
		if t.Failed() {
			return
		}
	}
}

// over checks that the call has returned.
func (p *pending) over() {
	p.w.t.Helper()
	select {
	case <-p.done:
	default:
		p.w.t.Errorf("%s still runs or waits", p.what)
	}
}

// A turn that comes to its place when its own deadline has come is not run.
func TestOverdueTurnsAreNotRun(t *testing.T) {
	t.Parallel()
	for range 30 { // the three ends at one moment come in any order
		inBubble(t, func(w *world) {
			w.on("second", func(context.Context, *actor, string) (string, error) {
				sleepIn(context.Background(), time.Second)
				return "", nil
			})
			w.must("Plain-a", "Write", "nothing")
			head := w.begin("Plain-a", "Patient", "second")
			one, two := w.begin("Plain-a", "Hurry", "note ran"), w.begin("Plain-a", "Hurry", "note ran")
			head.ok("")
			one.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
			two.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
			w.wantNotes()
		})
	}
}

// That an object exists is known without waiting for its turns.
func TestCreateOfABusyObject(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Patient", "Read", "Free"} {
		inBubble(t, func(w *world) {
			busy := w.begin("Plain-a", method, "hold x")
			waits := w.begin("Plain-a", "Patient", "echo 1")
			began := time.Now()
			_, err := w.Create(w.t.Context(), "Plain", "Plain-a", nil)
			wantErr(t, err, object.ErrAlreadyExists, object.ExecutedNo, "Plain-a")
			if d := time.Since(began); d != 0 {
				t.Errorf("%s: the refusal took %v", method, d)
			}
			w.open("x")
			busy.ok("x")
			waits.ok("1")
		})
	}
}
