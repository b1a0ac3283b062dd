package node_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// What runs when its shard is released ends without a success, and then its object does.
func TestReleaseWhileTurnsRun(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		for _, end := range []string{"hold", "fail", "panic"} {
			inBubble(t, func(w *world) {
				w.hear("OnDeactivate")
				id := w.id("Hook", 3)
				w.on("do", func(ctx context.Context, o *actor, _ string) (string, error) {
					<-w.gate("x")
					return w.action(end)(ctx, o, "x")
				})
				p := w.begin(id, method, "do")
				keyed := object.WithIdempotencyKey("k")
				idle := w.ids("Hook", 3, 2)[1]
				w.must(idle, "Write", "nothing", keyed)
				var waiting []*pending
				for range 40 {
					waiting = append(waiting, w.begin(id, "Write", "note begun"))
				}
				deletion := make(chan error, 1)
				go func() { deletion <- w.Delete(w.t.Context(), id) }()
				synctest.Wait()
				w.ReleaseShard(3, 1)
				synctest.Wait()
				for _, p := range waiting {
					if method != "Free" {
						p.fails(object.ErrUnavailable, object.ExecutedNo)
					}
				}
				p.running()
				if method != "Free" {
					wantErr(t, <-deletion, object.ErrUnavailable, object.ExecutedNo)
					w.wantNotes("OnDeactivate fenced") // the idle one
				}
				w.refusedNo(id, "Write", "note begun")
				w.refusedNo(idle, "Write", "nothing")
				w.notes()
				w.open("x")
				p.fails(object.ErrFenced, object.ExecutedUnknown)
				synctest.Wait()
				if log := w.notes(); !slices.Contains(log, "OnDeactivate fenced") || slices.Contains(log, "begun") {
					t.Errorf("%s: %q", method, log)
				}
				if n := w.Activations(); n != 0 {
					t.Errorf("%d activations", n)
				}
			})
		}
	}
}

// Turns that a runner has claimed, but not begun, do not begin after the release.
func TestReleaseWhileARunnerRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Hook", 3)
		head := w.begin(id, "Write", "hold head")
		var queued []*pending
		for i := range 30 {
			queued = append(queued, w.begin(id, "Write", fmt.Sprint("hold ", i)))
		}
		w.open("head")
		head.ok("head")
		w.open("0")
		queued[0].ok("0")
		synctest.Wait()
		queued[1].running() // run by the runner, which has claimed others
		w.notes()
		w.ReleaseShard(3, 1)
		for _, p := range queued[2:] {
			p.fails(object.ErrUnavailable, object.ExecutedNo)
		}
		w.open("1")
		queued[1].fails(object.ErrFenced, object.ExecutedUnknown)
		synctest.Wait()
		w.wantNotes()
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
	})
}

// The one-way calls of a turn whose shard went away do not leave.
func TestReleaseHoldsEffectsBack(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, _ *world) {
		here, there := a.id("Plain", 4), a.id("Plain", 9)
		a.on("send", func(ctx context.Context, _ *actor, arg string) (string, error) {
			for _, id := range []string{here, there} {
				if _, err := a.Call(ctx, id, "Write", word("note "+arg), object.OneWay()); err != nil {
					return "", err
				}
			}
			<-a.gate(arg)
			return arg, nil
		})
		id := a.id("Plain", 3)
		p := a.begin(id, "Write", "send lost")
		a.ReleaseShard(3, 1)
		a.open("lost")
		p.fails(object.ErrFenced, object.ExecutedUnknown)
		synctest.Wait()
		a.wantNotes()
		if err := a.OpenShard(a.t.Context(), 3, 2, nil); err != nil {
			t.Fatal(err)
		}
		p = a.begin(id, "Write", "send kept")
		a.open("kept")
		p.ok("kept")
		synctest.Wait()
		a.wantNotes("kept", "kept")
	})
}

// An object whose shard is the node's again comes up anew, although a turn of its past
// still runs.
func TestShardComesBackWhileAnOldTurnRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDeactivate")
		id := w.id("Saver", 3)
		w.must(id, "Write", "put old")
		p := w.begin(id, "Patient", "hold x")
		nested := w.begin(id, "Free", "hold y")
		w.notes()
		w.ReleaseShard(3, 1)
		if err := w.OpenShard(w.t.Context(), 3, 2, nil); err != nil {
			t.Fatal(err)
		}
		w.remembers(id, "")
		w.must(id, "Write", "put new")
		p.running()
		w.open("x")
		w.open("y")
		p.fails(object.ErrFenced, object.ExecutedUnknown)
		nested.fails(object.ErrFenced, object.ExecutedUnknown)
		synctest.Wait()
		w.wantNotes("OnDeactivate fenced")
		w.remembers(id, "new")
		if n := w.Activations(); n != 1 {
			t.Errorf("%d activations", n)
		}
		// Deletion, drains and stops concern the new one.
		if err := w.Delete(w.t.Context(), id); err != nil {
			t.Error(err)
		}
		w.wantNotes("OnDeactivate deleted")
	})
}

