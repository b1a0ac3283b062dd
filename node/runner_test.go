package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// busy lets the object's runner run a turn that holds until the gate "first" opens,
// with the calls that then wait claimed. It needs at least one call.
func (w *world) busy(id string, calls ...func() *pending) (first *pending, claimed []*pending) {
	head := w.begin(id, "Patient", "hold head")
	first = w.begin(id, "Patient", "hold first")
	for _, call := range calls {
		claimed = append(claimed, call())
	}
	w.open("head")
	synctest.Wait()
	head.ok("head")
	first.running()
	return first, claimed
}

// What a runner has claimed still waits: it can be given up and expires while the turn
// before it runs, and the rest keeps its order.
func TestClaimedCallsWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		note := func(i int) func() *pending {
			return func() *pending { return w.begin("Plain-a", "Write", fmt.Sprintf("note %d", i)) }
		}
		first, claimed := w.busy("Plain-a",
			note(0),
			func() *pending { return w.start(ctx, "Plain-a", "Patient", "note left") },
			func() *pending { return w.begin("Plain-a", "Hurry", "note late") },
			note(1), note(2),
		)
		brief, end := context.WithCancel(w.t.Context())
		behind := w.start(brief, "Plain-a", "Patient", "note left") // the only one that is not claimed
		end()
		behind.fails(object.ErrCanceled, object.ExecutedNo, "behind 5 others")
		cancel()
		claimed[1].fails(object.ErrCanceled, object.ExecutedNo, "behind 1 others")
		sleep(time.Second)
		claimed[2].fails(object.ErrDeadlineExceeded, object.ExecutedNo, "while it waited")
		for _, i := range []int{0, 3, 4} {
			claimed[i].running()
		}
		w.notes()
		w.open("first")
		first.ok("first")
		for i, p := range []*pending{claimed[0], claimed[3], claimed[4]} {
			p.ok(fmt.Sprint(i))
		}
		w.wantNotes("0", "1", "2")
	})
}

// Claimed calls count against the mailbox limit until they begin.
func TestClaimedCallsFillTheMailbox(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		call := func() *pending { return w.begin("Tight-a", "Write", "who") }
		first, claimed := w.busy("Tight-a", call, call) // with the first these are three
		claimed = append(claimed, call())
		_, err := w.do("Tight-a", "Write", "who")
		wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo, "3 calls wait")
		w.open("first")
		first.ok("first")
		for _, p := range claimed {
			p.ok("1")
		}
	})
}

// Calls that are claimed, and calls that are not yet, go on to the next activation in
// order when the runner's turn fails.
func TestClaimedCallsOutliveAFailedTurn(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"panic", "exit"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.on("fall", func(ctx context.Context, o *actor, _ string) (string, error) {
					<-w.gate("fall")
					return w.action(how)(ctx, o, "")
				})
				var calls []*pending
				_, claimed := w.busy("Plain-a", func() *pending { return w.begin("Plain-a", "Patient", "fall") })
				for i := range 40 { // more than one batch
					calls = append(calls, w.begin("Plain-a", "Write", fmt.Sprintf("note %d", i)))
				}
				late := w.begin("Plain-a", "Hurry", "note late")
				w.open("first")
				synctest.Wait()
				w.notes()
				sleep(time.Second)
				late.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
				w.open("fall")
				claimed[0].fails(object.ErrInternal, object.ExecutedYes)
				for i, p := range calls {
					p.ok(fmt.Sprint(i))
				}
				if got := w.notes(); len(got) != 40 || got[0] != "0" || got[39] != "39" {
					w.t.Errorf("noted %q", got)
				}
			})
		})
	}
}

// A stop that takes too long refuses what a runner has claimed and not begun.
func TestClaimedCallsAreCutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		first, claimed := w.busy("Plain-a", func() *pending { return w.begin("Plain-a", "Patient", "note never") })
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if err := w.Stop(ctx); err == nil {
			w.t.Error("a stop has succeeded while a turn runs")
		}
		claimed[0].fails(object.ErrUnavailable, object.ExecutedNo, "stopping")
		w.open("first")
		first.ok("first")
	})
}

