package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/node"
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
	inPair(t, func(a, b *world) {
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

var errLease = errors.New("the lease is over")

// On a suspended node nothing begins, and who runs is told; then it goes on with what it
// had in memory.
func TestSuspend(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		inBubble(t, func(w *world) {
			w.on("told", func(ctx context.Context, _ *actor, _ string) (string, error) {
				<-ctx.Done()
				w.note("%v %v", errors.Is(context.Cause(ctx), node.ErrSuspended), errors.Is(context.Cause(ctx), errLease))
				return "", ctx.Err()
			})
			serial := w.must("Hook-a", "Write", "who")
			w.must("Hook-b", "Write", "who")
			began := time.Now()
			p := w.begin("Hook-a", method, "told")
			stubborn := w.begin("Hook-b", method, "hold stubborn")
			var waiting []*pending
			for range 40 {
				waiting = append(waiting, w.begin("Hook-b", "Write", "note begun"))
			}
			_, _, changed := w.Gate(5)
			w.notes()
			if method == "Free" { // those have run
				waiting = nil
			}
			w.Suspend(errLease)
			w.Suspend(errors.New("again"))
			p.fails(object.ErrFenced, object.ExecutedUnknown)
			for _, p := range waiting {
				p.fails(object.ErrFenced, object.ExecutedNo)
			}
			for _, id := range []string{"Hook-a", "Hook-b", "Hook-new"} {
				for _, method := range []string{"Write", "Read", "Free", "Loose"} {
					_, err := w.do(id, method, "note begun")
					wantErr(t, err, object.ErrFenced, object.ExecutedNo)
				}
			}
			if _, err := w.do("Plain-a", "Write", "note begun", object.OneWay()); err == nil {
				t.Error("a one-way call was taken")
			}
			_, err := w.Create(w.t.Context(), "Hook", "Hook-c", nil)
			wantErr(t, err, object.ErrFenced, object.ExecutedNo)
			wantErr(t, w.Delete(w.t.Context(), "Hook-a"), object.ErrFenced, object.ExecutedNo)
			wantErr(t, w.AttachClient(w.t.Context(), "Guest-a"), object.ErrFenced, object.ExecutedNo)
			if epoch, isOpen, _ := w.Gate(5); isOpen || epoch != 1 || !isClosed(changed) {
				t.Errorf("gate: %d %v", epoch, isOpen)
			}
			_, _, changed = w.Gate(5)
			if d := time.Since(began); d != 0 {
				t.Errorf("it took %v", d)
			}
			synctest.Wait()
			w.wantNotes("true true")
			if n := w.Activations(); n != 2 {
				t.Errorf("%d activations", n)
			}
			w.Resume()
			w.Resume()
			if _, isOpen, _ := w.Gate(5); !isOpen || !isClosed(changed) {
				t.Error("the gate is not open")
			}
			w.open("stubborn")
			if method == "Loose" { // it did not wait to see
				stubborn.fails(object.ErrFenced, object.ExecutedUnknown)
			} else {
				stubborn.ok("stubborn") // it is the node's again, and nobody else had it
			}
			if out := w.must("Hook-a", "Write", "who"); out != serial {
				t.Errorf("activation %s, was %s", out, serial)
			}
			w.must("Hook-new", "Write", "nothing")
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Turns that a runner has claimed do not begin, and the runner's own is not disturbed.
func TestSuspendWhileARunnerRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Plain-a", "Write", "hold head")
		var queued []*pending
		for i := range 30 {
			queued = append(queued, w.begin("Plain-a", "Write", fmt.Sprint("hold ", i)))
		}
		w.open("head")
		head.ok("head")
		synctest.Wait()
		w.notes()
		w.Suspend(nil)
		for _, p := range queued[1:] {
			p.fails(object.ErrFenced, object.ExecutedNo)
		}
		queued[0].running()
		w.Resume()
		w.open("0")
		queued[0].ok("0")
		w.wantNotes()
		w.must("Plain-a", "Write", "nothing")
	})
}

// A running turn's own calls do not begin either, whoever they are for.
func TestSuspendAndNestedCalls(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Free"} {
		inBubble(t, func(w *world) {
			errs := make(chan error, 3)
			w.on("later", func(ctx context.Context, o *actor, _ string) (string, error) {
				<-w.gate("go")
				for _, target := range []string{"Plain-b.Write", "Loop-a." + method, "Hook-new.Read"} {
					id, method, _ := cut(target)
					_, err := w.Call(ctx, id, method, word("note begun"))
					errs <- err
				}
				return "done", nil
			})
			p := w.begin("Loop-a", "Write", "later", object.WithMetadata("chain", "1"))
			w.Suspend(errLease)
			w.open("go")
			_, _ = p.wait()
			for range 3 {
				wantErr(t, <-errs, object.ErrFenced, object.ExecutedNo)
			}
			w.wantNotes()
			w.Resume()
			if n := w.Activations(); n != 1 {
				t.Errorf("%d activations", n)
			}
		})
	}
}

// A re-entrant call that waits for another one of its chain does not begin.
func TestSuspendAndReentrance(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		var inner sync.WaitGroup
		errs := make(chan error, 1)
		w.on("both", func(ctx context.Context, o *actor, _ string) (string, error) {
			inner.Go(func() { _, _ = w.Call(ctx, o.ID(), "Write", word("hold x")) })
			synctest.Wait()
			_, err := w.Call(ctx, o.ID(), "Write", word("note begun"))
			errs <- err
			inner.Wait()
			return "", nil
		})
		p := w.spawn(w.t.Context(), "Loop-a", "Write", "both", object.WithMetadata("chain", "1"))
		sleep(time.Second)
		w.Suspend(errLease)
		wantErr(t, <-errs, object.ErrFenced, object.ExecutedNo)
		w.open("x")
		_, _ = p.wait()
		w.wantNotes("x")
	})
}

