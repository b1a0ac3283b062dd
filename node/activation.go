package node

import (
	"sync"
	"sync/atomic"

	"github.com/xiaonanln/goverse/object"
)

// phase is the life of an activation; it only moves forward.
type phase uint8

const (
	fresh      phase = iota // in the map, nobody activates it yet
	activating              // one turn runs the hooks, all others wait
	live                    // turns run
	closing                 // its last turn runs or is waited for
	dead                    // out of the map; whoever holds it must look again
)

// alone is the mode of a turn that excludes even concurrent ones: the end of an
// activation.
const alone = object.Concurrent + 1

// activation is one object in memory. Everything below mu is guarded by lock and
// unlock, which wrap it; obj is written before the phase becomes live and read only by
// admitted turns.
type activation struct {
	// What the commonest call touches comes first: one cache line.
	id   string
	next atomic.Pointer[activation] // in the directory
	hash uint32                     // of id, in the directory
	bias atomic.Uint32              // the lock's short cut
	typ  *object.Type
	obj  object.Object
	used atomic.Int64 // coarse time of the last turn, in ns since the node was made

	shard                *shardState
	preceding, following *activation // in the shard; guarded by its mutex

	mu         sync.Mutex
	phase      phase
	pinned     bool // a client object: bound to a connection, never idle
	failing    bool // a turn panicked: end when the running turns have
	writer     bool // a sequential turn, a hook or the end runs
	readers    int32
	concurrent int32
	lost       mark   // its shard was given up while it was in memory, set with mu held; and since when it is there
	queue      *queue // nil until a turn waits
	extras     *extras
}

// verdict is the answer to a turn that asks to run.
type verdict uint8

const (
	admitted  verdict = iota // run
	activator                // run the activation first, then your turn
	mustWait                 // queue
	gone                     // the activation is dead: look again
)

// ask admits a turn of the given mode if it may run now and need not queue behind
// others.
func (a *activation) ask(mode object.Mode, behind bool) verdict {
	switch a.phase {
	case dead:
		return gone
	case fresh:
		a.phase, a.writer = activating, true
		return activator
	case live:
		if !behind && a.mayRun(mode) {
			a.take(mode)
			return admitted
		}
	case activating, closing:
	}
	return mustWait
}

// mayRun reports whether the turns that run now allow one more of this mode.
func (a *activation) mayRun(mode object.Mode) bool {
	switch mode {
	case object.Concurrent:
		return true
	case object.ReadOnly:
		return !a.writer
	case alone:
		return a.quiet()
	case object.Sequential:
	}
	return !a.writer && a.readers == 0
}

// mustQueueBehind reports whether an arriving turn has to let waiters go first. A
// privileged turn belongs to a chain that has a running concurrent turn on this
// object: it does not wait for the end of the activation, which waits for that turn.
func (a *activation) mustQueueBehind(mode object.Mode, privileged bool) bool {
	if a.queue.len() == 0 {
		return false
	}
	switch {
	case privileged:
		return mode != object.Concurrent && !a.queue.barrierIsNext()
	case mode == object.Concurrent:
		return a.queue.barriers > 0
	}
	return true
}

// quiet reports whether no turn runs.
func (a *activation) quiet() bool { return !a.writer && a.readers == 0 && a.concurrent == 0 }

func (a *activation) take(mode object.Mode) {
	switch mode {
	case object.Concurrent:
		a.concurrent++
	case object.ReadOnly:
		a.readers++
	case alone:
		a.phase, a.writer = closing, true
	case object.Sequential:
		a.writer = true
	}
}

func (a *activation) release(mode object.Mode) {
	switch mode {
	case object.Concurrent:
		a.concurrent--
	case object.ReadOnly:
		a.readers--
	case alone: // it did not come to the end
		a.phase, a.writer = live, false
	case object.Sequential:
		a.writer = false
	}
}

// admitNext wakes the waiters that may run now: in order up to the first that may
// not, and beyond it the concurrent ones, up to the end of the activation.
func (a *activation) admitNext() {
	blocked, barrier := false, false
	for w := a.queue.first(); w != nil && (!blocked || a.queue.free > 0); {
		next := w.next
		switch {
		case a.phase == live && (w.mode != object.Concurrent && blocked || barrier && !w.chained):
			if w.mode == alone {
				barrier = true
			}
		case a.admit(w):
		case a.phase != live:
			return
		default:
			blocked = true
			if w.mode == alone {
				barrier = true
			}
		}
		w = next
	}
}

// admit wakes one waiter if it may run now.
func (a *activation) admit(w *waiter) bool {
	switch a.ask(w.mode, false) {
	case activator:
		w.activator = true
	case admitted:
	case mustWait, gone:
		return false
	}
	a.queue.remove(w)
	w.grant(nil)
	return true
}
