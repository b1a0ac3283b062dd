package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// ErrElsewhere refuses a call of an object whose shard the node does not own. It is
// always this value, which names no call: who passes calls on to other nodes gets it for
// each of them.
var ErrElsewhere error = object.Refuse(object.CodeUnavailable, "", "", "", "", movingMessage)

// Call runs a method of an object and returns its reply, which the caller owns. A
// nil request is the method's empty message. The turn runs on the calling goroutine
// where the object is idle and the method not detached.
func (n *Node) Call(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	return n.call(ctx, id, &wanted{name: method}, req, opts)
}

// Invoke is [Node.Call] with a method expression: an object of another type than the
// method's refuses.
func (n *Node) Invoke(ctx context.Context, id string, method object.Expr, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	return n.call(ctx, id, &wanted{expr: method}, req, opts)
}

func (n *Node) call(ctx context.Context, id string, method *wanted, req proto.Message, opts []object.CallOption) (proto.Message, error) {
	if len(opts) > 0 {
		return n.callWith(ctx, id, method, req, object.Resolve(opts))
	}
	if !n.owned.hasAll() && !n.owned.has(n.ShardOf(id)) {
		if err := n.elsewhere(id, method); err != nil {
			return nil, err
		}
	}
	t := &turn{parent: ctx, msg: req}
	if err := n.serve(t, id, method); err != nil {
		return nil, err
	}
	return t.msg, nil
}

// callWith is call with options.
func (n *Node) callWith(ctx context.Context, id string, method *wanted, req proto.Message, s object.CallSettings) (proto.Message, error) {
	if !s.OneWay && !n.owned.hasAll() && !n.owned.has(n.ShardOf(id)) {
		if err := n.elsewhere(id, method); err != nil {
			return nil, err
		}
	}
	t := &turn{parent: ctx, msg: req}
	t.setMetadata(s.Metadata)
	t.setKey(s.Key)
	if s.OneWay {
		return nil, n.sendOneWay(t, id, method, s)
	}
	if err := n.serve(t, id, method); err != nil {
		return nil, err
	}
	return t.msg, nil
}

// elsewhere refuses a call of an object whose shard is another node's; a client's object
// is in none.
func (n *Node) elsewhere(id string, method *wanted) error {
	typ, err := n.typeOf("call", id)
	if err != nil {
		return n.turnedAway(err)
	}
	if typ.Client || n.closed.Load() != 0 { // which is told in other words
		return nil
	}
	if _, err := method.of(typ, id); err != nil {
		return n.turnedAway(err)
	}
	return ErrElsewhere
}

// Elsewhere is what is known of a call whose object's shard is another node's.
type Elsewhere struct {
	Type   *object.Type
	Method *object.MethodInfo
	Shard  uint32
}

// Elsewhere reports whether [Node.Call] or [Node.Invoke], without options, would refuse a call
// with [ErrElsewhere], which costs a caller who passes calls on less than to call. expr counts
// if it is a method's.
func (n *Node) Elsewhere(id, method string, expr object.Expr) (e Elsewhere, ok bool) {
	if n.owned.hasAll() {
		return e, false
	}
	if e.Shard = n.ShardOf(id); n.owned.has(e.Shard) || n.closed.Load() != 0 {
		return e, false
	}
	var err error
	if e.Type, err = n.typeOf("call", id); err != nil || e.Type.Client {
		return e, false
	}
	e.Method, err = (&wanted{name: method, expr: expr}).of(e.Type, id)
	return e, err == nil
}

// serve runs a turn from its arrival to its effects.
func (n *Node) serve(t *turn, id string, method *wanted) error {
	w, err := n.arrive(t, id, method)
	if err != nil {
		return err
	}
	return n.see(t, w)
}

// see brings a turn that has its place to its end, or until its caller leaves it.
func (n *Node) see(t *turn, w *waiter) error {
	if w == nil && t.flags&(detached|activates) == 0 { // as most do
		return n.runNow(t)
	}
	if t.flags.has(detached) && !t.flags.has(nested) { // inside another turn it would run beside it
		return n.serveDetached(t, w)
	}
	return n.carryOut(t, w)
}

// carryOut brings a turn from its place to its end: it waits where it must,
// activates the object where it is the first, and lets its effects leave.
func (n *Node) carryOut(t *turn, w *waiter) error {
	ran := false
	if w != nil {
		var err error
		if ran, err = n.wait(t, w); err != nil {
			t.fail(err)
			return err
		}
	}
	if !ran {
		if err := n.perform(t); err != nil {
			t.fail(err)
			return err
		}
	}
	return nil
}