// A context that has ended stays so, whatever becomes of the node.
func TestSuspendedContextsStayEnded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("look", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.note("before: %v", ctx.Err())
			<-w.gate("suspended")
			w.note("suspended: %v", ctx.Err())
			<-w.gate("resumed")
			w.note("resumed: %v, %v", ctx.Err(), errors.Is(context.Cause(ctx), node.ErrSuspended))
			_, err := w.Call(ctx, "Plain-b", "Write", word("note begun"))
			return "", err
		})
		p := w.begin("Plain-a", "Write", "look")
		w.Suspend(errLease)
		w.open("suspended")
		synctest.Wait()
		w.Resume()
		w.open("resumed")
		_, err := p.wait()
		if err == nil {
			t.Error("a call of a turn whose context had ended")
		}
		w.wantNotes("before: <nil>", "suspended: context canceled", "resumed: context canceled, true")
	})
}

// An activation that is cut short by a suspension is not its calls' fault.
func TestSuspendWhileAnObjectComesUp(t *testing.T) {
	t.Parallel()
	for _, heeds := range []bool{true, false} {
		for _, method := range []string{"Write", "Loose"} {
			inBubble(t, func(w *world) {
				w.on("OnActivate", func(ctx context.Context, _ *actor, _ string) (string, error) {
					if !heeds {
						<-w.gate("up")
						return "", nil
					}
					<-ctx.Done()
					return "", ctx.Err()
				})
				first := w.begin("Hook-a", method, "note begun")
				second := w.begin("Hook-a", method, "note begun")
				w.Suspend(errLease)
				second.fails(object.ErrFenced, object.ExecutedNo)
				w.open("up")
				first.fails(object.ErrFenced, object.ExecutedNo)
				w.wantNotes()
				w.Resume()
				w.on("OnActivate", func(context.Context, *actor, string) (string, error) { return "", nil })
				w.must("Hook-a", method, "note begun")
			})
		}
	}
}

