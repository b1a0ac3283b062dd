package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

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
			w.on("later", func(ctx context.Context, _ *actor, _ string) (string, error) {
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
				if e := object.FromError(first.err); e.Op != "call" { // what a failed OnActivate says is final
					t.Errorf("%v", e)
				}
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
		w.must("Endless-b", "Write", "timers") // idle when they are due
		p := w.begin("Endless-a", "Patient", "hold x")
		sleep(1500 * time.Millisecond) // two are due, and wait
		w.wantNoted("x", "tick", "early")
		w.Suspend(errLease)
		sleep(10 * time.Second)
		w.wantNotes()
		w.Resume()
		w.open("x")
		p.ok("x")
		sleep(500 * time.Millisecond)
		w.wantNoted("tick", "early", "late", "tick", "late")
		sleep(1100 * time.Millisecond)
		w.wantNotes("tick", "tick")
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
		inPair(t, func(a, _ *world) {
			here, there := a.id("Plain", 4), a.id("Plain", 9)
			a.on("send", func(ctx context.Context, _ *actor, _ string) (string, error) {
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
