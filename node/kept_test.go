package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// keepOne leaves "mem" kept of the first Saver of a shard, which is not active.
func (w *world) keepOne(shard uint32) (id string) {
	w.t.Helper()
	id = w.id("Saver", shard)
	w.must(id, "Write", "put mem")
	if err := w.ReopenShard(shard, 1, w.drain(w.t.Context(), shard).ok()); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) remembers(id, want string) {
	w.t.Helper()
	if out := w.must(id, "Write", "get"); out != want {
		w.t.Errorf("%s remembers %q, want %q", id, out, want)
	}
}

func TestMemoryTravels(t *testing.T) {
	t.Parallel()
	inPair(t, func(a, b *world) {
		ids := a.ids("Saver", 3, 3)
		a.hear("OnActivate", "OnRestore", "OnSnapshot", "OnDeactivate")
		a.must(ids[0], "Write", "put 0")
		a.must(ids[1], "Write", "put 1")
		a.must(ids[2], "Write", "nothing") // nothing to keep
		a.notes()
		a.move(3)
		a.notes()
		a.remembers(ids[0], "0")
		a.wantNotes("OnRestore 0", "OnActivate ")
		a.remembers(ids[2], "")
		a.wantNotes("OnActivate ")
		b.move(3) // back; one was never asked for
		if n := b.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
		a.must(ids[0], "Write", "put +")
		a.remembers(ids[0], "0+")
		a.remembers(ids[1], "1")
		a.remembers(ids[1], "1")
		a.notes()
		sleep(time.Hour) // idle
		a.notes()
		a.remembers(ids[1], "") // it was taken, and is gone with the object
		a.wantNotes("OnActivate ")
	})
}

// State that nobody asks for is dropped when an object would be, also beside objects
// that are never idle.
func TestKeptStateIsDroppedAfterTheIdleTime(t *testing.T) {
	t.Parallel()
	for _, beside := range []string{"", "Endless", "Brief"} {
		inBubble(t, func(w *world) {
			id := w.keepOne(3)
			if beside != "" {
				w.must(w.id(beside, 3), "Write", "nothing")
			}
			sleep(50 * time.Second)
			if beside != "" {
				w.must(w.id(beside, 3), "Write", "nothing")
			}
			if _, err := w.Create(w.t.Context(), "Saver", id, nil); !errors.Is(err, object.ErrAlreadyExists) {
				t.Errorf("beside %q: after 50 s: %v", beside, err)
			}
			sleep(40 * time.Second)
			if state := w.drain(w.t.Context(), 3).ok(); state != nil {
				t.Errorf("beside %q: still %v after 90 s", beside, state)
			}
		})
	}
}

func TestKeptStateAndDeletion(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.keepOne(3)
		w.hear("OnActivate", "OnRestore", "OnDeactivate")
		if err := w.Delete(w.t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.wantNotes() // it was not active
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
		w.remembers(id, "")
		if err := w.Delete(w.t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Create(w.t.Context(), "Saver", id, nil); err != nil {
			t.Error(err)
		}
	})
}

// A deletion that meets an activation with kept state waits for it and ends it.
func TestDeletionDuringAnActivationWithKeptState(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.keepOne(3)
		w.on("OnRestore", func(context.Context, *actor, string) (string, error) { <-w.gate("up"); return "", nil })
		p := w.begin(id, "Write", "get")
		deletion := make(chan error, 1)
		go func() { deletion <- w.Delete(w.t.Context(), id) }()
		synctest.Wait()
		w.open("up")
		p.ok("mem")
		if err := <-deletion; err != nil {
			t.Error(err)
		}
		w.remembers(id, "")
	})
}

func TestKeptStateAndCreation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.keepOne(3)
		w.hear("OnCreate", "OnActivate", "OnRestore")
		_, err := w.Create(w.t.Context(), "Saver", id, nil)
		wantErr(t, err, object.ErrAlreadyExists, object.ExecutedNo)
		w.wantNotes()
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
		w.remembers(id, "mem")
		w.wantNotes("OnRestore mem", "OnActivate ")
	})
}

// What an object could not take back is kept, whichever hook failed and how.
func TestKeptStateOfObjectsThatDoNotComeUp(t *testing.T) {
	t.Parallel()
	for _, hook := range []string{"OnRestore", "OnActivate"} {
		for how, fail := range map[string]action{
			"error": func(context.Context, *actor, string) (string, error) {
				return "", object.NewError(object.CodeAborted, "not yet")
			},
			"panic": func(context.Context, *actor, string) (string, error) { panic("not yet") },
		} {
			inBubble(t, func(w *world) {
				id := w.keepOne(3)
				w.on(hook, fail)
				for range 2 {
					_, err := w.do(id, "Write", "get")
					want := object.ErrAborted
					if how == "panic" {
						want = object.ErrInternal
					}
					wantErr(t, err, want, object.ExecutedNo)
				}
				if state := w.drain(w.t.Context(), 3).ok(); len(state) != 1 {
					t.Errorf("%s, %s: state %v", hook, how, state)
				} else if err := w.ReopenShard(3, 1, state); err != nil {
					t.Error(err)
				}
				w.on(hook, func(context.Context, *actor, string) (string, error) { return "", nil })
				w.remembers(id, "mem")
			})
		}
	}
}

