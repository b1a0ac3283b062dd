package node

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

// turn is one call as a unit: what came in, the activation it runs on, and what
// goes out. It is also the context of the running method and a link of the call
// chain, so a call costs one allocation of the runtime. What few turns need is in
// rare: the size of this struct is what a call costs.
type turn struct {
	deadline int64           // of its own, see due; 0: the parent's, if any. Atomic once the turn is shared
	parent   context.Context // the caller's
	act      *activation     // what it runs on; before it is admitted: one of the same ID, in memory or not
	msg      proto.Message   // the request; once the method has returned the reply, isolated
	rare     atomic.Pointer[rare]
	ended    atomic.Bool
	entry    entry
	mode     object.Mode
	flags    flags
}

// entry is what a turn runs: a hook, or the method of its object's type that has the index entry - firstMethod.
type entry uint16

// flags are the yes-or-no properties of a turn. They do not change once the method runs.
type flags uint8

const (
	owned     flags = 1 << iota // the request belongs to the object already
	inner                       // part of work that began before the node drained
	bound                       // a timer's call: ends with its activation
	nested                      // runs inside rare.within
	activates                   // admitted as the first: run the activation before the turn
	detached                    // of a method whose call may return before it
	linked                      // another turn makes this call, see up
	visiting                    // from another node, which wants the reply encoded: its parent is a guest
)

func (f flags) has(which flags) bool { return f&which != 0 }

// rare is what few turns have.
type rare struct {
	outset  *outset // that it is part of; nil: none
	life    atomic.Pointer[lifetime]
	joint   atomic.Pointer[ends.Joint] // for who follows the turn's context without a lifetime
	meta    map[string]string
	key     string                 // idempotency key
	up      *turn                  // the turn that makes this call, where that is not its context
	path    []Step                 // from another node: the chain that waits for the turn
	via     *departure             // from another node: what its chain passed here before, in the step beyond
	beyond  int32                  // of path
	within  *turn                  // re-entrant: the turn of the same chain that this one runs inside of
	inside  atomic.Pointer[inside] // made when the first turn wants to run inside this one
	claimed atomic.Bool            // detached: it runs, or its caller has left
	left    atomic.Bool            // detached: it runs, and its caller has left
	timer   *timer                 // bound: the timer whose call it is
	sample  *sample                // what the lens that picked the turn knows of it; of a one-way call: whose it is
	stack   string                 // of its panic, while somebody observes; its own goroutine's

	mu      sync.Mutex
	effects []effect // guarded by mu: leave when the turn has ended well
}

// effect is a one-way call that waits for the end of its turn.
type effect struct {
	id, method string
	req        proto.Message
	key        string
	meta       map[string]string
	ctx        context.Context // of the call: the node's, with the span of whoever made it
}

// extra returns the turn's rare part, made on first use. Goroutines of one turn
// may race to it.
func (t *turn) extra() *rare {
	if r := t.rare.Load(); r != nil {
		return r
	}
	t.rare.CompareAndSwap(nil, new(rare))
	return t.rare.Load()
}

// outset is what a turn without a rare part needs to call an object on another node, in one allocation: the first such
// call takes it, and the first of who follows the turn's context.
type outset struct {
	rare   rare
	away   departure
	gone   atomic.Bool // away is taken
	joint  ends.Joint
	joined atomic.Bool // joint is taken
}

// departure returns memory for a call of the turn to another node, that nobody else has had: who looks for the turns
// that wait may know a departure for longer than it lasts.
func (t *turn) departure() *departure {
	if t.rare.Load() == nil {
		o := new(outset)
		o.rare.outset = o
		t.rare.CompareAndSwap(nil, &o.rare)
	}
	if o := t.rare.Load().outset; o != nil && o.gone.CompareAndSwap(false, true) {
		return &o.away
	}
	return new(departure)
}

// newJoint returns one that follows nothing yet.
func (r *rare) newJoint() *ends.Joint {
	if o := r.outset; o != nil && o.joined.CompareAndSwap(false, true) {
		return o.joint.Init()
	}
	return ends.NewJoint()
}

// chained reports whether the turn is part of work that this node has accepted: it
// is made by a turn that still runs here, or follows from one.
func (t *turn) chained() bool {
	if t.flags.has(inner) {
		return true
	}
	for f := t.up(); f != nil; f = f.up() {
		if !f.ended.Load() {
			return true
		}
	}
	return false
}

