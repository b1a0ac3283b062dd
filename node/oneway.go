package node

import (
	"context"

	"github.com/xiaonanln/goverse/object"
)

// sendOneWay accepts a call nobody waits for. Within a turn it leaves when the turn
// has ended well; otherwise it takes its place at the object at once, so that one
// caller's calls keep their order.
func (n *Node) sendOneWay(t *turn, id string, method *wanted, s object.CallSettings) error {
	if up := n.callerTurn(t.parent); up != nil && !up.ended.Load() {
		return n.enlist(t, up, id, method, s)
	}
	if err := t.parent.Err(); err != nil {
		return object.Refuse(object.CodeOf(err), "", "call", id, "", "the call was not sent: its context had ended")
	}
	t.parent = traced(n.killed, t.parent)
	return n.dispatch(t, id, method, func() { n.sendElsewhere(t, id) })
}

// enlist checks a one-way call of a running turn and keeps it among its effects.
func (n *Node) enlist(t, up *turn, id string, method *wanted, s object.CallSettings) error {
	a, m, err := n.resolve(t, id, nil, method)
	if err != nil {
		return err
	}
	t.runs(m)
	if err := n.prepare(t, a.typ, m); err != nil {
		return err
	}
	x := up.extra()
	x.mu.Lock()
	defer x.mu.Unlock()
	if up.ended.Load() { // nobody would send what is added now
		t.parent = traced(n.killed, t.parent)
		t.flags |= owned
		return n.dispatch(t, id, method, func() { n.sendElsewhere(t, id) })
	}
	x.effects = append(x.effects, effect{
		id: id, method: m.Name, req: t.msg, key: s.Key, meta: object.MergeMetadata(up.Metadata(), s.Metadata), ctx: traced(n.killed, t.parent),
	})
	return nil
}

// release sends the effects of a turn that ended well: those to other nodes, and what
// follows them to the same object, on lines of their own.
func (n *Node) release(t *turn) {
	r := t.rare.Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	effects := r.effects
	r.mu.Unlock()
	if t.act.lost.Load() {
		return // what it did did not happen
	}
	for _, e := range effects {
		if n.lines.append(t, e) {
			continue
		}
		sent := &turn{parent: e.ctx, msg: e.req, flags: owned | inner}
		sent.setKey(e.key)
		sent.setMetadata(e.meta)
		sent.sentBy(t)
		elsewhere := func() { n.lines.begin(t, e) }
		err := n.dispatch(sent, e.id, &wanted{name: e.method}, elsewhere)
		switch {
		case err == nil:
		case n.isElsewhere(e.id, err):
			elsewhere()
		default:
			n.notSent(newSending(t, e), err)
		}
	}
}

func (n *Node) notSent(s sending, err error) {
	n.cfg.Logger.Warn("one-way call failed", "from", s.act.id+"."+s.what, "object", s.id, "method", s.method, "error", err.Error())
}

// isElsewhere reports whether a call was refused because its object is not on this node,
// or not for long: a client object is there only while its client is.
func (n *Node) isElsewhere(id string, err error) bool {
	if object.Executed(err) != object.ExecutedNo || object.FromHook(err) || n.stopping() {
		return false
	}
	switch object.CodeOf(err) { //nolint:exhaustive // no other code says so
	case object.CodeUnavailable:
		return true
	case object.CodeNotFound:
		typ, err := n.typeOf("call", id)
		return err == nil && typ.Client
	}
	return false
}

// sendElsewhere lets the runtime find the object of a one-way call from outside any turn
// that this node had accepted.
func (n *Node) sendElsewhere(t *turn, id string) {
	opts := []object.CallOption{object.OneWay(), object.WithIdempotencyKey(t.IdempotencyKey())}
	for k, v := range t.Metadata() {
		opts = append(opts, object.WithMetadata(k, v))
	}
	if _, err := n.cfg.Onward(t.parent, id, t.method().Name, t.msg, opts...); err != nil {
		n.cfg.Logger.Warn("one-way call failed", "object", id, "method", t.method().Name, "error", err.Error())
	}
}

// dispatch gives the turn its place at the object and runs it on a goroutine of its
// own. Where its shard moves before its turn has come, elsewhere is called.
func (n *Node) dispatch(t *turn, id string, method *wanted, elsewhere func()) error {
	w, err := n.arrive(t, id, method)
	if err != nil {
		return err
	}
	n.run(func() {
		err := n.carryOut(t, w)
		switch {
		case err == nil:
		case n.isElsewhere(id, err):
			elsewhere()
		default:
			n.cfg.Logger.Warn("one-way call failed", "object", id, "method", t.method().Name, "error", err.Error())
		}
	})
	return nil
}

// serveDetached runs a turn on a goroutine of its own, so that the call can return
// at its deadline whatever the method does.
func (n *Node) serveDetached(t *turn, w *waiter) error {
	done, claimed := make(chan error, 1), &t.extra().claimed
	left := &turn{act: t.act, entry: t.entry} // what this goroutine says of a turn that is the other's
	n.run(func() {
		err := error(nil)
		returned := false
		defer func() {
			if !returned {
				err = t.exited()
			}
			done <- err
		}()
		err = n.carryOut(t, w)
		returned = true
	})
	expired, stop := n.expiry(t)
	defer stop()
	select {
	case err := <-done:
		return err
	case <-expired.Done():
	}
	left.parent = expired
	if claimed.CompareAndSwap(false, true) {
		return n.refuseExpired(left, expired.Err(), "while it waited for the object")
	}
	t.extra().left.Store(true)
	e := left.refuse(object.CodeOf(expired.Err()), "", "the call was left while the method ran")
	switch {
	case n.killed.Err() != nil:
		e.Code = object.CodeUnavailable
	case e.Code == object.CodeCanceled && left.fenceFell():
		e = left.fenced()
	}
	return e.WithExecuted(object.ExecutedUnknown)
}

// exited is the outcome of a turn that ended its goroutine, or whose activation did.
func (t *turn) exited() error {
	err := t.refuse(object.CodeInternal, "", "the goroutine of the call exited; see the server's log")
	if t.ended.Load() {
		return err.WithExecuted(object.ExecutedYes)
	}
	return err
}

// expiry is a context that ends when a call must return: with its caller, its own
// deadline or the node.
func (n *Node) expiry(t *turn) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(t.parent)
	era := n.era.Load().ctx
	unlink := context.AfterFunc(era, func() { cancel(context.Cause(era)) })
	due := t.due()
	if due == 0 {
		return ctx, func() { unlink(); cancel(nil) }
	}
	timed, release := context.WithDeadline(ctx, n.base.Add(due))
	return timed, func() { unlink(); release(); cancel(nil) }
}