// State that nobody here can read does no harm but to the object's own calls.
func TestKeptStateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ids := w.ids("Saver", 3, 4)
		state := []node.Kept{
			{ID: ids[0], Message: "no.such.Message", Body: []byte{1}},
			{ID: ids[1], Message: strName, Body: []byte{0xff, 0xff}},
			{ID: "Nobody-1", Message: strName},
			{ID: "", Message: strName},
			{ID: w.id("Plain", 3), Message: strName, Body: []byte{0xff}},
			{ID: ids[2], Message: strName, Body: encoded(w.t, word("good"))},
		}
		if err := w.OpenShard(w.t.Context(), 3, 2, state); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"no.such.Message", strName} {
			_, err := w.do(ids[i], "Write", "get")
			wantErr(t, err, object.ErrUnknown, object.ExecutedNo, want)
		}
		w.must(w.id("Plain", 3), "Write", "nothing") // has no use for it
		w.remembers(ids[2], "good")
		w.remembers(ids[3], "")
		if out := w.drain(w.t.Context(), 3).ok(); len(out) != 3 {
			t.Errorf("handed on: %v", out)
		}
		if log := w.logText(); strings.Count(log, "dropped") != 2 {
			t.Error(log)
		}
	})
}

// What a shard kept goes when the shard does, and what comes with a new epoch is not
// taken for it.
func TestKeptStateAndEpochs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.keepOne(3)
		w.ReleaseShard(3, 1)
		if err := w.OpenShard(w.t.Context(), 3, 2, nil); err != nil {
			t.Fatal(err)
		}
		w.remembers(id, "")

		// An activation of the old epoch neither takes nor drops what the new one brings.
		w.drain(w.t.Context(), 3).ok()
		if err := w.ReopenShard(3, 2, []node.Kept{{ID: id, Message: strName, Body: encoded(w.t, word("old"))}}); err != nil {
			t.Fatal(err)
		}
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) { <-w.gate("up"); return "", nil })
		p := w.begin(id, "Write", "get")
		w.ReleaseShard(3, 2)
		if err := w.OpenShard(w.t.Context(), 3, 3, []node.Kept{{ID: id, Message: strName, Body: encoded(w.t, word("new"))}}); err != nil {
			t.Fatal(err)
		}
		w.open("up")
		p.fails(object.ErrUnavailable, object.ExecutedNo)
		synctest.Wait()
		w.remembers(id, "new")
	})
}

// A snapshot that was taken when the shard was lost is nobody's.
func TestSnapshotOfALostShard(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Saver", 3)
		w.must(id, "Write", "put old")
		w.on("OnSnapshot", func(context.Context, *actor, string) (string, error) { <-w.gate("snap"); return "", nil })
		w.hear("OnDeactivate")
		d := w.drain(w.t.Context(), 3)
		w.ReleaseShard(3, 1)
		if err := w.OpenShard(w.t.Context(), 3, 2, nil); err != nil {
			t.Fatal(err)
		}
		w.open("snap")
		<-d.done
		if d.err == nil || d.state != nil {
			t.Errorf("drain: %v, %v", d.state, d.err)
		}
		synctest.Wait()
		w.wantNotes("OnDeactivate fenced")
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
		w.remembers(id, "")
	})
}

// State that comes to a shard of objects which are never idle has its own time.
func TestKeptStateBesideAnObjectThatIsNeverIdle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.id("Saver", 3)
		w.must(w.id("Endless", 3), "Write", "nothing")
		sleep(2 * time.Minute)
		if err := w.OpenShard(w.t.Context(), 3, 1, []node.Kept{{ID: id, Message: strName, Body: encoded(w.t, word("x"))}}); err != nil {
			t.Fatal(err)
		}
		sleep(2 * time.Minute)
		if _, err := w.Create(w.t.Context(), "Saver", id, nil); err != nil {
			t.Error(err)
		}
	})
}

// A deletion behind an object that could not take its state back deletes that.
func TestDeletionBehindARestoreThatFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		id := w.keepOne(3)
		w.on("OnRestore", func(context.Context, *actor, string) (string, error) {
			<-w.gate("up")
			return "", errors.New("not yet")
		})
		p := w.begin(id, "Write", "get")
		deletion := make(chan error, 1)
		go func() { deletion <- w.Delete(w.t.Context(), id) }()
		synctest.Wait()
		w.open("up")
		p.fails(object.ErrUnknown, object.ExecutedNo, "not yet")
		if err := <-deletion; err != nil {
			t.Error(err)
		}
		w.on("OnRestore", func(context.Context, *actor, string) (string, error) { return "", nil })
		w.remembers(id, "")
	})
}