// Timers wait until the node is resumed, also one whose call waited already.
func TestSuspendAndTimers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("timers", func(_ context.Context, o *actor, _ string) (string, error) {
			o.Every(time.Second, "Write", word("note tick"))
			o.AfterFunc(time.Second, "Write", word("note early"))
			o.AfterFunc(3*time.Second, "Write", word("note late"))
			return "", nil
		})
		w.must("Endless-a", "Write", "timers")
		p := w.begin("Endless-a", "Patient", "hold x")
		sleep(1500 * time.Millisecond) // two are due, and wait
		w.Suspend(errLease)
		sleep(10 * time.Second)
		w.wantNotes("x")
		w.Resume()
		w.open("x")
		p.ok("x")
		sleep(500 * time.Millisecond)
		w.wantNoted("tick", "early", "late")
		sleep(1100 * time.Millisecond)
		w.wantNotes("tick")
		if log := w.logText(); strings.Contains(log, "timer") {
			t.Error(log)
		}
	})
}

// Idle objects stay in memory, also those whose end was about to begin.
func TestSuspendAndIdleObjects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		const slots = 64 // how many hooks of ending objects run at a time
		ended := 0
		w.on("OnDeactivate", func(context.Context, *actor, string) (string, error) {
			w.mu.Lock()
			ended++
			w.mu.Unlock()
			<-w.gate("end")
			return "", nil
		})
		for i := range slots + 10 {
			w.must(fmt.Sprint("Hook-", i), "Write", "nothing")
		}
		w.must("Brief-a", "Write", "nothing")
		sleep(2 * time.Minute)
		w.must("Brief-b", "Write", "nothing")
		w.Suspend(errLease)
		w.open("end")
		sleep(10 * time.Minute)
		if n := w.Activations(); ended != slots || n != 11 {
			t.Errorf("%d objects ended, %d are left", ended, n)
		}
		w.Resume()
		sleep(10 * time.Minute)
		if n := w.Activations(); ended != slots+10 || n != 0 {
			t.Errorf("%d objects ended, %d are left", ended, n)
		}
	})
}

// Clients go and the node stops, suspended or not.
func TestSuspendAndEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDisconnect", "OnDeactivate")
		for _, id := range []string{"Guest-a", "Guest-b"} {
			if err := w.AttachClient(w.t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		w.must("Hook-a", "Write", "nothing")
		p := w.begin("Guest-a", "Say", "heed x")
		busy := w.begin("Hook-b", "Write", "hold y")
		w.notes()
		w.Suspend(errLease)
		p.fails(object.ErrFenced, object.ExecutedUnknown)
		if err := w.DetachClient(w.t.Context(), "Guest-a", object.DisconnectLost); err != nil {
			t.Error(err)
		}
		w.wantNotes("x told", "OnDisconnect lost")
		stopped := make(chan error, 1)
		go func() { stopped <- w.Stop(w.t.Context()) }()
		synctest.Wait()
		w.open("y")
		_, _ = busy.wait()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		w.wantNoted("OnDisconnect stopping", "OnDeactivate stopping", "OnDeactivate stopping")
	})
}

// The one-way calls of a turn that ends on a suspended node wait until it is known
// whether the turn happened.
func TestSuspendHoldsEffects(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		inPair(t, func(a, b *world) {
			here, there := a.id("Plain", 4), a.id("Plain", 9)
			a.on("send", func(ctx context.Context, _ *actor, arg string) (string, error) {
				for _, id := range []string{here, there, here, there} {
					if _, err := a.Call(ctx, id, "Write", word("note sent"), object.OneWay()); err != nil {
						return "", err
					}
				}
				<-a.gate("x")
				return "", nil
			})
			p := a.begin(a.id("Plain", 3), "Write", "send")
			a.Suspend(errLease)
			a.open("x")
			_, _ = p.wait()
			sleep(time.Second)
			a.wantNotes()
			if lost {
				a.ReleaseShard(3, 1)
			}
			a.Resume()
			synctest.Wait()
			if lost {
				a.wantNotes()
			} else {
				a.wantNotes("sent", "sent", "sent", "sent")
			}
		})
	}
}