// perform runs an admitted turn on this goroutine.
func (n *Node) perform(t *turn) error {
	if t.flags.has(activates) {
		if err := n.activate(t); err != nil {
			return err
		}
	}
	if t.flags.has(detached) && !t.extra().claimed.CompareAndSwap(false, true) {
		return n.giveBack(t) // the caller has left
	}
	return n.runNow(t)
}

// runNow runs a turn whose object is there.
func (n *Node) runNow(t *turn) error {
	var r result
	n.execute(t, &r, false)
	return r.err
}

// arrive checks a call and gives it its place: admitted (a nil waiter and t.act
// set), or queued.
func (n *Node) arrive(t *turn, id string, method *wanted) (*waiter, error) {
	to, m, err := n.resolve(t, id, nil, method)
	if err != nil {
		return nil, n.turnedAway(err)
	}
	return n.settleIn(t, to, m)
}

// settleIn is arrive for a call whose object and method are known.
func (n *Node) settleIn(t *turn, a target, m *object.MethodInfo) (*waiter, error) {
	t.runs(m)
	if err := n.inherit(t, m.CallTimeout); err != nil {
		return nil, n.turnedAway(err)
	}
	if err := n.prepare(t, a.typ, m); err != nil {
		return nil, n.turnedAway(err)
	}
	if n.door.opensTo(t) { // look, but without a call of it
		n.lookIn(t)
	}
	if a.activation != nil && !t.flags.has(linked) && a.enterFast(t.mode) {
		return nil, nil // as most calls do
	}
	if t.flags&(visiting|linked) == visiting { // which was not looked at: who is over takes nobody's place in a queue
		if err := t.parentErr(); err != nil {
			err = n.refuseExpired(t, err, "before it began")
			t.fail(err)
			return nil, err
		}
	}
	return n.seat(t, a.activation, a.typ)
}

// seat is place for a turn that has to end where it finds none: its context must not
// stay linked to the node.
func (n *Node) seat(t *turn, a *activation, typ *object.Type) (*waiter, error) {
	w, err := n.place(t, a, typ)
	if err != nil && err != errOccupied { //nolint:errorlint // internal, never wrapped
		t.fail(err)
	}
	return w, err
}

// fail ends a turn that failed, whether it ran or not.
func (t *turn) fail(err error) {
	if !t.ended.Load() { // else it has run, and told so then
		t.node().failed(t, err, false)
	}
	t.finish()
	if t.watched() {
		t.seen(err)
	}
}

// target is what an ID leads to: a type, and an activation if there is one.
type target struct {
	*activation

	typ *object.Type
}

// wanted is a method as the caller names it.
type wanted struct {
	name string
	expr object.Expr // of a typed call, instead of the name
}

// resolve finds the object and the method of a call. It puts nothing into memory. The object's activation
// may have been seen a moment ago: whether it still is there shows where the turn enters it.
func (n *Node) resolve(t *turn, id string, seen *activation, method *wanted) (target, *object.MethodInfo, error) {
	a := seen
	if a == nil || a.id != id {
		a = n.objects.find(id)
	}
	if a != nil {
		t.act = a
		m, err := method.of(a.typ, id)
		return target{a, a.typ}, m, err
	}
	typ, err := n.typeOf("call", id)
	if err != nil {
		return target{}, nil, err
	}
	t.act = n.newActivation(id, typ)
	m, err := method.of(typ, id)
	return target{nil, typ}, m, err
}

// target gives a turn its object, and returns the object's activation if there is one.
func (n *Node) target(t *turn, id string, typ *object.Type) (found *activation) {
	if found = n.objects.find(id); found != nil {
		t.act = found
	} else {
		t.act = n.newActivation(id, typ)
	}
	return found
}

// newActivation returns one that is not in memory yet.
func (n *Node) newActivation(id string, typ *object.Type) *activation {
	return &activation{id: strings.Clone(id), typ: typ, shard: n.shardOf(id)}
}

func (n *Node) typeOf(op, id string) (*object.Type, error) {
	name, _, err := object.ParseID(id)
	if err != nil {
		return nil, object.FromError(err)
	}
	typ := n.cfg.Registry.Lookup(name)
	if typ == nil {
		return nil, object.Refuse(object.CodeNotFound, object.NotRegistered, op, id, "", "no type "+name+" is registered")
	}
	return typ, nil
}

