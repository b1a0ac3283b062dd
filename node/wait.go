package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/xiaonanln/goverse/object"
)

// errEnded refuses waiters that were bound to an activation that is gone.
var errEnded = errors.New("the activation has ended")

// errExpired refuses waiters whose own deadline has come.
var errExpired = errors.New("expired")

// newWaiter takes a waiter for t from the pool.
func (n *Node) newWaiter(t *turn, a *activation) *waiter {
	w, _ := n.waiters.Get().(*waiter)
	w.up = t.up()
	w.mode, w.entry, w.bound, w.persists = t.mode, t.entry, t.flags.has(bound), t.isHook()
	w.chained = w.up != nil && t.chained() || t.flags.has(inner)
	w.due, w.since = t.clockIn()
	if !t.isHook() && !t.flags.has(detached) {
		w.turn = t
	}
	w.at.Store(a)
	return w
}

// recycle puts a waiter whose channel is empty back.
func (n *Node) recycle(w *waiter) {
	if w.delegated {
		w.word.Add(^(begun - 1)) // unclaimed
	}
	w.turn, w.up, w.watch, w.granted, w.activator, w.delegated, w.err = nil, nil, nil, false, false, false, nil
	n.waiters.Put(w)
}

// wait returns when the turn is admitted, or has been run by a runner. A turn that
// expires while it waits is never run.
func (n *Node) wait(t *turn, w *waiter) (ran bool, err error) {
	var done <-chan struct{}
	if w.watch == nil {
		done = t.parent.Done()
	}
	if done == nil {
		<-w.ready
	} else {
		select {
		case <-w.ready:
		case <-done:
			return n.giveUp(t, w)
		}
	}
	if w.delegated {
		err = w.err
		n.recycle(w)
		return true, err
	}
	if w.err != nil {
		err = n.refused(t, w.err)
		n.recycle(w)
		return false, err
	}
	t.admittedBy(w)
	n.recycle(w)
	if expired := t.overdue(); expired != nil {
		_ = n.giveBack(t)
		return false, n.refuseExpired(t, expired, "while it waited for the object")
	}
	return false, nil
}

// admittedBy gives the turn what its waiter was granted.
func (t *turn) admittedBy(w *waiter) {
	t.act = w.at.Load()
	if w.activator {
		t.flags |= activates
	} else {
		t.flags &^= activates
	}
}

// overdue reports that the turn may not begin any more.
func (t *turn) overdue() error {
	if err := t.parent.Err(); err != nil {
		return err
	}
	if d := t.due(); d > 0 && t.node().elapsed() >= d {
		return context.DeadlineExceeded
	}
	return nil
}

// refused makes what a waiter was refused with the error of its turn.
func (n *Node) refused(t *turn, err error) error {
	if errors.Is(err, errExpired) {
		return n.refuseExpired(t, context.DeadlineExceeded, "while it waited for the object")
	}
	if errors.Is(err, errLeft) {
		return n.refuseExpired(t, t.parent.Err(), "while it waited for the object, among many")
	}
	if e, ok := err.(*object.Error); ok { //nolint:errorlint // as granted, never wrapped
		return at(e, t)
	}
	return err
}

// giveUp takes the waiter of a turn whose context has ended out of its queue. What it
// was granted at the same moment it gives back; for a turn that a runner has begun it
// waits.
func (n *Node) giveUp(t *turn, w *waiter) (ran bool, err error) {
	ahead, granted := w.leaveQueue()
	if granted {
		<-w.ready
	}
	if w.delegated {
		err = w.err
		n.recycle(w)
		return true, err
	}
	if granted && w.err == nil {
		t.admittedBy(w)
		_ = n.giveBack(t)
	}
	n.recycle(w)
	return false, n.refuseExpired(t, t.parent.Err(), fmt.Sprintf("while it waited for the object, behind %d others", ahead))
}

// manyAhead is where counting those ahead of a call that gives up ends: ten thousand
// that give up at once must not count each other.
const manyAhead = 100

// leaveQueue takes the waiter out of its queue unless it has been granted.
func (w *waiter) leaveQueue() (ahead int, granted bool) {
	for {
		a := w.at.Load()
		a.lock()
		if w.at.Load() != a {
			a.unlock()
			continue
		}
		defer a.unlock()
		word := w.word.Load()
		switch word & wordState {
		case begun:
			return 0, true
		case claimed:
			ahead = a.queue.batch.ahead(w)
			return ahead, !w.word.CompareAndSwap(word, word-claimed)
		}
		if w.granted {
			return 0, true
		}
		for range a.queue.batch.waiting {
			ahead++
		}
		for x := w.prev; x != nil && ahead < manyAhead; x = x.prev {
			ahead++
		}
		a.queue.remove(w)
		a.admitNext() // one that ends the activation may have blocked others
		return ahead, false
	}
}

// giveBack returns an admission that is not used.
func (n *Node) giveBack(t *turn) error {
	if t.flags.has(activates) {
		n.retire(t.act, n.carryOn)
	} else {
		next, _ := n.leave(t, false, false)
		n.startRunner(next)
	}
	return errEnded
}

// refuseExpired is the error of a call that ended before it ran.
func (n *Node) refuseExpired(t *turn, cause error, when string) error {
	code := object.CodeOf(cause)
	switch {
	case n.killed.Err() != nil:
		return t.refuse(object.CodeUnavailable, "", stopMessage)
	case code != object.CodeDeadlineExceeded && t.fenceFell():
		return t.fenced()
	}
	if code == object.CodeUnknown {
		code = object.CodeCanceled
	}
	what := "cancelled"
	if code == object.CodeDeadlineExceeded {
		what = "deadline exceeded"
	}
	return t.refuse(code, "", "the call was not run: "+what+" "+when)
}
