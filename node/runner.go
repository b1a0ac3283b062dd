package node

import (
	"time"

	"github.com/xiaonanln/goverse/object"
)

// A turn normally runs on its caller's goroutine. Where calls queue up on one object
// that would mean a change of goroutines for every turn, with the object idle
// meanwhile, so there the finished turn starts a runner: one goroutine that runs the
// waiting turns one after the other, wakes each caller with its reply, and ends when
// none waits. It is flat combining (Hendler, Incze, Shavit, Tzafrir: "Flat Combining
// and the Synchronization-Parallelism Tradeoff", SPAA 2010) with a combiner that is
// not one of the callers, so that no caller waits for another's turn after its own.

//
// The runner claims several turns each time it has the object's lock, as otherwise it
// would fight for it with the arriving calls, turn by turn. A claimed turn still waits:
// until it begins it can expire, be given up or refused, and it goes back to the head
// of the queue where the activation ends. Whoever wins the waiter's word decides.

const (
	// runnerFrom is how many waiting calls are worth a runner.
	runnerFrom = 2
	// batchSize is how many turns a runner claims at a time.
	batchSize = 16
)

// batch is the turns that the runner of an activation has claimed. It belongs to the
// runner; others read the claims under the activation's lock, which the runner holds
// where it changes them.
type batch struct {
	claims [batchSize]claim
	size   int // how many of them there are
	begun  int // the runner's own: how many it has come to
}

// claim is one turn's. The waiter may have a new turn by now: the word tells.
type claim struct {
	w     *waiter
	word  uint64        // the waiter's, as long as it is this turn's and has not begun
	due   time.Duration // the waiter's
	since time.Duration // the waiter's
	watch *watch        // the waiter's
	entry entry         // the turn's
}

// The lower bits of a waiter's word; the rest counts its claims.
const (
	unclaimed uint64 = iota
	claimed          // a runner is to run the turn
	begun            // a runner runs the turn
	wordState uint64 = 3
)

// pending reports whether the turn waits.
func (c *claim) pending() bool { return c.w.word.Load() == c.word }

// begin makes the turn the runner's; false where it does not wait any more.
func (c *claim) begin() bool { return c.w.word.CompareAndSwap(c.word, c.word-claimed+begun) }

// withdraw takes the turn back from the runner; false where it has begun or left. The
// activation's lock is held.
func (c *claim) withdraw() bool { return c.w.word.CompareAndSwap(c.word, c.word-claimed) }

// waiting returns the claims of turns that wait. A nil batch has none.
func (b *batch) waiting(yield func(*claim) bool) {
	if b == nil {
		return
	}
	for i := range b.size {
		if c := &b.claims[i]; c.pending() && !yield(c) {
			return
		}
	}
}

// ahead counts the turns that wait in front of a claimed one.
func (b *batch) ahead(w *waiter) (n int) {
	for c := range b.waiting {
		if c.w == w {
			break
		}
		n++
	}
	return n
}

// next begins the next turn; nil without any left.
func (b *batch) next(a *activation) *waiter {
	for b.begun < b.size {
		c := &b.claims[b.begun]
		b.begun++
		if c.begin() {
			c.w.delegated = true
			c.w.turn.act = a
			return c.w
		}
	}
	return nil
}

// runnable reports whether a runner may run the waiter's turn.
func (w *waiter) runnable() bool { return w != nil && w.turn != nil && w.mode == object.Sequential }

// nextForRunner claims the first waiters for a runner, if that is allowed and worth
// it, and begins the first; a runner that is there goes on with a single one too.
func (a *activation) nextForRunner(isRunner bool) *waiter {
	w := a.queue.first()
	if !w.runnable() || a.phase != live || !a.mayRun(w.mode) {
		return nil
	}
	if !isRunner && a.queue.calls < runnerFrom {
		return nil
	}
	a.take(w.mode)
	if a.queue.batch == nil {
		a.queue.batch = new(batch)
	}
	b := a.queue.batch
	b.size, b.begun = 0, 0
	for ; w.runnable() && b.size < batchSize; w = a.queue.first() {
		a.queue.unlink(w)
		b.claims[b.size] = claim{w: w, word: w.claim(), due: w.due, since: w.since, watch: w.watch, entry: w.entry}
		b.size++
	}
	return b.next(a)
}

// claim makes the waiter a runner's and returns its word. The lock is held.
func (w *waiter) claim() uint64 {
	word := w.word.Load() + wordState + 1 + claimed // it was unclaimed
	w.word.Store(word)
	return word
}

// endBatch ends the runner's batch; the turns of it that wait go back to the head of
// the queue. The activation's lock is held.
func (a *activation) endBatch() {
	b := a.queue.batch
	for i := b.size - 1; i >= b.begun; i-- {
		if c := &b.claims[i]; c.withdraw() {
			a.queue.insertBefore(a.queue.head, c.w)
		}
	}
	b.size = 0
	a.queue.settle()
}

// startRunner runs w's turn, and those after it, on a goroutine of its own.
func (n *Node) startRunner(w *waiter) {
	if w == nil {
		return
	}
	n.run(func() {
		for next := w; next != nil; {
			next = n.runFor(next)
		}
	})
}

// runFor runs the turn of a waiter that has been taken and wakes its caller.
func (n *Node) runFor(w *waiter) (next *waiter) {
	t := w.turn
	if err := t.overdue(); err != nil { // its caller is on its way to give up
		defer w.done(n.refuseExpired(t, err, "while it waited for the object")) // whatever the end of a failed activation does
		next, _ = n.leave(t, false, true)
		return next
	}
	var r result
	defer func() { w.done(r.err) }() // also where the method exits the goroutine
	n.execute(t, &r, true)
	return r.next
}

// done wakes the caller with the outcome of its turn.
func (w *waiter) done(err error) {
	w.err = err
	w.ready <- struct{}{}
}