func (w *wanted) of(typ *object.Type, id string) (*object.MethodInfo, error) {
	var m *object.MethodInfo
	if w.expr.IsZero() {
		m = typ.Method(w.name)
	} else {
		m = typ.MethodOf(w.expr)
	}
	if m == nil {
		return nil, w.unknown(typ, id)
	}
	return m, nil
}

// unknown is the error of a call of a method that the type has not.
func (w *wanted) unknown(typ *object.Type, id string) error {
	name := w.name
	if !w.expr.IsZero() {
		name = w.expr.Name()
		if owner := w.expr.Owner(); owner != typ.GoType() {
			return object.Refuse(object.CodeInvalidArgument, "", "call", id, name,
				fmt.Sprintf("the method is of %s, the object is a %s", owner, typ.GoType()))
		}
	}
	msg := fmt.Sprintf("type %s has no method %q; it has %s", typ.Name, name, strings.Join(typ.MethodNames(), ", "))
	if object.IsHookName(name) {
		msg = name + " is a hook of the runtime, not a method"
	}
	return object.Refuse(object.CodeUnimplemented, object.UnknownMethod, "call", id, "", msg)
}

// inherit takes over what flows along the call chain, and refuses a call that is
// over before it began. One from another node, or of a client, has no caller here, and where it ran into nobody
// of its own chain it is looked at when it begins, see giveUpLate, or before it waits, see settleIn: once is enough.
func (n *Node) inherit(t *turn, timeout time.Duration) error {
	if t.flags&(visiting|linked) == 0 {
		if err := n.follows(t); err != nil {
			return err
		}
	}
	if t.flags&(visiting|linked) != visiting {
		if err := t.parentErr(); err != nil {
			return n.refuseExpired(t, err, "before it began")
		}
	}
	if why := n.closed.Load(); why != 0 {
		if err := n.refuseClosed(t, why); err != nil {
			return err
		}
	}
	t.limit(timeout)
	return nil
}

// follows makes a call that a turn makes part of its chain.
func (n *Node) follows(t *turn) error {
	up := n.callerTurn(t.parent)
	if up == nil {
		return nil
	}
	t.setMetadata(object.MergeMetadata(up.Metadata(), t.Metadata()))
	if !up.ended.Load() { // what a turn left behind is no part of its chain
		t.link(up)
	}
	if t.depth() >= maxDepth {
		return t.refuse(object.CodeFailedPrecondition, "", tooDeep)
	}
	return nil
}

// prepare checks the request and takes a copy that belongs to the object.
func (n *Node) prepare(t *turn, typ *object.Type, m *object.MethodInfo) error {
	switch {
	case t.msg == nil:
		t.msg = m.NewRequest()
	case !m.Accepts(t.msg):
		return t.refuse(object.CodeInvalidArgument, "", fmt.Sprintf("the request is a %T, the method takes %s", t.msg, m.RequestName()))
	case m.IsNil(t.msg):
		t.msg = m.NewRequest()
	case t.flags.has(owned) || typ.Share: // nobody else has it, or nobody changes it
	default:
		t.msg = m.CloneRequest(t.msg)
	}
	return nil
}

// place finds the call's place at its object, looking again where the activation
// ended meanwhile. Where a is nil, t.act is the activation to put into memory.
func (n *Node) place(t *turn, a *activation, typ *object.Type) (*waiter, error) {
	made := t.act
	for {
		if a == nil {
			var err error
			if a, err = n.put(t, made); err != nil {
				return nil, err
			}
		}
		w, ok, err := n.enter(t, a)
		if ok || err != nil {
			return w, err
		}
		if a = n.objects.find(t.id()); a == nil {
			made = n.newActivation(t.id(), typ)
		}
	}
}

// put puts an activation into memory and returns it, or the one that is there. Client
// objects come with their connection and never by a call.
func (n *Node) put(t *turn, made *activation) (*activation, error) {
	id, typ := made.id, made.typ
	if typ.Client {
		return nil, clientGone("call", id, "")
	}
	now := n.coarse.Load()
	made.use(now)
	a, _ := n.add(t, made, now+int64(n.idleTimeout(typ)))
	if a == nil {
		if n.stopping() {
			return nil, stopping("call", id, "")
		}
		return nil, object.Refuse(object.CodeUnavailable, "", "call", id, "", movingMessage)
	}
	return a, nil
}
