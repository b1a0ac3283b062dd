package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// result is what comes out of a turn's execution.
type result struct {
	err  error
	next *waiter // the turn that is next, for a runner
	lens *lens   // that is to be told when the turn has run
}

// leavePlace gives back the place that the turn had with the lens; one that has lost it tells its end later.
func (r *result) leavePlace(t *turn) {
	if r.lens != nil && r.lens.underway.leave(t) {
		r.lens = nil
	}
}

// counts reports whether somebody wants to know how the turn ended.
func (r *result) counts(t *turn) bool { return r.err != nil || r.lens != nil || t.watched() }

// execute runs the method of an admitted turn and gives its admission back, however
// the method ends. A runner takes the next turn itself.
func (n *Node) execute(t *turn, r *result, isRunner bool) {
	returned, exited := false, true
	defer func() {
		if !returned {
			reason := recover()
			exited = reason == nil
			r.err = n.crashed(t, reason)
		}
		t.ended.Store(true)
		if t.rare.Load() != nil { // who makes it later sees that the turn has ended
			n.windUp(t, returned && r.err == nil)
		}
		r.leavePlace(t)
		next, lost := n.leave(t, !returned, isRunner)
		if lost {
			r.err = t.fenced().WithExecuted(object.ExecutedUnknown)
		}
		if r.counts(t) {
			t.hasRun(r)
		}
		if isRunner && (returned || !exited) {
			r.next = next
			return
		}
		n.startRunner(next)
	}()
	if n.door.stops(t) {
		r.lens = n.begins(t)
	}
	if t.flags.has(bound) && !t.extra().timer.begins() {
		returned = true // stopped while it waited
		return
	}
	if key := t.IdempotencyKey(); key == "" {
		r.err = n.invoke(t)
	} else {
		r.err = n.invokeOnce(t, key)
	}
	returned = true
}

// windUp does what is left of the rare part of a turn that has ended.
func (n *Node) windUp(t *turn, well bool) {
	t.endLifetime()
	t.waitInside()
	if t.flags.has(nested) {
		t.leaveWithin()
	}
	if well {
		n.release(t) // before the next turn, so that one object's sends keep their order
	}
}

// invoke calls the method and isolates its reply while the object cannot change.
func (n *Node) invoke(t *turn) error {
	out, err := t.method().Invoke(t, t.act.obj, t.msg)
	if err != nil {
		return n.appError(t, err)
	}
	return n.answer(t, out)
}

// answer makes out the turn's reply, apart from the object's memory.
func (n *Node) answer(t *turn, out proto.Message) error {
	if a := t.arrival(); a != nil {
		body, err := proto.MarshalOptions{}.MarshalAppend(a.body[:0], out)
		if err != nil {
			return t.refuse(object.CodeInternal, "", "encode the reply: "+err.Error()).WithExecuted(object.ExecutedYes)
		}
		a.body = body
		return nil
	}
	if !t.act.typ.Share {
		out = t.method().CloneReply(out)
	}
	t.msg = out
	return nil
}

// appError is what the caller gets for an error that the method returned. A method
// that gave up because its context ended may have done part of its work.
func (n *Node) appError(t *turn, err error) *object.Error {
	own := t.refuse(object.CodeUnknown, "", "") // what a turn or hook calls itself
	e := n.cfg.AppError(err).At(own.Op, own.ID, own.Method)
	switch {
	case t.Err() == nil:
	case errors.Is(err, context.Canceled) && t.fenceFell(), errors.Is(err, ErrSuspended):
		return t.fenced().WithExecuted(object.ExecutedUnknown)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return e.WithExecuted(object.ExecutedUnknown)
	}
	return e.WithExecuted(object.ExecutedYes)
}

// crashed is the error of a turn that panicked, or whose goroutine exited.
func (n *Node) crashed(t *turn, reason any) *object.Error {
	stack := debug.Stack()
	n.cfg.Logger.Error("turn panicked", "object", t.id(), "turn", t.name(), "panic", fmt.Sprint(reason), "stack", string(stack))
	what := t.what() + " panicked"
	if reason == nil {
		what = "the goroutine of " + t.what() + " exited"
	}
	n.tellPanic(t, what, reason, stack)
	e := t.refuse(object.CodeInternal, "", what+"; see the server's log")
	return e.WithExecuted(object.ExecutedYes)
}

// leave gives a turn's admission back and lets the next run: it wakes those that run
// by themselves, and returns the one that a runner is to run, and whether the activation
// was lost. After a panic the activation ends as soon as no turn runs on it.
func (n *Node) leave(t *turn, failed, isRunner bool) (next *waiter, lost bool) {
	a := t.act
	if !t.flags.has(bound) {
		a.use(n.coarse.Load())
	}
	if !failed && !t.flags.has(nested) && t.mode == object.Sequential && a.leaveFast() {
		return nil, false
	}
	if isRunner && !failed && !a.lost.Load() {
		if next = a.queue.batch.next(a); next != nil {
			return next, false
		}
	}
	a.lock()
	if !t.flags.has(nested) {
		a.release(t.mode)
	}
	if isRunner {
		a.endBatch()
	}
	lost = a.lost.Load()
	if (failed || lost) && a.phase == live { // the end of a lost one has been given back
		a.phase, a.failing = closing, true
		a.refusePrivileged()
	}
	last := a.failing && a.quiet()
	switch {
	case last:
		a.writer = true
	case a.queue.first() != nil:
		next = a.nextForRunner(isRunner)
		if next == nil || a.queue.free > 0 {
			a.admitNext()
		}
	}
	a.unlock()
	if last {
		why := ending{reason: object.ReasonFailed, disconnect: object.DisconnectKicked}
		if lost {
			why.reason = object.ReasonFenced
		}
		n.end(a, t, why)
	}
	return next, lost
}
