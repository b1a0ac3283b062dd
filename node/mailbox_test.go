package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/object"
)

func TestMailboxLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Tight-a", "Write", "hold head")
		var waiting []*pending
		for i := range 3 {
			waiting = append(waiting, w.begin("Tight-a", "Write", fmt.Sprintf("note %d", i)))
		}
		for _, method := range []string{"Write", "Read", "Loose"} {
			_, err := w.do("Tight-a", method, "note over")
			wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo, "3 calls wait")
			wantErr(w.t, err, object.ErrResourceExhausted, object.ExecutedNo)
		}
		_, err := w.Create(w.t.Context(), "Tight", "Tight-a", nil)
		wantErr(w.t, err, object.ErrAlreadyExists, object.ExecutedNo)
		wantErr(w.t, w.send("Tight-a", "Write", "note over"), object.ErrOverloaded, object.ExecutedNo)
		w.must("Tight-a", "Free", "note free") // does not wait
		w.must("Tight-b", "Write", "note other")
		w.open("head")
		head.ok("head")
		for i, p := range waiting {
			p.ok(fmt.Sprint(i))
		}
		w.wantNotes("head", "free", "other", "0", "1", "2")
		w.must("Tight-a", "Write", "nothing")
	})
}

// send is a one-way call.
func (w *world) send(id, method, req string) error {
	_, err := w.do(id, method, req, object.OneWay())
	return err
}

// The advice when to try again is how long the first in the mailbox has waited, wherever in
// the queue it is, within its bounds.
func TestMailboxAdvice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		advice := func(id string) time.Duration {
			w.t.Helper()
			_, err := w.do(id, "Write", "nothing")
			wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo)
			return object.FromError(err).RetryAfter
		}
		check := func(id string, want time.Duration) {
			w.t.Helper()
			if got := advice(id); got != want {
				w.t.Errorf("try again after %v, want %v", got, want)
			}
		}
		limited, cancel := context.WithTimeout(w.t.Context(), time.Hour) // it has a deadline of its own
		defer cancel()
		for i, ctx := range []context.Context{w.t.Context(), limited} {
			id, word := fmt.Sprint("Tight-", i), fmt.Sprint("head", i)
			head := w.start(ctx, id, "Write", "hold "+word)
			sleep(3 * time.Second)
			waiting := []*pending{w.start(ctx, id, "Write", "hold one"+word), w.start(ctx, id, "Write", "hold two"+word), w.start(ctx, id, "Write", "nothing")}
			check(id, 10*time.Millisecond)
			sleep(2 * time.Second)
			check(id, 2*time.Second)
			w.open(word)
			sleep(time.Second) // the first runs, and a runner has claimed the others
			waiting = append(waiting, w.start(ctx, id, "Write", "nothing"))
			check(id, 3*time.Second)
			w.open("one" + word)
			synctest.Wait()
			waiting = append(waiting, w.start(ctx, id, "Write", "nothing"))
			check(id, 3*time.Second)
			sleep(8 * time.Second)
			check(id, 10*time.Second)
			w.open("two" + word)
			head.ok(word)
			for _, p := range waiting {
				if _, err := p.wait(); err != nil {
					w.t.Error(err)
				}
			}
		}
		w.notes()
	})
}

// A place in the mailbox is free again when its caller has given up.
func TestMailboxPlaceIsReturned(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Tight-a", "Write", "hold head")
		for range 20 {
			ctx, cancel := context.WithCancel(w.t.Context())
			var waiting []*pending
			for range 3 {
				waiting = append(waiting, w.start(ctx, "Tight-a", "Write", "note waited"))
			}
			_, err := w.do("Tight-a", "Write", "note over")
			wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo)
			cancel()
			for _, p := range waiting {
				p.fails(object.ErrCanceled, object.ExecutedNo)
			}
		}
		w.open("head")
		head.ok("head")
		w.wantNotes("head")
	})
}