// A turn of the past does not count as one that runs in the shard; its calls come from
// outside.
func TestLostTurnsCallFromOutside(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ids := w.ids("Plain", 3, 3)
		w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-w.gate("go")
			return callOn(ctx, o, arg)
		})
		p := w.begin(ids[0], "Write", "later "+ids[1]+".Write ! note in")
		w.ReleaseShard(3, 1)
		if err := w.OpenShard(w.t.Context(), 3, 2, nil); err != nil {
			t.Fatal(err)
		}
		busy := w.begin(ids[2], "Write", "hold x")
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		d := w.drain(ctx, 3)
		w.open("go")
		p.fails(object.ErrFenced, object.ExecutedUnknown)
		w.open("x")
		busy.ok("x")
		d.ok()
		w.wantNotes("x")
	})
}

// An object that comes up while its shard goes runs nothing.
func TestReleaseWhileAnObjectComesUp(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Free", "Loose", "create"} {
		for _, hook := range []string{"OnActivate", "OnCreate"} {
			inBubble(t, func(w *world) {
				if hook == "OnCreate" && method != "create" {
					return
				}
				w.hear("OnDeactivate")
				id := w.id("Hook", 3)
				w.on(hook, func(context.Context, *actor, string) (string, error) { <-w.gate("up"); return "", nil })
				p := &pending{w: w, what: method, done: make(chan struct{})}
				go func() {
					defer close(p.done)
					if method == "create" {
						_, p.err = w.Create(w.t.Context(), "Hook", id, nil)
						return
					}
					p.out, p.err = w.do(id, method, "note begun")
				}()
				synctest.Wait()
				waiting := w.begin(id, "Write", "note begun")
				w.ReleaseShard(3, 1)
				waiting.fails(object.ErrUnavailable, object.ExecutedNo)
				if err := w.OpenShard(w.t.Context(), 3, 2, nil); err != nil {
					t.Fatal(err)
				}
				w.open("up")
				if method == "create" {
					p.fails(object.ErrFenced, object.ExecutedUnknown)
				} else {
					p.fails(object.ErrUnavailable, object.ExecutedNo)
				}
				synctest.Wait()
				w.wantNotes("OnDeactivate fenced")
				if n := w.Activations(); n != 0 {
					t.Errorf("%d activations", n)
				}
				w.must(id, "Write", "nothing")
			})
		}
	}
}

// A deletion that is under way when the shard goes cannot say that it has succeeded.
func TestReleaseWhileAnObjectIsDeleted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Hook", 3)
		w.must(id, "Write", "nothing")
		w.on("OnDeactivate", func(context.Context, *actor, string) (string, error) { <-w.gate("x"); return "", nil })
		deletion := make(chan error, 1)
		go func() { deletion <- w.Delete(w.t.Context(), id) }()
		synctest.Wait()
		w.ReleaseShard(3, 1)
		w.open("x")
		wantErr(t, <-deletion, object.ErrFenced, object.ExecutedUnknown)
		synctest.Wait()
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
	})
}

// A re-entrant turn inside one whose shard went is no success either.
func TestReleaseAndReentrance(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Loop", 3)
		var inner error
		w.on("call", func(ctx context.Context, o *actor, arg string) (string, error) {
			_, inner = callOn(ctx, o, arg)
			return "done", nil
		})
		p := w.begin(id, "Write", "call "+id+".Write ! hold x", object.WithMetadata("chain", "1"))
		w.ReleaseShard(3, 1)
		w.open("x")
		p.fails(object.ErrFenced, object.ExecutedUnknown)
		wantErr(t, inner, object.ErrFenced, object.ExecutedUnknown)
		synctest.Wait()
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
	})
}

// Stop waits for what is left of a released shard.
func TestStopAfterRelease(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDeactivate")
		p := w.begin("Hook-a", "Write", "hold x")
		w.ReleaseShard(w.ShardOf("Hook-a"), 1)
		stopped := make(chan error, 1)
		go func() { stopped <- w.Stop(w.t.Context()) }()
		synctest.Wait()
		select {
		case err := <-stopped:
			t.Errorf("Stop: %v", err)
		default:
		}
		w.open("x")
		p.fails(object.ErrFenced, object.ExecutedUnknown)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		w.wantNotes("x", "OnDeactivate fenced")
	})
}
