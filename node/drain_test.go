package node_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// When a drain's time is over it has changed nothing but the gate, and that until
// ReopenShard.
func TestDrainThatEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDeactivate", "OnRestore")
		ids := w.ids("Saver", 6, 3)
		busy, idle, fresh := ids[0], ids[1], ids[2]
		serial := w.must(busy, "Write", "who")
		w.must(idle, "Write", "put idle's")
		p := w.begin(busy, "Write", "hold x")
		ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Second, errors.New("took too long"))
		defer cancel()
		d := w.drain(ctx, 6)
		behind := w.begin(busy, "Read", "who")
		d.running()
		behind.running()
		<-d.done
		if d.err == nil || d.state != nil || !errors.Is(d.err, context.Cause(ctx)) {
			t.Errorf("drain: %v, %v", d.state, d.err)
		}
		behind.running()                        // in its object's queue, which goes on
		w.refusedNo(idle, "Write", "get")       // ended
		w.refusedNo(fresh, "Write", "get")      // not begun
		w.begin(busy, "Free", "who").ok(serial) // no end waits there any more
		if _, isOpen, _ := w.Gate(6); isOpen || w.Epoch(6) != 1 {
			t.Error("the gate is open")
		}
		w.open("x")
		p.ok("x")
		behind.ok(serial)
		w.wantNotes("x", "OnDeactivate moved")
		if err := w.ReopenShard(6, 1, d.state); err != nil {
			t.Fatal(err)
		}
		if out := w.must(idle, "Read", "get"); out != "idle's" {
			t.Errorf("it remembers %q", out)
		}
		if out := w.must(busy, "Write", "who"); out != serial {
			t.Errorf("activation %s, was %s", out, serial)
		}
		w.wantNotes("OnRestore idle's")
	})
}

// An object that cannot say what it wants to have stays where it is.
func TestSnapshotThatFails(t *testing.T) {
	t.Parallel()
	for name, snapshot := range map[string]action{
		"error": func(context.Context, *actor, string) (string, error) { return "", errors.New("not now") },
		"panic": func(context.Context, *actor, string) (string, error) { panic("not now") },
		"exit":  func(context.Context, *actor, string) (string, error) { runtime.Goexit(); return "", nil },
		"time": func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-ctx.Done() // the drain's end
			return "", ctx.Err()
		},
		"encoding": func(_ context.Context, o *actor, _ string) (string, error) { o.memory += "\xff"; return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				ids := w.ids("Saver", 6, 3)
				bad, good, busy := ids[0], ids[1], ids[2]
				serial := w.must(bad, "Write", "who")
				w.must(bad, "Write", "put bad")
				w.must(good, "Write", "put good")
				p := w.begin(busy, "Write", "hold x")
				w.on("OnSnapshot", func(ctx context.Context, o *actor, arg string) (string, error) {
					if o.ID() != bad {
						return "", nil
					}
					return snapshot(ctx, o, arg)
				})
				ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				d := w.drain(ctx, 6)
				<-d.done
				if took := time.Since(began); d.err == nil || name != "time" && took != 0 || took > time.Second {
					t.Errorf("drain: %v after %v", d.err, took)
				}
				p.running()
				w.on("OnSnapshot", func(context.Context, *actor, string) (string, error) { return "", nil })
				if err := w.ReopenShard(6, 1, d.state); err != nil {
					t.Fatal(err)
				}
				if out := w.must(bad, "Write", "who"); out != serial {
					t.Errorf("activation %s, was %s", out, serial)
				}
				if out := w.must(good, "Write", "get"); out != "good" {
					t.Errorf("the other one remembers %q", out)
				}
				w.on("put", func(_ context.Context, o *actor, arg string) (string, error) { o.memory = arg; return "", nil })
				w.must(bad, "Write", "put good again")
				w.open("x")
				if state := w.drain(w.t.Context(), 6).ok(); len(state) != 2 {
					t.Errorf("state %v", state)
				}
			})
		})
	}
}