// IdempotencyKey implements [object.CallInfo].
func (t *turn) IdempotencyKey() string {
	if r := t.rare.Load(); r != nil {
		return r.key
	}
	return ""
}

// Metadata implements [object.CallInfo].
func (t *turn) Metadata() map[string]string {
	if r := t.rare.Load(); r != nil {
		return r.meta
	}
	return nil
}

// setMetadata gives the turn metadata; empty ones are none.
func (t *turn) setMetadata(meta map[string]string) {
	if len(meta) > 0 {
		t.extra().meta = meta
	}
}

// node is the one that the turn runs on.
func (t *turn) node() *Node {
	if t.flags.has(visiting) {
		return t.parent.(*guest).node //nolint:forcetypeassert // that is what the flag says
	}
	return t.act.shard.node
}

// up is the turn that makes this call; nil from outside.
func (t *turn) up() *turn {
	if !t.flags.has(linked) {
		return nil
	}
	if r := t.rare.Load(); r != nil && r.up != nil {
		return r.up
	}
	up, _ := t.parent.(*turn)
	return up
}

// link makes up the turn that makes this call. The turn has not begun.
func (t *turn) link(up *turn) {
	t.flags |= linked
	if direct, ok := t.parent.(*turn); !ok || direct != up {
		t.extra().up = up
	}
}

// unlink makes the turn a call from outside. It has not begun.
func (t *turn) unlink() { t.flags &^= linked }

// depth is how many turns wait for this one.
func (t *turn) depth() (n int) {
	for f := t; ; n++ {
		if path := f.path(); path != nil {
			return n + len(path)
		}
		up := f.up()
		if up == nil {
			return n
		}
		f = up
	}
}

// entryOf is a method's.
func entryOf(m *object.MethodInfo) entry {
	return entry(m.Index()) + firstMethod //nolint:gosec // G115: a type has fewer methods
}

// runs makes the turn a call of a method of its object.
func (t *turn) runs(m *object.MethodInfo) {
	t.entry, t.mode = entryOf(m), m.Mode
	if m.Detached {
		t.flags |= detached
	}
}

// method is what the turn runs; nil for a hook.
func (t *turn) method() *object.MethodInfo {
	if t.entry < firstMethod {
		return nil
	}
	return t.act.typ.MethodAt(int(t.entry - firstMethod))
}

// isHook reports whether the turn is no call of a method.
func (t *turn) isHook() bool { return t.entry < firstMethod }

// is reports whether the turn is that of a hook.
func (t *turn) is(h hook) bool { return t.entry == entry(h) }

// id is the object's.
func (t *turn) id() string { return t.act.id }

// name is "ChatRoom-General.Join".
func (t *turn) name() string { return t.id() + "." + t.what() }

func (t *turn) what() string {
	if t.isHook() {
		return hook(t.entry).String()
	}
	return t.method().Name
}

// refuse is the error of a turn that did not run.
func (t *turn) refuse(code object.Code, reason object.Reason, message string) *object.Error {
	op, method := "call", ""
	if t.isHook() {
		op = hook(t.entry).op()
	} else {
		method = t.method().Name
	}
	return object.Refuse(code, reason, op, t.id(), method, message)
}

// hook is a turn that is no call of a method.
type hook entry

const (
	onCreate hook = iota
	onActivate
	onDeactivate
	onConnect
	onDisconnect
	deletion
	stop
	onSnapshot
	onRestore
	hooks // how many there are
)

// firstMethod is the entry of a type's first method.
const firstMethod = entry(hooks)

// String is the name that call chains show.
func (h hook) String() string {
	return [...]string{"OnCreate", "OnActivate", "OnDeactivate", "OnConnect", "OnDisconnect", "Delete", "Stop", "OnSnapshot", "OnRestore"}[h]
}

// op is the operation that errors name.
func (h hook) op() string {
	return [...]string{"create", "activate", "deactivate", "connect", "disconnect", "delete", "stop", "snapshot", "restore"}[h]
}

// at makes err, which concerns all that waited for an object, the error of one turn.
func at(err *object.Error, t *turn) *object.Error {
	own := t.refuse(err.Code, err.Reason, err.Message)
	return err.At(own.Op, own.ID, own.Method).WithExecuted(object.ExecutedNo)
}

// setKey gives the turn an idempotency key; the empty one is none.
func (t *turn) setKey(key string) {
	if key != "" {
		t.extra().key = key
	}
}
