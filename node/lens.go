package node

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// slowTurn is how long a turn runs at least that makes an event while the node is observed. Of one that was not picked half a second more may pass, and a second more while nobody looks.
const slowTurn = time.Second

// lens is what the turns of an observed node pass: it is there while somebody observes.
// Turns that it picks leave what they did with every observation; those that fail do so
// whether they were picked or not, see fault, and so do those that do not end, see underway.
type lens struct {
	node    *Node
	general sampler                  // of all turns
	near    sampler                  // of those that a focused object runs or causes
	failing sampler                  // of those that have failed, beside the count that faults keeps of all
	focus   atomic.Pointer[[]string] // the focused objects; nil without any
	faults  faults
	loads   loads

	underway underway // turns that run and were not picked

	mu           sync.Mutex
	observations map[*Observation]struct{} // guarded by mu
	flying       flight                    // guarded by mu: turns that wait or run
	landed       []*sample                 // guarded by mu: that have ended, and were not added to any figure yet, see settle
	turns        uint64                    // guarded by mu: the last turn's number
	adopted      map[*turn]*sample         // guarded by mu: taken over from underway
	seen         map[*turn]time.Duration   // guarded by mu: those of underway at the last sweep, and when that was
	swept        time.Duration             // guarded by mu: when that was
}

// methodKey names a method.
type methodKey struct {
	typ   *object.Type
	entry entry
}

// sample is a turn that was picked. What the turn writes, it writes under the lens's lock.
type sample struct {
	lens    *lens
	id      uint64
	object  string
	caller  string // an object; empty from outside
	method  methodKey
	weight  uint64 // how many turns it stands for; zero: it was picked for the focus only
	near    uint64 // the same, among those of focused objects; zero: it is none
	arrived time.Duration
	began   time.Duration
	runs    bool // began is set
	over    bool
	slow    bool  // there is an event of it
	shard   int32 // the object's

	prev, next *sample       // guarded by the lens: in its flight
	ended      time.Duration // set with over, as is err
	err        error
}

// look lets the lens look at a turn that arrives, if there is one.
func (n *Node) look(t *turn) {
	if n.door.opensTo(t) {
		n.lookIn(t)
	}
}

// lookIn is look for a turn that the door opens to.
func (n *Node) lookIn(t *turn) {
	if l := n.lens.Load(); l != nil {
		l.look(t)
	}
}

// look decides about a turn.
func (l *lens) look(t *turn) {
	weight, near := uint64(0), uint64(0)
	if !t.isHook() {
		weight = l.general.picks(t)
	}
	if ids := l.focus.Load(); ids != nil && l.isNear(t, *ids) {
		near = l.near.picks(t)
	}
	if weight|near != 0 {
		l.pick(t, weight, near)
	}
}

// isNear reports whether the turn is one of the objects', or called by one.
func (l *lens) isNear(t *turn, ids []string) bool {
	for _, id := range ids {
		if t.act.id == id || !t.isHook() && t.caller() == id {
			return true
		}
	}
	return false
}

// pick begins a turn's sample.
func (l *lens) pick(t *turn, weight, near uint64) {
	x := t.extra()
	if x.sample == nil {
		x.sample = &sample{caller: t.caller()}
	}
	s := x.sample
	s.lens, s.object, s.method, s.weight, s.near = l, t.id(), methodKey{t.act.typ, t.entry}, weight, near
	s.arrived, s.shard = l.node.elapsed(), t.act.shardNumber()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns++
	s.id = l.turns
	l.picked(weight, near, s.arrived)
	l.flying.add(s)
}

// picked notes that something was picked. The lock is held.
func (l *lens) picked(weight, near uint64, now time.Duration) {
	if near != 0 {
		l.near.picked(now)
	}
	if weight != 0 {
		l.general.picked(now)
		l.setDoor()
	}
}

// setDoor makes the quick look at a turn what it is to be now. The lock is held.
func (l *lens) setDoor() {
	d := &l.node.door
	if l.node.lens.Load() != l { // it is over, and there may be another
		return
	}
	if len(l.observations) == 0 {
		d.close()
		return
	}
	var mask, seed uint64 // at all turns, where somebody wants to know who is near: that is not known yet
	if l.focus.Load() == nil {
		mask, seed = l.general.mask.Load(), l.general.seed.Load()
	}
	d.open(mask, seed, !l.underway.shut.Load())
}

// shutDoor tells the door that places are shut.
func (l *lens) shutDoor() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setDoor()
}