// Who speaks of another epoch than that of the shard, or of none, changes nothing.
func TestEpochsOfShards(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, id := w.t.Context(), w.id("Plain", 6)
		open := func(epoch uint64) error { return w.OpenShard(ctx, 6, epoch, nil) }
		drain := func(epoch uint64) error { _, err := w.DrainShard(ctx, 6, epoch); return err }
		reopen := func(epoch uint64) error { return w.ReopenShard(6, epoch, nil) }
		release := func(epoch uint64) error { w.ReleaseShard(6, epoch); return nil }
		for i, step := range []struct {
			do    func(uint64) error
			epoch uint64
			fails bool
			at    uint64 // the shard's epoch afterwards
			open  bool
		}{
			{open, 0, true, 1, true},
			{open, 5, false, 5, true},
			{open, 4, true, 5, true},
			{open, 5, false, 5, true},
			{drain, 4, true, 5, true},
			{drain, 6, true, 5, true},
			{drain, 0, true, 5, true},
			{release, 4, false, 5, true},
			{release, 6, false, 5, true},
			{release, 0, false, 5, true},
			{drain, 5, false, 5, false},
			{drain, 5, false, 5, false},
			{reopen, 4, true, 5, false},
			{reopen, 6, true, 5, false},
			{reopen, 0, true, 5, false},
			{reopen, 5, false, 5, true},
			{drain, 5, false, 5, false},
			{release, 5, false, 0, false},
			{reopen, 5, true, 0, false},
			{reopen, 0, true, 0, false},
			{drain, 5, true, 0, false},
			{drain, 0, true, 0, false},
			{release, 0, false, 0, false},
			{open, 4, true, 0, false},
			{open, 6, false, 6, true},
			{release, 6, false, 0, false},
			{open, 5, true, 0, false},
			{open, 7, false, 7, true},
		} {
			err := step.do(step.epoch)
			epoch, isOpen, _ := w.Gate(6)
			if (err != nil) != step.fails || epoch != step.at || w.Epoch(6) != step.at || isOpen != step.open {
				t.Errorf("step %d: %v, epoch %d, open %v", i, err, epoch, isOpen)
			}
			if _, err := w.do(id, "Write", "nothing"); (err == nil) != step.open {
				t.Errorf("step %d: call: %v", i, err)
			}
		}
		if err := w.OpenShard(ctx, 16, 1, nil); !errors.Is(err, object.ErrInvalidArgument) {
			t.Errorf("a shard that is none: %v", err)
		}
	})
}

// What is left of an earlier epoch when a shard is opened is not the shard's any more.
func TestShardThatIsOpenedUnderAHigherEpoch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ids := w.ids("Saver", 6, 2)
		w.must(ids[0], "Write", "put old")
		p := w.begin(ids[1], "Write", "hold x")
		w.hear("OnDeactivate")
		if err := w.OpenShard(w.t.Context(), 6, 2, nil); err != nil {
			t.Fatal(err)
		}
		if out := w.must(ids[0], "Write", "get"); out != "" {
			t.Errorf("it remembers %q", out)
		}
		synctest.Wait()
		w.wantNotes("x", "OnDeactivate fenced")
		w.open("x")
		p.fails(object.ErrFenced, object.ExecutedUnknown)
	})
}

// Client objects are where their connection is, whatever shard their ID would be in.
func TestDrainLeavesClientObjects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDisconnect")
		ids := make(map[uint32]string)
		for s := range uint32(16) {
			ids[s] = w.id("Guest", s)
			if err := w.AttachClient(w.t.Context(), ids[s]); err != nil {
				t.Fatal(err)
			}
		}
		for s := range uint32(16) {
			p := w.begin(ids[s], "Say", fmt.Sprint("hold ", s))
			if state := w.drain(w.t.Context(), s).ok(); state != nil {
				t.Errorf("state %v", state)
			}
			w.ReleaseShard(s, 1)
			p.running()
			w.open(fmt.Sprint(s))
			p.ok(fmt.Sprint(s))
			w.must(ids[s], "Say", "nothing")
			w.notes()
			if err := w.DetachClient(w.t.Context(), ids[s], object.DisconnectClosed); err != nil {
				t.Error(err)
			}
			w.wantNotes("OnDisconnect closed")
		}
	})
}

// A client object's call to an object in a draining shard comes from outside; one that a
// turn in the shard makes by way of the client object does not.
func TestDrainAndTheCallsOfClientObjects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		guest := w.id("Guest", 2)
		if err := w.AttachClient(w.t.Context(), guest); err != nil {
			t.Fatal(err)
		}
		in := w.ids("Plain", 2, 3)
		w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-w.gate("go")
			return callOn(ctx, o, arg)
		})
		p := w.begin(in[0], "Write", "later "+guest+".Say > "+in[1]+".Write")
		d := w.drain(w.t.Context(), 2)
		_, err := w.do(guest, "Say", "call "+in[2]+".Write")
		wantErr(t, err, object.ErrUnavailable, object.ExecutedYes) // the guest's turn ran, and got the refusal
		w.open("go")
		p.ok("end")
		d.ok()
	})
}

// Timers end with their activation, and do not keep a drain waiting.
func TestDrainAndTimers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Plain", 2)
		w.on("timers", func(_ context.Context, o *actor, _ string) (string, error) {
			o.Every(time.Second, "Write", word("note tick"))
			o.AfterFunc(1500*time.Millisecond, "Write", word("note once"))
			return "", nil
		})
		w.must(id, "Write", "timers")
		sleep(1100 * time.Millisecond)
		p := w.begin(id, "Write", "hold x")
		sleep(2 * time.Second) // both are due, and wait
		d := w.drain(w.t.Context(), 2)
		d.running()
		w.open("x")
		p.ok("x")
		d.ok()
		synctest.Wait()
		w.wantNoted("tick", "x", "once", "tick")
		if err := w.ReopenShard(2, 1, d.state); err != nil {
			t.Error(err)
		}
		sleep(10 * time.Second)
		w.wantNotes()
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
	})
}

