package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// relation is what a call's chain has to do with the object it calls.
type relation uint8

const (
	unrelated relation = iota // the chain does not run there
	beside                    // only concurrent turns of the chain run there: queue, but not behind the end they hold up
	through                   // the chain's turn lets this one run beside it: do not queue
	within                    // re-entrant: run inside the chain's turn
	against                   // it would wait for itself
)

// relate looks for the target among the turns of the call's chain. Nobody waits for
// what a turn that has ended left behind: the chain begins after it.
func (t *turn) relate(a *activation) (relation, *turn) {
	rel, holder := unrelated, (*turn)(nil)
	for f := t.up(); f != nil && !f.ended.Load(); f = f.waiting() {
		if f.act != a {
			continue
		}
		if f.mode == object.Concurrent && t.mode != alone {
			if rel == unrelated {
				rel, holder = beside, f
			}
			continue
		}
		return t.relateTo(f), f
	}
	return rel, holder
}

// waiting returns the turn that waits for t; nil where its caller has left it.
func (t *turn) waiting() *turn {
	if r := t.rare.Load(); r != nil && (r.left.Load() || r.via != nil && r.via.over.Load()) {
		return nil
	}
	return t.up()
}

// awaitedBy reports whether holder waits for t, which has not begun, still.
func (t *turn) awaitedBy(holder *turn) bool {
	for f := t.waiting(); f != nil && !f.ended.Load(); f = f.waiting() {
		if f == holder {
			return true
		}
	}
	return false
}

// clears reports whether the turn is the end of the activation as part of that of its
// shard or node: it concerns this activation, whatever has become of it.
func (t *turn) clears() bool { return t.is(stop) }

// relateTo says how a call gets past one turn of its own chain that holds the target.
func (t *turn) relateTo(f *turn) relation {
	switch {
	case f.isHook() || t.mode == alone || t.isHook():
		return against // hooks and the object's end admit nobody
	case t.mode == object.Concurrent, t.mode == object.ReadOnly && f.mode == object.ReadOnly:
		return through
	case f.act.typ.Reentrant && f.mode == object.Sequential:
		return within
	}
	return against
}

// enter asks the activation to admit the turn: ok with a nil waiter to run now, ok
// with a waiter to wait for it, not ok to look again.
func (n *Node) enter(t *turn, a *activation) (w *waiter, ok bool, err error) {
	rel, holder := unrelated, (*turn)(nil)
	if t.flags.has(linked) {
		rel, holder = t.relate(a)
	}
	switch rel {
	case against:
		if t.is(onCreate) {
			return nil, false, t.exists()
		}
		return nil, false, t.deadlock(holder)
	case within:
		ok, err = n.enterWithin(t, holder)
		return nil, ok, err
	case unrelated, beside, through:
	}
	if rel == unrelated && (a.enterFast(t.mode) || a.enterSoon(t.mode)) {
		t.act = a
		return nil, true, nil
	}
	a.lock()
	defer a.unlock()
	if t.is(onCreate) && a.phase == live {
		return nil, false, t.exists() // there is nothing to wait for
	}
	if a.lost.Load() && !t.clears() {
		return nil, false, nil
	}
	if n.suspended() && t.mode != alone {
		return nil, false, t.fenced()
	}
	if rel == through {
		if holder.ended.Load() { // it has given its admission back, or is about to
			return nil, false, nil
		}
		a.take(t.mode)
		t.act = a
		return nil, true, nil
	}
	behind := a.mustQueueBehind(t.mode, rel == beside)
	if up := t.up(); t.mode == object.Concurrent && up != nil && !up.ended.Load() {
		behind = false // the end may wait, crosswise, for a turn of this call's chain
	}
	switch a.ask(t.mode, behind) {
	case admitted:
		t.act = a
		return nil, true, nil
	case activator:
		t.act = a
		t.flags |= activates
		return nil, true, nil
	case gone:
		return nil, false, nil
	case mustWait:
	}
	w, err = n.queue(t, a, rel == beside)
	return w, err == nil, err
}

// endingMessage refuses a call that would hold up the end of its object's activation
// and wait for it.
const endingMessage = "the object is ending and waits for a turn of this call chain"