// Calls that wait for a slow activation count as well.
func TestMailboxLimitWhileActivating(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) { <-w.gate("up"); return "", nil })
		var calls []*pending
		for range 3 {
			calls = append(calls, w.begin("HookTight-a", "Write", "nothing"))
		}
		_, err := w.do("HookTight-a", "Write", "note over")
		wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo)
		w.open("up")
		for _, p := range calls {
			p.ok("")
		}
		w.wantNotes()
	}, typed((*hooked)(nil), "HookTight", object.MailboxLimit(2)))
}

func TestNoMailboxLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Endless-a", "Write", "hold head")
		full := w.begin("Plain-a", "Write", "hold full")
		var calls []*pending
		for range object.DefaultMailboxLimit + 1 {
			calls = append(calls, w.spawn(w.t.Context(), "Endless-a", "Write", "nothing"))
		}
		sleep(0)
		for range object.DefaultMailboxLimit {
			calls = append(calls, w.spawn(w.t.Context(), "Plain-a", "Write", "nothing"))
		}
		sleep(0)
		_, err := w.do("Plain-a", "Write", "note over")
		wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo)
		w.open("head")
		w.open("full")
		head.ok("head")
		full.ok("full")
		for _, p := range calls {
			p.ok("")
		}
	})
}

// Deletions and deactivations have a bound of the same size together: they take no call's
// place, and calls none of theirs.
func TestMailboxLimitOfDeletions(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		head := w.begin("Tight-a", "Write", "hold head")
		ended := make(chan error, 3)
		begin := func(ctx context.Context, end func(context.Context, string) error) {
			go func() { ended <- end(ctx, "Tight-a") }()
			synctest.Wait()
		}
		limited, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer cancel()
		begin(w.t.Context(), w.Delete)
		begin(limited, w.Deactivate)
		begin(w.t.Context(), w.Delete)
		sleep(2 * time.Second)
		var calls []*pending
		for range 3 {
			calls = append(calls, w.begin("Tight-a", "Write", "who"))
		}
		for _, end := range []func(context.Context, string) error{w.Delete, w.Deactivate} {
			err := end(w.t.Context(), "Tight-a")
			wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo, "Tight-a", "3 deletions or deactivations wait")
			if d := object.FromError(err).RetryAfter; d != 2*time.Second {
				w.t.Errorf("try again after %v, want 2 s", d)
			}
		}
		w.diary.only(w.t, "overloaded", "warning", "Tight-a", "Delete")
		_, err := w.do("Tight-a", "Write", "who")
		wantErr(w.t, err, object.ErrOverloaded, object.ExecutedNo, "3 calls wait")

		wantErr(w.t, <-ended, object.ErrDeadlineExceeded, object.ExecutedNo) // its place is free again
		begin(w.t.Context(), w.Delete)
		w.open("head")
		head.ok("head")
		for range 3 {
			if err := <-ended; err != nil {
				w.t.Error(err)
			}
		}
		for _, p := range calls {
			p.ok("1")
		}
	})
}

// The end that comes with a node's stop or a shard's move is refused by nobody.
func TestMailboxLimitIsNotForTheNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		one := "Single-a"
		head := w.begin(one, "Write", "hold head")
		deleted, stopped := make(chan error, 1), make(chan error, 1)
		go func() { deleted <- w.Delete(w.t.Context(), one) }()
		synctest.Wait()
		wantErr(w.t, w.Delete(w.t.Context(), one), object.ErrOverloaded, object.ExecutedNo)
		drained := w.drain(w.t.Context(), w.ShardOf(one))
		go func() { stopped <- w.Stop(w.t.Context()) }()
		synctest.Wait()
		drained.running()
		w.open("head")
		head.ok("head")
		drained.ok()
		for _, over := range []chan error{deleted, stopped} {
			if err := <-over; err != nil {
				w.t.Error(err)
			}
		}
	}, typed((*actor)(nil), "Single", object.MailboxLimit(1)))
}
