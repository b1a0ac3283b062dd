package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// refusedNo checks that a call was refused in the way that is retried.
func (w *world) refusedNo(id, method, req string) {
	w.t.Helper()
	_, err := w.Node.Call(w.t.Context(), id, method, word(req))
	wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo)
}

func TestDrainEndsIdleObjectsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hearAll("OnSnapshot", "OnDeactivate")
		saver, hook, plain := w.id("Saver", 3), w.id("Hook", 3), w.id("Plain", 3)
		other := w.id("Hook", 4)
		for _, id := range []string{saver, hook, plain, other} {
			w.must(id, "Write", "put x")
		}
		epoch, isOpen, changed := w.Gate(3)
		if epoch != 1 || !isOpen {
			t.Errorf("gate %d %v", epoch, isOpen)
		}
		began := time.Now()
		state := w.drain(w.t.Context(), 3).ok()
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
		w.wantNoted(saver+" OnSnapshot x", saver+" OnDeactivate moved", hook+" OnDeactivate moved")
		if len(state) != 1 || state[0].ID != saver || state[0].Message != strName || w.Activations() != 1 {
			t.Errorf("state %v, %d activations", state, w.Activations())
		}
		select {
		case <-changed:
		default:
			t.Error("nobody was told that the gate changed")
		}
		if epoch, isOpen, _ := w.Gate(3); epoch != 1 || isOpen {
			t.Errorf("gate %d %v", epoch, isOpen)
		}
		for _, id := range []string{saver, hook, plain} {
			w.refusedNo(id, "Write", "get")
			wantErr(t, w.Delete(w.t.Context(), id), object.ErrUnavailable, object.ExecutedNo)
			typ, _, _ := object.ParseID(id)
			_, err := w.Create(w.t.Context(), typ, id, nil)
			wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
		}
		w.must(other, "Write", "get")
	})
}

// OnSnapshot comes before OnDeactivate.
func TestSnapshotComesFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.hear("OnSnapshot", "OnDeactivate")
		w.must("Saver-a", "Write", "put x")
		w.drain(w.t.Context(), w.ShardOf("Saver-a")).ok()
		w.wantNotes("OnSnapshot x", "OnDeactivate moved")
	})
}

// What runs and what waited before finishes; what comes later is refused as not run.
func TestDrainLetsTurnsFinish(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Write", "Read", "Free", "Loose"} {
		for _, queued := range []int{0, 1, 40} {
			inBubble(t, func(w *world) {
				id := w.id("Saver", 5)
				w.hear("OnDeactivate")
				p := w.begin(id, method, "hold x")
				var before, after []*pending
				for i := range queued {
					before = append(before, w.begin(id, "Write", fmt.Sprintf("put %d,", i)))
				}
				d := w.drain(w.t.Context(), 5)
				for _, method := range []string{"Write", "Write", "Write", "Read", "Free", "Loose"} {
					after = append(after, w.begin(id, method, "note too late"))
				}
				after = append(after, w.begin(w.ids("Plain", 5, 9)[8], "Write", "note too late"))
				_, err := w.Create(w.t.Context(), "Saver", w.ids("Saver", 5, 2)[1], nil)
				wantErr(t, err, object.ErrUnavailable, object.ExecutedNo)
				deletion := make(chan error, 1)
				go func() { deletion <- w.Delete(w.t.Context(), id) }()
				synctest.Wait()
				d.running()
				w.open("x")
				p.ok("x")
				memory := ""
				for i, p := range before {
					memory += fmt.Sprintf("%d,", i)
					p.ok(memory)
				}
				for _, p := range after {
					p.fails(object.ErrUnavailable, object.ExecutedNo)
				}
				wantErr(t, <-deletion, object.ErrUnavailable, object.ExecutedNo)
				state := d.ok()
				w.wantNotes("x", "OnDeactivate moved")
				if n := w.Activations(); n != 0 || (len(state) == 1) != (queued > 0) {
					t.Errorf("%d activations, state %v", n, state)
				}
			})
		}
	}
}

// A drain must not wait for a turn that waits for a call that the drain keeps out.
func TestDrainAdmitsChains(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-w.gate("go")
			return callOn(ctx, o, arg)
		})
		in, out := w.ids("Plain", 2, 8), w.ids("Plain", 9, 3)
		loop, saver := w.id("Loop", 2), w.ids("Saver", 2, 2)
		busy, active := in[5], in[6]
		w.must(active, "Write", "nothing")
		w.must(saver[1], "Write", "put old")
		paths := []string{
			in[0] + ".Write ! later " + in[1] + ".Write",                                             // comes up
			in[2] + ".Free ! later " + in[3] + ".Read > " + in[4] + ".Free",                          // more of them
			out[0] + ".Write > " + loop + ".Write ! later " + out[1] + ".Write > " + loop + ".Write", // comes back
			saver[0] + ".Read ! later " + active + ".Write",                                          // was active
			out[2] + ".Loose > " + in[7] + ".Loose ! later " + saver[1] + ".Read ! get",              // its memory is there, though it has ended
		}
		var ps []*pending
		for _, p := range paths {
			first, req, _ := cutAt(p)
			id, method, _ := cut(first)
			ps = append(ps, w.begin(id, method, req, object.WithMetadata("chain", first)))
		}
		head := w.begin(busy, "Write", "hold busy")
		d := w.drain(w.t.Context(), 2)
		d.running()
		outside := w.begin(in[1], "Write", "note outside")
		outside.fails(object.ErrUnavailable, object.ExecutedNo)
		w.open("go")
		for i, p := range ps {
			want := "end"
			if i == 4 {
				want = "old"
			}
			p.ok(want)
		}
		d.running()
		w.open("busy")
		head.ok("busy")
		state := d.ok()
		if len(state) != 1 || state[0].ID != saver[1] {
			t.Errorf("state %v", state)
		}
		w.wantNotes("busy")
		for _, id := range append(in, append(saver, loop)...) {
			w.refusedNo(id, "Write", "nothing")
		}
		if n := w.Activations(); n > len(out) {
			t.Errorf("%d activations", n)
		}
	})
}

