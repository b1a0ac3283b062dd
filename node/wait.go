package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// errEnded refuses waiters that were bound to an activation that is gone.
var errEnded = errors.New("the activation has ended")

// newWaiter takes a waiter for t from the pool.
func (n *Node) newWaiter(t *turn, a *activation) *waiter {
	w, _ := n.waiters.Get().(*waiter)
	w.mode, w.bound, w.persists = t.mode, t.bound, t.method == nil
	w.chained = t.up != nil && t.chained()
	w.at.Store(a)
	return w
}

// recycle puts a waiter whose channel is empty back.
func (n *Node) recycle(w *waiter) {
	w.at.Store(nil)
	w.granted, w.activator, w.err = false, false, nil
	n.waiters.Put(w)
}

// begin brings a turn from its place to the point where it may run: it waits where
// it must and activates the object where it is the first.
func (n *Node) begin(t *turn, w *waiter) error {
	if w != nil {
		if err := n.wait(t, w); err != nil {
			return err
		}
	}
	if t.activates {
		return n.activate(t)
	}
	return nil
}

// wait returns when the turn is admitted. A turn that expires while it waits is
// never run.
func (n *Node) wait(t *turn, w *waiter) error {
	var timeout <-chan time.Time
	if t.deadline > 0 {
		timeout = n.arm(w, t.deadline-n.elapsed())
	}
	var expired error
	select {
	case <-w.ready:
		if expired = t.parent.Err(); expired == nil && t.deadline > 0 && n.elapsed() >= t.deadline {
			expired = context.DeadlineExceeded
		}
	case <-t.parent.Done():
		expired = t.parent.Err()
	case <-timeout:
		expired = context.DeadlineExceeded
	case <-n.killed.Done():
		expired = context.Cause(n.killed)
	}
	if timeout != nil {
		w.timer.Stop()
	}
	if expired != nil {
		return n.giveUp(t, w, expired)
	}
	err := w.err
	if e, ok := err.(*object.Error); ok { //nolint:errorlint // as granted, never wrapped
		err = at(e, t)
	}
	t.act, t.activates = w.at.Load(), w.activator
	n.recycle(w)
	return err
}

// arm starts the waiter's timer.
func (n *Node) arm(w *waiter, d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = n.cfg.Clock.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

// giveUp takes an expired waiter out of its queue, or gives back what it was
// granted at the same moment.
func (n *Node) giveUp(t *turn, w *waiter, expired error) error {
	ahead, granted := 0, false
	for {
		a := w.at.Load()
		a.mu.Lock()
		if w.at.Load() != a {
			a.mu.Unlock()
			continue
		}
		if granted = w.granted; !granted {
			for x := w.prev; x != nil; x = x.prev {
				ahead++
			}
			a.queue.remove(w)
			a.admitNext() // a barrier that left may have blocked others
		}
		a.mu.Unlock()
		break
	}
	if granted {
		select { // the grant may have been received already
		case <-w.ready:
		default:
		}
		if w.err == nil {
			t.act, t.activates = w.at.Load(), w.activator
			n.giveBack(t)
		}
	}
	n.recycle(w)
	return n.refuseExpired(t, expired, fmt.Sprintf("while it waited for the object, behind %d others", ahead))
}

// giveBack returns an admission that is not used.
func (n *Node) giveBack(t *turn) {
	if t.activates {
		n.retire(t.act, n.carryOn)
		return
	}
	n.leave(t, false)
}

// refuseExpired is the error of a call that ended before it ran.
func (n *Node) refuseExpired(t *turn, cause error, when string) error {
	code := object.CodeOf(cause)
	if n.killed.Err() != nil {
		return t.refuse(object.CodeUnavailable, "", stopMessage)
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
