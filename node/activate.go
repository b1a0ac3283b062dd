package node

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// activate runs the hooks of an activation for its first turn and turns the
// admission into the turn's own.
func (n *Node) activate(t *turn) error {
	a := t.act
	t.due() // the call's time begins before that of the hook
	if err := n.bringUp(a, nil, func() *object.Error { return n.runOnActivate(a, t) }); err != nil {
		if n.suspended() || !object.FromHook(err) {
			return t.fenced() // not what the object says, but that it could not
		}
		return at(err, t)
	}
	t.flags &^= activates
	if a.lost.Load() {
		n.becomeLive(a, nil)
		return t.refuse(object.CodeUnavailable, "", movingMessage)
	}
	if err := t.Err(); err != nil { // it has waited, and is not run after its end
		n.becomeLive(a, nil)
		return n.refuseExpired(t, err, "while its object was activated")
	}
	n.becomeLive(a, &t.mode)
	return nil
}

// becomeLive opens a new activation: for a turn of the given mode first, if there
// is one, then for the waiters.
func (n *Node) becomeLive(a *activation, mode *object.Mode) {
	a.use(n.coarse.Load()) // its hooks may have taken longer than its idle time
	a.lock()
	defer a.unlock()
	a.phase, a.writer = live, false
	if mode != nil {
		a.take(*mode)
	}
	if a.lost.Load() { // its shard went while it came up
		n.endLost(a)
		return
	}
	a.admitNext()
}

// bringUp makes the object and runs its first hooks. Nobody else is in the activation,
// which is abandoned where a hook fails or ends its goroutine. What create, which may be nil,
// fails with concerns nobody but the caller; what first fails with concerns all that wait.
func (n *Node) bringUp(a *activation, create, first func() *object.Error) (failure *object.Error) {
	returned, ofAll := false, create == nil
	defer func() {
		if !returned {
			failure = object.Refuse(object.CodeInternal, "", "activate", a.id, "", "the goroutine of a hook exited; see the server's log").OfHook()
		}
		if failure != nil {
			n.abandon(a, failure, ofAll)
		}
	}()
	a.obj = a.typ.New()
	object.Bind(a.obj, (*host)(a))
	was := a.shard.keptOf(a.id)
	if failure = n.restore(a, was); failure == nil && create != nil {
		failure = create()
	}
	if failure == nil {
		ofAll = true
		failure = first()
	}
	if failure == nil {
		a.shard.used(was)
	}
	returned = true
	return failure
}

func (n *Node) runOnCreate(a *activation, cause *turn, init proto.Message) *object.Error {
	if !a.typ.Hooks.Create {
		return nil
	}
	creator, _ := a.obj.(object.Creator)
	return n.runHook(a, cause, onCreate, func(ctx context.Context) error { return creator.OnCreate(ctx, init) })
}

func (n *Node) runOnActivate(a *activation, cause *turn) *object.Error {
	if !a.typ.Hooks.Activate {
		return nil
	}
	activator, _ := a.obj.(object.Activator)
	return n.runHook(a, cause, onActivate, activator.OnActivate)
}

// abandon ends an activation whose hooks failed: where that is of all, the calls that waited
// for it fail with its error. Creations and deletions try again, and so do all where it is
// not, or was only cut short.
func (n *Node) abandon(a *activation, failure *object.Error, ofAll bool) {
	n.retire(a, func(w *waiter) error {
		switch {
		case w.persists && a.pinned:
			return clientGone("call", a.id, "")
		case w.persists, !ofAll, !object.FromHook(failure):
			return n.carryOn(w)
		}
		return failure
	})
}

// runHook runs a hook as a turn that excludes all others. Its context ends with the
// type's call timeout or the node, not with the call that caused it, but it belongs to
// that call's chain and trace. Its error says that the call which caused it did not run, and that a
// hook failed, unless the node's suspension cut it short.
func (n *Node) runHook(a *activation, cause *turn, h hook, f func(context.Context) error) (failure *object.Error) {
	t := &turn{parent: n.killed, act: a, entry: entry(h), flags: inner}
	began := n.era.Load().ctx
	if cause != nil {
		t.parent = traced(n.killed, cause)
		t.join(cause)
	}
	t.limit(a.typ.CallTimeout)
	n.look(t)
	l := n.begins(t)
	returned := false
	defer func() {
		if !returned {
			failure = n.crashed(t, recover())
		}
		t.finish()
		if failure != nil {
			failure = failure.WithExecuted(object.ExecutedNo)
			if failure.Reason != object.Fenced || began.Err() == nil {
				failure = failure.OfHook()
			}
		}
		if t.watched() {
			t.seen(asError(failure))
		}
		if l != nil && !l.underway.leave(t) {
			l.ran(t, asError(failure))
		}
	}()
	if err := f(t); err != nil {
		failure = n.appError(t, err) // may panic in the error's own methods
	}
	returned = true
	if failure == nil {
		n.release(t)
	}
	return failure
}

// ending says why an activation ends.
type ending struct {
	reason     object.DeactivateReason
	disconnect object.DisconnectReason // for a client object
}

// end runs the last hook of an activation that admits nobody any more, and takes
// it out of memory.
func (n *Node) end(a *activation, cause *turn, why ending) {
	defer n.letGo(a, why) // also where the hook ends its goroutine
	var failure *object.Error
	switch {
	case a.obj == nil:
	case a.pinned && a.typ.Hooks.Disconnect:
		d, _ := a.obj.(object.Disconnector)
		failure = n.runHook(a, cause, onDisconnect, func(ctx context.Context) error { d.OnDisconnect(ctx, why.disconnect); return nil })
	case a.typ.Hooks.Deactivate:
		d, _ := a.obj.(object.Deactivator)
		failure = n.runHook(a, cause, onDeactivate, func(ctx context.Context) error { return d.OnDeactivate(ctx, why.reason) })
	}
	if failure != nil {
		n.cfg.Logger.Error("hook at the end of an activation failed", "object", a.id, "reason", why.reason.String(), "error", failure.Error())
	}
}

func (n *Node) letGo(a *activation, why ending) {
	if !a.pinned {
		n.retire(a, n.carryOn)
		return
	}
	n.retire(a, func(*waiter) error { return clientGone("call", a.id, "") })
	if why.reason == object.ReasonFailed {
		n.cfg.ClientGone(a.id)
	}
}

// retire takes an activation out of memory.
func (n *Node) retire(a *activation, fate func(*waiter) error) {
	n.replace(a, fate).end()
}

// carryOn is the fate of waiters when an activation ends in the ordinary way: they
// go on to the next one.
func (n *Node) carryOn(w *waiter) error {
	switch {
	case w.bound:
		return errEnded
	case n.stopping() && !w.chained:
		return &object.Error{Code: object.CodeUnavailable, Message: stopMessage}
	}
	a := w.at.Load()
	s := a.shard // locked, see replace
	if a.lost.Load() || s.gate == shut || s.gate == draining && !w.up.runsIn(s) {
		return &object.Error{Code: object.CodeUnavailable, Message: movingMessage}
	}
	return nil
}