// cutAt makes "A.M > B.M ! later C.M ! get" the first call and its request: a chain of
// calls whose last one is held.
func cutAt(s string) (first, req string, ok bool) {
	at := slices.Index([]byte(s), '!')
	path, last := s[:at], s[at+2:]
	if i := slices.Index([]byte(path), '>'); i >= 0 {
		return trim(path[:i]), "call " + path[i+1:] + "! " + last, true
	}
	return trim(path), last, true
}

func trim(s string) string {
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// An object that comes up once more for a call of a chain, after it was asked for its
// memory, has that memory.
func TestMemoryOfAnObjectThatComesUpDuringADrain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		caller, saver := w.id("Plain", 2), w.id("Saver", 2)
		w.must(saver, "Write", "put old")
		w.on("later", func(ctx context.Context, _ *actor, _ string) (string, error) {
			<-w.gate("go")
			for range 3 {
				_, _ = w.try(ctx, saver, "Write", "put +")
				sleepIn(ctx, time.Second) // the drain is at it again
			}
			return w.try(ctx, saver, "Read", "get")
		})
		w.hear("OnSnapshot", "OnRestore")
		p := w.begin(caller, "Write", "later")
		d := w.drain(w.t.Context(), 2)
		w.wantNotes("OnSnapshot old")
		w.open("go")
		p.ok("old+++")
		state := d.ok()
		if len(state) != 1 || state[0].ID != saver || !slices.Contains(w.notes(), "OnSnapshot old+++") {
			t.Errorf("state %v", state)
		}
		if err := w.ReopenShard(2, 1, state); err != nil {
			t.Fatal(err)
		}
		if out := w.must(saver, "Read", "get"); out != "old+++" {
			t.Errorf("it remembers %q", out)
		}
	})
}

// A call of the chain that waits behind the object's end finds its memory too.
func TestMemoryOfAnObjectThatEndsBeforeACallOfAChain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		caller, saver := w.id("Plain", 2), w.id("Saver", 2)
		w.on("later", func(ctx context.Context, o *actor, arg string) (string, error) {
			<-w.gate("go")
			return callOn(ctx, o, arg)
		})
		p := w.begin(caller, "Write", "later "+saver+".Read ! get")
		busy := w.begin(saver, "Write", "hold x")
		put := w.begin(saver, "Write", "put old")
		d := w.drain(w.t.Context(), 2)
		w.open("go")
		synctest.Wait()
		p.running()
		w.open("x")
		busy.ok("x")
		put.ok("old")
		p.ok("old")
		if state := d.ok(); len(state) != 1 || state[0].ID != saver {
			t.Errorf("state %v", state)
		}
	})
}

// However many calls keep arriving, nothing of the shard is in memory in the end.
func TestDrainWithCallsArriving(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		var callers sync.WaitGroup
		ctx, cancel := context.WithCancel(w.t.Context())
		ids := append(w.ids("Plain", 6, 3), w.ids("Saver", 6, 3)...)
		w.on("take", func(ctx context.Context, _ *actor, _ string) (string, error) {
			sleepIn(ctx, 3*time.Millisecond)
			return "", nil
		})
		var ran [40]atomic.Int64
		counts := func() (n []int64) {
			for i := range ran {
				n = append(n, ran[i].Load())
			}
			return n
		}
		for i := range ran {
			callers.Go(func() {
				for j := i; ctx.Err() == nil; j++ {
					method := []string{"Write", "Read", "Free", "Loose", "Write"}[j%5]
					_, err := w.try(ctx, ids[j%len(ids)], method, "take")
					switch {
					case err == nil:
						ran[i].Add(1)
					case !refusedHere(err) && ctx.Err() == nil:
						t.Errorf("%v, executed=%v", err, object.Executed(err))
					}
					sleepIn(ctx, time.Millisecond)
				}
			})
		}
		sleep(50 * time.Millisecond)
		d := w.drain(w.t.Context(), 6)
		d.ok()
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
		synctest.Wait() // for those to count whose calls have just ended
		before := counts()
		sleep(50 * time.Millisecond)
		if after := counts(); !slices.Equal(before, after) || w.Activations() != 0 {
			t.Errorf("calls ran after the drain: %v, %v", before, after)
		}
		if err := w.ReopenShard(6, 1, d.state); err != nil {
			t.Error(err)
		}
		sleep(500 * time.Millisecond)
		cancel()
		callers.Wait()
		for i, n := range counts() {
			if before[i] == 0 || n == before[i] {
				t.Errorf("caller %d: %d calls before, %d in all", i, before[i], n)
			}
		}
	})
}
