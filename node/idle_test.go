package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// The shortest idle timeout of the standard types is a minute, so the sweep comes
// every 7.5 s and an object is gone between one minute and 15 s more.
const idle, sweeps = time.Minute, 15 * time.Second

func TestIdleObjectsAreLetGo(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"Brief-a", "Hook-a"} {
		for offset := time.Duration(0); offset < 8*time.Second; offset += 1700 * time.Millisecond {
			inBubble(t, func(w *world) {
				sleep(offset)
				w.must(id, "Write", "who")
				sleep(idle - time.Millisecond)
				if w.Activations() != 1 {
					w.t.Errorf("%s at %v: let go before its time", id, offset)
				}
				sleep(sweeps + 2*time.Millisecond)
				if n := w.Activations(); n != 0 {
					w.t.Errorf("%s at %v: still there", id, offset)
				}
				if again := w.must(id, "Write", "who"); again != "2" {
					w.t.Errorf("answered by activation %s, want a fresh one", again)
				}
			})
		}
	}
}

// Every kind of call keeps the object alive; other objects' calls do not.
func TestUseKeepsAlive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		methods := []string{"Write", "Read", "Free", "Loose"}
		for _, m := range append(methods, "none") {
			w.must("Brief-"+m, "Write", "who")
		}
		for range 20 {
			sleep(50 * time.Second)
			for _, m := range methods {
				w.must("Brief-"+m, m, "nothing")
			}
		}
		if n := w.Activations(); n != len(methods) {
			w.t.Errorf("%d activations, want %d", n, len(methods))
		}
		for i, m := range methods {
			if who := w.must("Brief-"+m, "Write", "who"); who != fmt.Sprint(i+1) {
				w.t.Errorf("Brief-%s is activation %s", m, who)
			}
		}
	})
}

// A running turn, and one that waits, keep their object, however long they take.
func TestBusyObjectsAreNotIdle(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		inBubble(t, func(w *world) {
			ctx, cancel := context.WithTimeout(w.t.Context(), 24*time.Hour)
			defer cancel()
			w.must("Brief-a", "Write", "who")
			running := w.start(ctx, "Brief-a", method, "hold x")
			sleep(time.Hour)
			waiting := w.start(ctx, "Brief-a", "Write", "who")
			sleep(time.Hour)
			w.open("x")
			running.ok("x")
			waiting.ok("1")
			sleep(idle - time.Millisecond) // the time counts from the end of the turn
			if w.Activations() != 1 {
				w.t.Errorf("%s: let go before its time", method)
			}
			sleep(sweeps + idle + sweeps)
			if w.Activations() != 0 {
				w.t.Errorf("%s: still there", method)
			}
		})
	}
}

func TestIdleTimeoutPerType(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.must("Brief-a", "Write", "nothing")
		w.must("Plain-a", "Write", "nothing")   // the default, 15 min
		w.must("Endless-a", "Write", "nothing") // never
		for _, c := range []struct {
			after time.Duration
			left  int
		}{{2 * time.Minute, 2}, {12 * time.Minute, 2}, {2 * time.Minute, 1}, {24 * time.Hour, 1}} {
			sleep(c.after)
			if n := w.Activations(); n != c.left {
				w.t.Errorf("%v later: %d activations, want %d", c.after, n, c.left)
			}
		}
	})
}

// OnDeactivate is a turn like others: nothing runs beside it, and calls that arrive
// meanwhile go to the next activation, in their order.
func TestCallsDuringOnDeactivate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) { w.note("up"); return "", nil })
		w.on("OnDeactivate", func(_ context.Context, _ *actor, reason string) (string, error) {
			w.note("%s begins", reason)
			<-w.gate("down")
			w.note("%s ends", reason)
			return "", nil
		})
		w.must("Hook-a", "Write", "nothing")
		sleep(idle + sweeps)
		var calls []*pending
		for i, method := range []string{"Write", "Read", "Write", "Loose", "Read"} {
			calls = append(calls, w.begin("Hook-a", method, fmt.Sprintf("note %d", i)))
		}
		w.wantNotes("up", "idle begins")
		w.open("down")
		for i, p := range calls {
			p.ok(fmt.Sprint(i))
		}
		w.wantNotes("idle ends", "up", "0", "1", "2", "3", "4")
	})
}

// A failing or hanging OnDeactivate does not keep the object.
func TestHangingOnDeactivate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		w.must("Hook-a", "Write", "who")
		sleep(idle + sweeps)
		began := time.Now()
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
		defer cancel()
		if who, err := w.try(ctx, "Hook-a", "Write", "who"); err != nil || who != "2" {
			w.t.Errorf("activation %s, %v", who, err)
		}
		if d := time.Since(began); d > 30*time.Second {
			w.t.Errorf("the next activation came after %v", d)
		}
		w.on("OnDeactivate", nil)
	})
}