// Many calls that wait with one context end with it, and nobody else's do, wherever
// they wait: in the queue, claimed by the runner, or behind an activation that failed.
func TestManyCallsOfOneContext(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"queue", "claimed", "heir"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				ctx, cancel := context.WithCancel(w.t.Context())
				defer cancel()
				w.on("fall", func(context.Context, *actor, string) (string, error) { <-w.gate("fall"); panic("fall") })
				head := w.begin("Plain-a", "Patient", "hold head")
				fall := w.begin("Plain-a", "Patient", "fall")
				again := w.begin("Plain-a", "Patient", "hold again")
				var theirs, others []*pending
				for i := range 60 {
					if i%10 == 9 {
						others = append(others, w.begin("Plain-a", "Write", "echo other"))
					}
					theirs = append(theirs, w.start(ctx, "Plain-a", "Patient", "note never"))
				}
				if where != "queue" {
					w.open("head")
					synctest.Wait()
				}
				if where == "heir" {
					w.open("fall")
					synctest.Wait()
				}
				cancel()
				for _, p := range theirs {
					p.fails(object.ErrCanceled, object.ExecutedNo, "while it waited")
				}
				for _, gate := range []string{"head", "fall", "again"} {
					w.open(gate)
				}
				head.ok("head")
				fall.fails(object.ErrInternal, object.ExecutedYes)
				again.ok("again")
				for _, p := range others {
					p.ok("other")
				}
			})
		})
	}
}

// A call whose turn a runner has begun is waited for when its context ends, time and
// again: waiters are used again.
func TestBegunCallsAreWaitedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for round := range 20 {
			ctx, cancel := context.WithCancel(w.t.Context())
			name := fmt.Sprint("round", round)
			head := w.begin("Plain-a", "Patient", "hold head"+name)
			call := w.start(ctx, "Plain-a", "Patient", "hold "+name)
			next := w.begin("Plain-a", "Patient", "echo next")
			w.open("head" + name)
			synctest.Wait()
			cancel()
			synctest.Wait()
			call.running()
			next.running()
			w.open(name)
			head.ok("head" + name)
			call.ok(name)
			next.ok("next")
		}
	})
}

// observed is a context that counts who follows its end.
type observed struct {
	context.Context

	followers atomic.Int32
}

// Value hides the context inside, so that nobody follows that one instead.
func (o *observed) Value(any) any { return nil }

func (o *observed) AfterFunc(f func()) func() bool {
	o.followers.Add(1)
	stop := context.AfterFunc(o.Context, f)
	return func() bool {
		o.followers.Add(-1)
		return stop()
	}
}

// The watch of a context ends with the queue: what comes later is not refused by it.
func TestWatchEndsWithTheQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		base, cancel := context.WithCancel(w.t.Context())
		defer cancel()
		ctx := &observed{Context: base}
		for round := range 3 {
			name := fmt.Sprint("head", round)
			head := w.begin("Plain-a", "Patient", "hold "+name)
			var calls []*pending
			for range 20 {
				calls = append(calls, w.start(ctx, "Plain-a", "Patient", "echo x"))
			}
			if n := ctx.followers.Load(); n != 1 {
				w.t.Errorf("%d follow the context, want 1 for all calls", n)
			}
			w.open(name)
			head.ok(name)
			for _, p := range calls {
				p.ok("x")
			}
			if n := ctx.followers.Load(); n != 0 {
				w.t.Errorf("%d follow the context of calls that are over", n)
			}
		}
		cancel()
		synctest.Wait()
		head := w.begin("Plain-a", "Patient", "hold last")
		call := w.begin("Plain-a", "Write", "echo later")
		w.open("last")
		head.ok("last")
		call.ok("later")
		_, err := w.try(ctx, "Plain-a", "Write", "echo x")
		wantErr(w.t, err, object.ErrCanceled, object.ExecutedNo)
	})
}