// caller is the object that makes the call; empty from outside.
func (t *turn) caller() string {
	if t.flags.has(bound) {
		return t.id() // a timer of the object's
	}
	if r := t.rare.Load(); r != nil {
		switch {
		case len(r.path) > 0:
			return r.path[len(r.path)-1].ID
		case r.sample != nil:
			return r.sample.caller
		}
	}
	if up := t.up(); up != nil {
		return up.id()
	}
	return ""
}

// sentBy notes whose one-way call the turn is, where the lens may want to know.
func (t *turn) sentBy(from *turn) {
	if from.node().lens.Load() != nil {
		t.extra().sample = &sample{caller: from.id()}
	}
}

// watched reports whether the turn was picked by a lens.
func (t *turn) watched() bool {
	r := t.rare.Load()
	return r != nil && r.sample != nil && r.sample.lens != nil
}

// begins notes that a picked turn runs now.
func (t *turn) begins() {
	s := t.rare.Load().sample
	l := s.lens
	now := l.node.elapsed()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.began, s.runs = now, true
	if s.near != 0 {
		for o := range l.observations {
			o.sees(s)
		}
	}
}

// hasRun notes the end of a turn that ran, however it ended.
func (t *turn) hasRun(r *result) {
	if r.err != nil {
		t.node().failed(t, r.err, true)
	}
	switch {
	case r.lens != nil:
		r.lens.ran(t, r.err)
	case t.watched():
		t.seen(r.err)
	}
}

// seen notes the end of a picked turn, whether it ran or not. Only the first end counts.
func (t *turn) seen(err error) {
	s := t.rare.Load().sample
	s.lens.over(s, err)
}

// over notes the end of a turn that is known.
func (l *lens) over(s *sample, err error) {
	now := l.node.elapsed()
	if l.end(s, now, err) && s.isSlow(now) {
		l.node.tellSlow(s, now) // nobody else has it any more
	}
}

// isSlow reports whether there is to be an event of the turn. The lock is held, or nobody else has the sample.
func (s *sample) isSlow(now time.Duration) bool {
	return s.runs && !s.slow && now-s.began >= slowTurn
}

// hanging returns those that run for long and have not ended. The lock is held.
func (l *lens) hanging(now time.Duration) (slow []sample) {
	for s := range l.flying.all {
		if s.isSlow(now) {
			s.slow = true
			slow = append(slow, *s)
		}
	}
	return slow
}

// end notes the end of a turn that is known; false: it does not count, as it has ended before or its call goes on.
func (l *lens) end(s *sample, now time.Duration, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.over {
		return false
	}
	s.over, s.ended, s.err = true, now, err
	l.flying.remove(s)
	l.landed = append(l.landed, s)
	if s.near != 0 || len(l.landed) >= landing {
		l.settle()
	}
	return s.runs || err == nil || !goesOn(err, s.method.typ.Client)
}

// landing is how many turns that have ended wait at most to be added to the figures. One by one each would find the memory
// of the figures cold, as the calls of a busy node have used the caches in between.
const landing = 64

// settle adds the turns that have ended to the figures. Who reads these calls it first. The lock is held.
func (l *lens) settle() {
	for i, s := range l.landed {
		l.landed[i] = nil
		if s.weight != 0 {
			l.burden(s)
		}
		if !s.runs && s.err != nil && goesOn(s.err, s.method.typ.Client) {
			continue // the object is elsewhere, or moves: the call goes on, and counts where it runs
		}
		for o := range l.observations {
			o.record(s)
		}
	}
	l.landed = l.landed[:0]
}

// burden adds a turn to its object's load.
func (l *lens) burden(s *sample) {
	more := load{calls: s.weight}
	if s.runs {
		more.time = time.Duration(s.weight) * (s.ended - s.began) //nolint:gosec // G115: at most 2^maxShift
	}
	l.loads.add(s.object, more)
}

// settledLoads are the objects' loads, with all that has happened until now.
func (l *lens) settledLoads() *loads {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	return &l.loads
}

// flight is samples in the order in which they were added. The zero flight is empty.
type flight struct{ first, last *sample }

func (f *flight) add(s *sample) {
	s.prev = f.last
	if f.last == nil {
		f.first = s
	} else {
		f.last.next = s
	}
	f.last = s
}

// remove takes out a sample that was added.
func (f *flight) remove(s *sample) {
	if s.prev == nil {
		f.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		f.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// all yields them.
func (f *flight) all(yield func(*sample) bool) {
	for s := f.first; s != nil; s = s.next {
		if !yield(s) {
			return
		}
	}
}

// typeName is the type of an object's ID; empty for the empty one.
func typeName(id string) string {
	name, _, _ := strings.Cut(id, "-")
	return name
}