// Many objects end at once, and the hook of each calls one of them: nobody waits for
// a hook that has no place to run.
func TestHooksOfIdleObjectsThatCallEachOther(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(ctx context.Context, o *actor, _ string) (string, error) {
			if o.ID() == "Hook-hub" {
				return "", nil
			}
			_, err := w.try(ctx, "Hook-hub", "Write", "note bye")
			return "", err
		})
		for i := range 300 {
			w.must(fmt.Sprintf("Hook-%d", i), "Write", "nothing")
		}
		w.must("Hook-hub", "Write", "nothing")
		began := time.Now()
		sleep(idle + sweeps)
		sleep(idle + sweeps + sweeps) // the hub is used until the others are gone
		if n := w.Activations(); n != 0 {
			w.t.Errorf("%d objects are left after %v", n, time.Since(began))
		}
		if n := len(w.notes()); n != 300 {
			w.t.Errorf("%d of 300 said bye", n)
		}
		if log := w.logText(); log != "" {
			w.t.Errorf("logged %.500s", log)
		}
	})
}

// A turn that begins while its idle object waits for one of the 64 slots of hooks keeps the object, for as long as
// it runs.
func TestTurnWhileTheHookWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(_ context.Context, o *actor, _ string) (string, error) {
			if o.ID() != "Hook-busy" {
				<-w.gate("slots")
			} else {
				w.note("ended")
			}
			return "", nil
		})
		for i := range 64 {
			w.must(fmt.Sprintf("Hook-%d", i), "Write", "nothing")
		}
		sleep(10 * time.Second)
		w.must("Hook-busy", "Write", "nothing")
		sleep(idle + sweeps) // the 64 hold all slots, and it is idle as well
		turn := w.begin("Hook-busy", "Patient", "hold x")
		w.wantNotes("x")
		w.open("slots")
		sleep(5 * idle)
		w.wantNotes()
		w.open("x")
		turn.ok("x")
		sleep(idle + sweeps)
		w.wantNotes("ended")
	})
}

// An object that is idle, but waits for its hook to begin, is alive: a call that it
// gets then keeps it.
func TestCallWhileTheHookWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		var down sync.Map // hooks run side by side
		isDown := func(id string) bool { _, ok := down.Load(id); return ok }
		w.on("OnDeactivate", func(_ context.Context, o *actor, _ string) (string, error) {
			down.Store(o.ID(), true)
			<-w.gate("down")
			return "", nil
		})
		alive := func() (ids []string) {
			for i := range 80 {
				if id := fmt.Sprintf("Hook-%d", i); !isDown(id) {
					ids = append(ids, id)
				}
			}
			return ids
		}
		for _, id := range alive() {
			w.must(id, "Write", "who")
		}
		sleep(idle + sweeps)
		waiting := alive()
		if len(waiting) == 0 {
			t.Fatal("all hooks run at once")
		}
		want := make(map[string]string)
		for _, id := range waiting {
			want[id] = w.must(id, "Read", "who")
		}
		w.open("down")
		sleep(idle / 2)
		for id, serial := range want {
			if isDown(id) || w.must(id, "Read", "who") != serial {
				t.Errorf("%s was let go though it was used", id)
			}
		}
	})
}

// Many objects whose hooks call each other end at the node's stop as well.
func TestHooksOfStoppingObjectsThatCallEachOther(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnDeactivate", func(ctx context.Context, o *actor, _ string) (string, error) {
			if o.ID() == "Hook-hub" {
				return "", nil
			}
			_, err := w.try(ctx, "Hook-hub", "Write", "note bye")
			return "", err
		})
		for i := range 300 {
			w.must(fmt.Sprintf("Hook-%d", i), "Write", "nothing")
		}
		w.must("Hook-hub", "Write", "nothing")
		began := time.Now()
		if err := w.Stop(w.t.Context()); err != nil {
			w.t.Error(err)
		}
		if d := time.Since(began); d != 0 {
			w.t.Errorf("Stop took %v", d)
		}
		if n := len(w.notes()); n != 300 {
			w.t.Errorf("%d of 300 said bye", n)
		}
		if log := w.logText(); log != "" {
			w.t.Errorf("logged %.500s", log)
		}
	})
}

func TestClientObjectsAreNeverIdle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		if err := w.AttachClient(w.t.Context(), "Guest-1"); err != nil {
			w.t.Fatal(err)
		}
		sleep(10 * time.Hour)
		if w.Activations() != 1 {
			w.t.Error("a client object was let go")
		}
		if err := w.DetachClient(w.t.Context(), "Guest-1", object.DisconnectClosed); err != nil {
			w.t.Error(err)
		}
	})
}