// A keyed call that was refused during a drain did not take its key.
func TestDrainAndKeys(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id, key := w.id("Plain", 2), object.WithIdempotencyKey("k")
		p := w.begin(id, "Write", "hold x")
		first := w.begin(id, "Write", "note first", key)
		d := w.drain(w.t.Context(), 2)
		again := w.begin(id, "Write", "note first", key)
		other := w.begin(id, "Write", "note other", object.WithIdempotencyKey("l"))
		w.open("x")
		p.ok("x")
		first.ok("first")
		again.fails(object.ErrUnavailable, object.ExecutedNo)
		other.fails(object.ErrUnavailable, object.ExecutedNo)
		d.ok()
		if err := w.ReopenShard(2, 1, d.state); err != nil {
			t.Error(err)
		}
		if out := w.must(id, "Write", "note other", object.WithIdempotencyKey("l")); out != "other" {
			t.Errorf("%q", out)
		}
		w.wantNotes("x", "first", "other")
	})
}

// Two drains, a stop, a suspension and a release meet a drain that waits.
func TestDrainThatIsDisturbed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		disturb func(w *world)
		want    error // of the drain
	}{
		"drained again": {func(w *world) { w.drain(w.t.Context(), 2) }, nil},
		"opened again":  {func(w *world) { _ = w.OpenShard(w.t.Context(), 2, 1, nil) }, errAny},
		"reopened":      {func(w *world) { _ = w.ReopenShard(2, 1, nil) }, errAny},
		"released":      {func(w *world) { w.ReleaseShard(2, 1) }, errAny},
		"suspended":     {func(w *world) { w.Suspend(nil) }, node.ErrSuspended},
		"released and opened": {func(w *world) {
			w.ReleaseShard(2, 1)
			_ = w.OpenShard(w.t.Context(), 2, 2, nil)
		}, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				ids := w.ids("Saver", 2, 3)
				w.must(ids[1], "Write", "put idle")
				w.must(ids[0], "Write", "put busy")
				p := w.begin(ids[0], "Write", "hold x")
				d := w.drain(w.t.Context(), 2)
				c.disturb(w)
				after, _ := w.do(ids[2], "Write", "put new")
				_, isOpen, _ := w.Gate(2)
				sleep(time.Second)
				if _, still, _ := w.Gate(2); still != isOpen && c.want != nil {
					t.Errorf("the gate was open: %v, after a while: %v", isOpen, still)
				}
				if name == "suspended" {
					<-d.done // at once
				}
				w.open("x")
				_, _ = p.wait()
				<-d.done
				if (d.err == nil) != (c.want == nil) || c.want != nil && !errors.Is(c.want, errAny) && !errors.Is(d.err, c.want) {
					t.Errorf("drain: %v, %v", d.state, d.err)
				}
				w.Resume()
				if _, isOpen, _ := w.Gate(2); isOpen && after != "" { // nobody ended it
					if out := w.must(ids[2], "Write", "get"); out != "new" {
						t.Errorf("it remembers %q", out)
					}
				}
				if epoch := w.Epoch(2); epoch == 1 {
					_ = w.ReopenShard(2, 1, d.state)
					for i, want := range []string{"busy", "idle"} {
						if out := w.must(ids[i], "Write", "get"); out != want && name != "drained again" {
							t.Errorf("%s remembers %q", ids[i], out)
						}
					}
				}
			})
		})
	}
}

var errAny = errors.New("any")

// A drain waits for objects that come up, and takes those whose call never came.
func TestDrainOfActivatingObjects(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Saver", 2)
		w.on("OnActivate", func(_ context.Context, o *actor, _ string) (string, error) {
			<-w.gate("up")
			o.memory = "new"
			return "", nil
		})
		first := w.begin(id, "Write", "get")
		second := w.begin(id, "Write", "get")
		d := w.drain(w.t.Context(), 2)
		third := w.begin(id, "Write", "get")
		d.running()
		w.open("up")
		first.ok("new")
		second.ok("new")
		third.fails(object.ErrUnavailable, object.ExecutedNo)
		if state := d.ok(); len(state) != 1 {
			t.Errorf("state %v", state)
		}
	})
}

// A node that is suspended already ends nothing.
func TestDrainOnASuspendedNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnDeactivate", "OnSnapshot")
		id := w.id("Saver", 2)
		w.must(id, "Write", "put x")
		w.Suspend(nil)
		for range 20 {
			if _, err := w.DrainShard(w.t.Context(), 2, 1); !errors.Is(err, node.ErrSuspended) {
				t.Errorf("drain: %v", err)
			}
		}
		w.wantNotes()
		w.Resume()
		if err := w.ReopenShard(2, 1, nil); err != nil {
			t.Error(err)
		}
		w.remembers(id, "x")
	})
}
