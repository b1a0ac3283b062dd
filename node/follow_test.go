package node_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/util/ends"
)

// follower notes that it was told.
type follower struct {
	ends.Follower

	told atomic.Bool
}

func (f *follower) Ended(*ends.Follower) { f.told.Store(true) }

// followed follows a turn's context; nil where that is refused.
func followed(ctx context.Context) *follower {
	f := new(follower)
	f.Told = f
	if !ctx.(ends.Source).Follow(&f.Follower) {
		return nil
	}
	return f
}

// A turn's context can be followed without its Done, to its end or that of the node's time.
func TestFollowATurnToItsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		var own, inner, left *follower
		w.on("follow", func(ctx context.Context, _ *actor, _ string) (string, error) {
			own, left = followed(ctx), followed(ctx)
			left.Leave()
			_, err := w.Call(ctx, "Plain-b", "Write", word("inner"))
			if own.told.Load() || !inner.told.Load() {
				w.t.Errorf("after the inner turn: the outer was told to have ended: %t, the inner: %t", own.told.Load(), inner.told.Load())
			}
			return "", err
		})
		w.on("inner", func(ctx context.Context, _ *actor, _ string) (string, error) {
			inner = followed(ctx)
			if inner.told.Load() {
				w.t.Error("the inner turn has ended while it runs")
			}
			return "", nil
		})
		w.start(context.WithoutCancel(w.t.Context()), "Plain-a", "Write", "follow").ok("")
		if !own.told.Load() || left.told.Load() {
			w.t.Errorf("after the turn: who follows was told: %t, who has left: %t", own.told.Load(), left.told.Load())
		}
	})
}

// What runs when the node is suspended hears of it, along the chain; what begins then cannot follow.
func TestFollowATurnThatIsInterrupted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("chain", func(ctx context.Context, _ *actor, _ string) (string, error) {
			_, err := w.Call(ctx, "Plain-b", "Write", word("wait"))
			return "", err
		})
		w.on("wait", func(ctx context.Context, _ *actor, _ string) (string, error) {
			f := followed(ctx)
			<-w.gate("suspended")
			w.note("told: %t, %v", f.told.Load(), ctx.Err())
			w.note("late: %t", followed(ctx) != nil)
			return "", ctx.Err()
		})
		p := w.start(context.WithoutCancel(w.t.Context()), "Plain-a", "Write", "chain")
		synctest.Wait()
		w.Suspend(errLease)
		synctest.Wait()
		w.open("suspended")
		if _, err := p.wait(); err == nil {
			w.t.Error("an interrupted turn has answered")
		}
		w.wantNotes("told: true, context canceled", "late: false")
	})
}

// source is a caller's context that can be followed.
type source struct {
	context.Context
	ends.Point
}

// Whether a turn can be followed is up to its caller's context, and so is its end.
func TestFollowATurnOfACaller(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("wait", func(ctx context.Context, _ *actor, _ string) (string, error) {
			f := followed(ctx)
			w.note("followed: %t", f != nil)
			if f != nil {
				<-w.gate("ended")
				w.note("told: %t, %v", f.told.Load(), ctx.Err())
			}
			return "", nil
		})
		endless := context.WithoutCancel(w.t.Context())
		ctx, cancel := context.WithCancel(endless)
		s := &source{Context: ctx}
		p := w.start(s, "Plain-a", "Write", "wait")
		cancel()
		s.End()
		w.open("ended")
		p.ok("")
		w.wantNotes("followed: true", "told: true, context canceled")

		other, stop := context.WithCancel(endless)
		defer stop()
		w.start(other, "Plain-b", "Write", "wait").ok("")
		w.wantNotes("followed: false")
	})
}

// Once a turn's context has a Done, that is what it is followed by.
func TestFollowATurnWithADone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("look", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.note("before: %t", followed(ctx) != nil)
			_ = ctx.Done()
			w.note("after: %t", followed(ctx) != nil)
			return "", nil
		})
		w.start(context.WithoutCancel(w.t.Context()), "Plain-a", "Write", "look").ok("")
		w.wantNotes("before: true", "after: false")
	})
}
