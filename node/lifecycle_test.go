package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx := w.t.Context()
		create := func(typ, id string) (string, error) { return w.Create(ctx, typ, id, nil) }
		if id, err := create("Plain", "Plain-a"); err != nil || id != "Plain-a" {
			w.t.Errorf("Create: %q, %v", id, err)
		}
		_, err := create("Plain", "Plain-a")
		wantErr(w.t, err, object.ErrAlreadyExists, object.ExecutedNo, "Plain-a")
		w.must("Plain-b", "Write", "nothing")
		_, err = create("Plain", "Plain-b") // a mere call made it exist
		wantErr(w.t, err, object.ErrAlreadyExists, object.ExecutedNo)

		seen := make(map[string]bool)
		for range 100 {
			id, err := create("Plain", "")
			if err != nil || !strings.HasPrefix(id, "Plain-") || len(id) < len("Plain-")+20 || seen[id] {
				w.t.Fatalf("generated %q, %v", id, err)
			}
			seen[id] = true
			w.must(id, "Write", "nothing")
		}

		for _, c := range []struct {
			typ, id string
			want    error
		}{
			{"Plain", "Hook-a", object.ErrInvalidArgument},
			{"Plain", "Plain", object.ErrInvalidArgument},
			{"Plain", "Plain-", object.ErrInvalidArgument},
			{"", "", object.ErrInvalidArgument},
			{"Guest", "Guest-1", object.ErrInvalidArgument},
			{"Guest", "", object.ErrInvalidArgument},
			{"Nobody", "Nobody-a", object.ErrNotRegistered},
		} {
			_, err := create(c.typ, c.id)
			wantErr(w.t, err, c.want, object.ExecutedNo)
		}
		_, err = w.Create(ctx, "Plain", "Plain-init", wrapperspb.String("for nobody"))
		wantErr(w.t, err, object.ErrInvalidArgument, object.ExecutedNo, "OnCreate")
		wantErr(w.t, w.Delete(ctx, "Guest-1"), object.ErrInvalidArgument, object.ExecutedNo)
	})
}

// The object is not its creator's: what the creator does to its message afterwards
// stays unseen.
func TestInitIsIsolated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		kept := make(chan string, 1)
		w.on("OnCreate", func(_ context.Context, _ *actor, arg string) (string, error) {
			<-w.gate("go")
			kept <- arg
			return "", nil
		})
		init := wrapperspb.String("mine")
		created := make(chan error, 1)
		go func() {
			_, err := w.Create(w.t.Context(), "Hook", "Hook-a", init)
			created <- err
		}()
		synctest.Wait()
		init.Value = "changed"
		w.open("go")
		if err := <-created; err != nil {
			w.t.Error(err)
		}
		if got := <-kept; got != "mine" {
			w.t.Errorf("OnCreate saw %q", got)
		}
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(_ context.Context, _ *actor, reason string) (string, error) { w.note("%s", reason); return "", nil })
		ctx := w.t.Context()
		for range 2 {
			if err := w.Delete(ctx, "Hook-a"); err != nil {
				w.t.Errorf("deleting what is not there: %v", err)
			}
		}
		w.wantNotes()
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
		w.must("Hook-a", "Write", "who")
		reader := w.begin("Hook-a", "Read", "hold reader")
		free := w.begin("Hook-a", "Free", "hold free")
		writer := w.begin("Hook-a", "Write", "note writer")
		deleted := make(chan error, 1)
		go func() { deleted <- w.Delete(ctx, "Hook-a") }()
		synctest.Wait()
		var behind []*pending
		for _, method := range []string{"Write", "Read", "Free", "Loose"} {
			p := w.begin("Hook-a", method, "who")
			p.running()
			behind = append(behind, p)
		}
		twice := make(chan error, 1)
		go func() { twice <- w.Delete(ctx, "Hook-a") }()
		synctest.Wait()
		last := w.begin("Hook-a", "Write", "who")
		w.open("reader")
		reader.ok("reader")
		writer.ok("writer")
		synctest.Wait()
		w.wantNotes("reader", "free", "writer") // the concurrent turn holds the end up
		w.open("free")
		free.ok("free")
		if err := <-deleted; err != nil {
			w.t.Errorf("Delete: %v", err)
		}
		for _, p := range behind {
			p.ok("2")
		}
		if err := <-twice; err != nil {
			w.t.Errorf("the second Delete: %v", err)
		}
		last.ok("3")
		w.wantNotes("deleted", "deleted")
	})
}

