package node

import "github.com/xiaonanln/goverse/object"

// A turn normally runs on its caller's goroutine. Where calls queue up on one object
// that would mean a change of goroutines for every turn, with the object idle
// meanwhile, so there the finished turn starts a runner: one goroutine that runs the
// waiting turns one after the other, wakes each caller with its reply, and ends when
// none waits. It is flat combining (Hendler, Incze, Shavit, Tzafrir: "Flat Combining
// and the Synchronization-Parallelism Tradeoff", SPAA 2010) with a combiner that is
// not one of the callers, so that no caller waits for another's turn after its own.

// runnerFrom is how many waiting calls are worth a runner.
const runnerFrom = 2

// nextForRunner takes the first waiter for a runner to run, if that is allowed and
// worth it; a runner that is there goes on with a single one too.
func (a *activation) nextForRunner(isRunner bool) *waiter {
	w := a.queue.first()
	if w.turn == nil || w.mode != object.Sequential || a.phase != live || !a.mayRun(w.mode) {
		return nil
	}
	if !isRunner && a.queue.calls < runnerFrom {
		return nil
	}
	a.take(w.mode)
	a.queue.remove(w)
	w.granted, w.delegated = true, true
	w.turn.act = a
	return w
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
		return n.leave(t, false, true)
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
