package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// deafHook makes an object of shard 6 whose hook does not return, and drains the shard for a
// second: the drain returns soon after.
func (w *world) deafHook(hook string) (id, serial string) {
	w.t.Helper()
	w.on(hook, func(_ context.Context, _ *actor, _ string) (string, error) {
		w.note("deaf")
		<-w.gate("deaf")
		w.note("over")
		return "", nil
	})
	id = w.id("Saver", 6)
	serial = w.must(id, "Write", "who")
	w.must(id, "Write", "put mem")
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	d := w.drain(ctx, 6)
	<-d.done
	if took := time.Since(began); d.err == nil || took < time.Second || took > 2*time.Second {
		w.t.Fatalf("drain: %v after %v", d.err, took)
	}
	w.wantNotes("deaf")
	return id, serial
}

// A hook that does not return holds up its object, but neither the drain nor the shard: a
// drain that is taken back lets the calls wait for the hook, and another drain succeeds.
func TestDrainIsTakenBackBesideADeafHook(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"OnSnapshot", "OnDeactivate"} {
		inBubble(t, func(w *world) {
			id, serial := w.deafHook(hook)
			if err := w.ReopenShard(6, 1, nil); err != nil {
				t.Fatal(err)
			}
			waiting := w.begin(id, "Write", "get")
			waiting.running()
			other := w.ids("Plain", 6, 1)[0]
			w.must(other, "Write", "nothing")
			w.open("deaf")
			waiting.ok("mem")
			w.wantNotes("over")
			if now := w.must(id, "Write", "who"); (now == serial) != (hook == "OnSnapshot") {
				t.Errorf("%s: activation %s after %s", hook, now, serial)
			}
			w.hear(hook)
			if state := w.drain(w.t.Context(), 6).ok(); len(state) != 1 {
				t.Errorf("%s: state %v", hook, state)
			}
		})
	}
}

// A shard that is released beside a hook that does not return is another's at once, and may
// come back: what the hook leaves behind is nobody's.
func TestShardIsReleasedBesideADeafHook(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"OnSnapshot", "OnDeactivate"} {
		inBubble(t, func(w *world) {
			id, _ := w.deafHook(hook)
			w.ReleaseShard(6, 1)
			w.refusedNo(id, "Write", "get")
			if err := w.OpenShard(w.t.Context(), 6, 2, nil); err != nil {
				t.Fatal(err)
			}
			if out := w.must(id, "Write", "get"); out != "" {
				t.Errorf("%s: it remembers %q of another epoch", hook, out)
			}
			if n := w.Activations(); n != 2 {
				t.Errorf("%s: %d activations, want the new one and that of the hook", hook, n)
			}
			w.open("deaf")
			synctest.Wait()
			if n := w.Activations(); n != 1 {
				t.Errorf("%s: %d activations after the hook", hook, n)
			}
			w.must(id, "Write", "put new")
			w.hear("OnSnapshot")
			if state := w.drain(w.t.Context(), 6).ok(); len(state) != 1 || string(state[0].Body[2:]) != "new" {
				t.Errorf("%s: state %v", hook, state)
			}
		})
	}
}

// A stop names the object whose hook does not return after its shard is gone.
func TestStopNamesADeafHook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id, _ := w.deafHook("OnDeactivate")
		w.ReleaseShard(6, 1)
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if err := w.Stop(ctx); !errors.Is(err, object.ErrDeadlineExceeded) || !strings.Contains(err.Error(), id) {
			t.Errorf("stop: %v, want it to name %s", err, id)
		}
	})
}