// A deletion that gives up while it waits leaves the object alone and its queue moving.
func TestDeleteThatGivesUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.must("Plain-a", "Write", "who")
		head := w.begin("Plain-a", "Read", "hold head")
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		deleted := make(chan error, 1)
		go func() { deleted <- w.Delete(ctx, "Plain-a") }()
		synctest.Wait()
		reader, free := w.begin("Plain-a", "Read", "who"), w.begin("Plain-a", "Free", "who")
		reader.running()
		free.running()
		wantErr(w.t, <-deleted, object.ErrDeadlineExceeded, object.ExecutedNo, "Plain-a")
		reader.ok("1") // with the deletion gone they may run beside the first reader
		free.ok("1")
		head.running()
		w.open("head")
		head.ok("head")
		// A deletion without a deadline of its caller gets the type's call timeout.
		head = w.begin("Plain-a", "Patient", "hold again")
		began := time.Now()
		wantErr(w.t, w.Delete(w.t.Context(), "Plain-a"), object.ErrDeadlineExceeded, object.ExecutedNo)
		if d := time.Since(began); d != 30*time.Second {
			w.t.Errorf("gave up after %v", d)
		}
		w.open("again")
		head.ok("again")
		if err := w.Delete(w.t.Context(), "Plain-a"); err != nil {
			w.t.Error(err)
		}
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d activations", n)
		}
	})
}

// A call in a chain deletes another object: that is no cycle.
func TestDeleteInAChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.must("Plain-b", "Write", "who")
		w.must("Plain-a", "Write", "delete Plain-b")
		if who := w.must("Plain-b", "Write", "who"); who != "2" {
			w.t.Errorf("activation %s", who)
		}
	})
}

// Creations race: one wins, whatever else is there.
func TestCreationsRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	var made atomic.Int32
	w.on("OnCreate", func(context.Context, *actor, string) (string, error) { made.Add(1); return "", nil })
	for round := range 200 {
		made.Store(0)
		var won atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				<-start
				_, err := w.Create(t.Context(), "Hook", fmt.Sprintf("Hook-%d", round), nil)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, object.ErrAlreadyExists) {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if won.Load() != 1 || made.Load() != 1 {
			t.Fatalf("round %d: %d creations succeeded, OnCreate ran %d times", round, won.Load(), made.Load())
		}
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Creations, calls and deletions of one object race: its hooks come in pairs and in
// order, and no two of its activations overlap.
func TestCreateCallDeleteRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	var up atomic.Int32
	w.on("OnActivate", func(context.Context, *actor, string) (string, error) {
		if up.Add(1) != 1 {
			t.Error("two activations at once")
		}
		return "", nil
	})
	w.on("OnDeactivate", func(context.Context, *actor, string) (string, error) {
		if up.Add(-1) != 0 {
			t.Error("an end without a beginning")
		}
		return "", nil
	})
	w.on("up", func(context.Context, *actor, string) (string, error) {
		if up.Load() != 1 {
			t.Error("a turn on an object that is not up")
		}
		return "", nil
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1500 {
				var err error
				switch (g + i) % 8 {
				case 0:
					_, err = w.Create(t.Context(), "Hook", "Hook-a", nil)
					if errors.Is(err, object.ErrAlreadyExists) {
						err = nil
					}
				case 1, 2:
					err = w.Delete(t.Context(), "Hook-a")
				case 3:
					_, err = w.do("Hook-a", "Read", "up")
				case 4:
					_, err = w.do("Hook-a", "Free", "up")
				case 5:
					if _, err = w.do("Hook-a", "Write", "panic"); errors.Is(err, object.ErrInternal) {
						err = nil
					}
				default:
					_, err = w.do("Hook-a", "Write", "up")
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := up.Load(); n != 0 {
		t.Errorf("%d activations have not ended", n)
	}
}