// queue lets the turn wait. The activation's lock is held.
func (n *Node) queue(t *turn, a *activation, privileged bool) (*waiter, error) {
	if privileged && a.phase == closing {
		return nil, t.refuse(object.CodeUnavailable, "", endingMessage)
	}
	if limit := a.typ.MailboxLimit; limit > 0 && a.queue.isFullFor(t, limit) {
		return nil, n.overloaded(t, a, limit)
	}
	if n.killed.Err() != nil && !t.clears() {
		return nil, t.refuse(object.CodeUnavailable, "", stopMessage)
	}
	w := n.newWaiter(t, a)
	n.enqueue(a, w, privileged)
	w.watch = a.watchFor(t)
	return w, nil
}

// The bounds of the advice when to try a call again that found too many others.
const (
	leastRetry = 10 * time.Millisecond
	mostRetry  = 10 * time.Second
)

// overloaded is the error of a turn that finds as many waiting as may. When to try again
// is how long the first of them has waited: so long takes the whole queue, at the pace
// that the object has. The activation's lock is held.
func (n *Node) overloaded(t *turn, a *activation, limit int) error {
	what := "calls"
	if t.mode == alone {
		what = "deletions or deactivations"
	}
	err := t.refuse(object.CodeResourceExhausted, object.Overloaded,
		fmt.Sprintf("%d %s wait for the object already, its mailbox limit", limit, what))
	err.RetryAfter = min(max(n.elapsed()-a.queue.since(), leastRetry), mostRetry)
	n.tellOverload(t, err.Message)
	return err
}

// refusePrivileged refuses the waiters whose own chain holds up the end that the
// activation is about to come to.
func (a *activation) refusePrivileged() {
	for w := a.queue.first(); w != nil; {
		next := w.next
		if w.privileged {
			a.queue.remove(w)
			w.grant(&object.Error{Code: object.CodeUnavailable, Message: endingMessage})
		}
		w = next
	}
}

// errOccupied tells that the place of a re-entrant turn has to be waited for, which who
// brings calls from another node must not.
var errOccupied = errors.New("another call of the chain is inside the object")

// enterWithin admits a re-entrant turn: it runs inside the holder's, one at a time.
// Not ok means that the holder has ended meanwhile: look again.
func (n *Node) enterWithin(t, holder *turn) (ok bool, err error) {
	inside := holder.inside()
	select {
	case inside <- struct{}{}:
	default:
		if a := t.arrival(); a != nil && a.brisk {
			return false, errOccupied
		}
		select {
		case inside <- struct{}{}:
		case <-t.Done():
			return false, n.refuseExpired(t, t.Err(), "while another call of its chain was inside the object")
		}
	}
	switch {
	case n.suspended():
		<-inside
		return false, t.fenced()
	case holder.ended.Load():
		<-inside
		return false, nil
	case !t.awaitedBy(holder):
		<-inside
		t.unlink() // it is a call like others now
		return false, nil
	}
	t.act = holder.act
	t.flags |= nested
	t.extra().within = holder
	return true, nil
}

// waitInside returns when no re-entrant turn runs inside this one, which has ended:
// none enters any more. Usually they are over, as their callers waited for them.
func (t *turn) waitInside() {
	if r := t.rare.Load(); r != nil {
		if in := r.inside.Load(); in != nil { // who makes it later sees that the turn has ended
			in.taken <- struct{}{}
			<-in.taken
		}
	}
}

// leaveWithin lets the next re-entrant turn in.
func (t *turn) leaveWithin() { <-t.extra().within.inside() }

// inside is what the one turn holds that runs inside another.
type inside struct{ taken chan struct{} } // capacity 1

// inside is where the turns that run inside this one take turns.
func (t *turn) inside() chan struct{} {
	r := t.extra()
	if in := r.inside.Load(); in != nil {
		return in.taken
	}
	r.inside.CompareAndSwap(nil, &inside{make(chan struct{}, 1)})
	return r.inside.Load().taken
}

// deadlock is the error of a call that would wait for itself. It names the cycle.
func (t *turn) deadlock(holder *turn) error {
	path := []string{t.name()}
	for f := t; f != holder && f.up() != nil; f = f.up() {
		for _, step := range slices.Backward(f.stepsBetween()) {
			path = append(path, step.ID+"."+step.Method)
		}
		path = append(path, f.up().name())
	}
	slices.Reverse(path)
	text := "the call would wait for itself: " + strings.Join(path, " → ")
	t.node().tell(t, "deadlock", "warning", text, "")
	return t.refuse(object.CodeFailedPrecondition, object.Deadlock, text)
}
