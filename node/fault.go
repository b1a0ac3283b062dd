package node

import (
	"errors"
	"maps"
	"sync/atomic"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// codes is how many codes of errors there are; what has another counts as unknown.
const codes = int(object.CodeUnauthenticated) + 1

// errorCounts counts the calls that failed, by code. It costs nothing where none does.
type errorCounts [codes]atomic.Uint64

func (o *errorCounts) add(code object.Code) {
	if int(code) >= codes {
		code = object.CodeUnknown
	}
	o[code].Add(1)
}

// CallErrors returns how many calls have failed on the node since it was made, by code; none where it
// is zero. One that was refused because its object is elsewhere, or moves, is none, as it goes on there;
// nor is one of a client's object that is not here.
// Calls from this node that got no answer, or whose client is gone, count here, see [Node.Unanswered].
func (n *Node) CallErrors() map[object.Code]uint64 {
	counts := make(map[object.Code]uint64)
	for code := range n.failures {
		if of := n.failures[code].Load(); of > 0 {
			counts[object.Code(code)] = of
		}
	}
	return counts
}

// goesOn reports whether a call that did not run here is one of an object that is elsewhere, or moves,
// by what refused it: it goes on there. What is no client's object of this node may be one of another.
func goesOn(err error, client bool) bool {
	return !object.FromHook(err) && (errors.Is(err, object.ErrUnavailable) || client && errors.Is(err, object.ErrNotFound))
}

// turnedAway counts the error of a call that was refused before it came to an object, and returns it.
func (n *Node) turnedAway(err error) error {
	if !goesOn(err, false) {
		n.failures.add(object.CodeOf(err))
	}
	return err
}

// failed notes that a turn has ended with an error. It is called once for each.
func (n *Node) failed(t *turn, err error, ran bool) {
	if t.isHook() {
		return // told by the call that caused it
	}
	if err == errEnded { //nolint:errorlint // internal, never wrapped
		if t.flags.has(bound) {
			return // a timer has ended with its object
		}
		if err = t.overdue(); err == nil { // its caller has left before it ran
			err = object.ErrCanceled
		}
	}
	if !ran && goesOn(err, t.act.typ.Client) {
		return
	}
	n.failures.add(object.CodeOf(err))
	if l := n.lens.Load(); l != nil {
		l.failed(t, err)
	}
}

// fault is what is known of a method's turns that failed. All turns that do pass here, whether they
// were picked or not: so nothing of it is guarded by the lens's mutex.
type fault struct {
	count   atomic.Uint64
	last    atomic.Pointer[failure]
	crashed atomic.Pointer[failure] // the last panic
}

// failure is an error, and the stack where it was a panic.
type failure struct {
	err   error
	stack string
}

// seenFault is what an observation has told of a fault.
type seenFault struct {
	count         uint64
	last, crashed *failure
}

// faults are those of all methods that had any. The map is never changed: a greater one takes its
// place, as often as there are methods.
type faults struct {
	byMethod atomic.Pointer[map[methodKey]*fault]
}

func (f *faults) all() map[methodKey]*fault {
	if m := f.byMethod.Load(); m != nil {
		return *m
	}
	return nil
}

func (f *faults) of(key methodKey) *fault {
	for {
		old := f.byMethod.Load()
		m := make(map[methodKey]*fault)
		if old != nil {
			if found := (*old)[key]; found != nil {
				return found
			}
			m = maps.Clone(*old)
		}
		m[key] = new(fault)
		if f.byMethod.CompareAndSwap(old, &m) {
			return m[key]
		}
	}
}

// failed looks at a turn that has failed: its method's errors are counted exactly, those between
// two parties as long as there are not too many in the sampler's tick.
func (l *lens) failed(t *turn, err error) {
	made := &failure{err: err}
	if r := t.rare.Load(); r != nil {
		made.stack = r.stack
	}
	l.blame(methodKey{t.act.typ, t.entry}, made)
	if weight := l.failing.draws(); weight != 0 {
		ids := l.focus.Load()
		l.broke(pair{from: t.caller(), to: t.id()}, weight, ids != nil && l.isNear(t, *ids))
	}
}

// blame counts a method's failure.
func (l *lens) blame(key methodKey, made *failure) {
	f := l.faults.of(key)
	f.last.Store(made)
	if made.stack != "" {
		f.crashed.Store(made)
	}
	f.count.Add(1)
}

// broke adds calls that failed to the flow between two parties.
func (l *lens) broke(way pair, weight uint64, isNear bool) {
	now, calls, near := l.node.elapsed(), flow{calls: weight, errors: weight}, flow{}
	if isNear {
		near = calls
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing.picked(now)
	for o := range l.observations {
		o.connects(way, calls, near)
	}
}

// now is what there is to tell of the fault.
func (f *fault) now() seenFault { return seenFault{f.count.Load(), f.last.Load(), f.crashed.Load()} }

// confess adds to the figures what has failed since the observation was told last. A panic is
// told rather than a later error. The lock is held.
func (o *Observation) confess() {
	for key, f := range o.lens.faults.all() {
		now, told := f.now(), o.faults[key]
		if now.count == told.count {
			continue
		}
		o.faults[key] = now
		m := o.of(key)
		m.errors = now.count - told.count
		m.calls += m.errors
		if m.failure = now.last; now.crashed != told.crashed {
			m.failure = now.crashed
		}
	}
}

// tell puts the last error into words.
func (f *failure) tell(to *inspectmsg.MethodStats) {
	if f != nil {
		to.LastCode, to.LastError, to.LastStack = codeName(object.CodeOf(f.err)), clip(f.err.Error(), maxText), f.stack
	}
}
