package node

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/xiaonanln/goverse/object"
)

// underway are the turns that run and were not picked, while somebody observes: most of all, as few are picked under
// load, and nobody knows beforehand which of them will hang. A turn takes a place by one compare-and-swap and gives it
// back by another, in a cache line that it finds by its object, so that nothing else is in the way of it.
// The lens looks at the places now and then, and takes over the turns that stay: see sweep.
type underway [1 << 11][8]atomic.Pointer[turn] // 128 KiB, in lines of 64 bytes

// sweepEvery is how often the places are looked at, at most. What was there at one look and is at the next has run for
// as long at least.
const sweepEvery = 400 * time.Millisecond

// line is where a turn has its place. Of a sequential object there is one at a time, but for those within it; others
// are spread.
func (u *underway) line(t *turn) *[8]atomic.Pointer[turn] {
	at := t.act.hash
	if t.mode == object.Concurrent || t.mode == object.ReadOnly {
		at ^= uint32(uintptr(unsafe.Pointer(t)) / unsafe.Sizeof(*t)) //nolint:gosec // G103, G115: a number, never made a pointer again
	}
	return &u[at%uint32(len(u))]
}

// enter gives the turn a place; false: there is none left.
func (u *underway) enter(t *turn) bool {
	line := u.line(t)
	for i := range line {
		if line[i].Load() == nil && line[i].CompareAndSwap(nil, t) {
			return true
		}
	}
	return false
}

// leave gives the turn's place back; false: it has none, or not any more.
func (u *underway) leave(t *turn) bool {
	line := u.line(t)
	for i := range line {
		if line[i].Load() == t {
			return line[i].CompareAndSwap(t, nil)
		}
	}
	return false
}

// all returns the turns that have places. Of such a turn nothing may be read but what does not change once it runs.
func (u *underway) all(yield func(*atomic.Pointer[turn], *turn) bool) {
	for i := range u {
		for j := range u[i] {
			place := &u[i][j]
			if t := place.Load(); t != nil && !yield(place, t) {
				return
			}
		}
	}
}

// begins notes that a turn runs now. The lens that it returns, if any, is to be told when the turn has run, see leave.
func (n *Node) begins(t *turn) *lens {
	if t.watched() {
		t.begins()
		return nil
	}
	l := n.lens.Load()
	if l != nil && !l.underway.enter(t) {
		now := n.elapsed()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.adopt(t, now)
	}
	return l
}

// leave notes that a turn has run that was not picked; false: ran is to be called too. Without a lens there is nothing
// to note.
func (l *lens) leave(t *turn) bool { return l == nil || l.underway.leave(t) }

// ran notes the end of a turn that may have been taken over.
func (l *lens) ran(t *turn, err error) {
	l.mu.Lock()
	s := l.adopted[t]
	delete(l.adopted, t)
	l.mu.Unlock()
	if s != nil {
		l.over(s, err)
	}
}

// adopt takes over a turn that has run since some time: from then on it is known as those are that were picked, but it
// stands for no other and counts in no figure. The lock is held.
func (l *lens) adopt(t *turn, since time.Duration) {
	l.turns++
	s := &sample{
		lens: l, id: l.turns, object: t.id(), caller: t.caller(), method: methodKey{t.act.typ, t.entry}, shard: t.act.shardNumber(),
		arrived: since, began: since, runs: true,
	}
	l.adopted[t], l.flying[s] = s, struct{}{}
}

// adoptOf takes over the turns of an object. When they began is known to the last sweep. The lock is held.
func (l *lens) adoptOf(id string, now time.Duration) {
	for place, t := range l.underway.all {
		if t.id() != id || !place.CompareAndSwap(t, nil) {
			continue
		}
		since, known := l.seen[t]
		if !known {
			since = now
		}
		l.adopt(t, since)
	}
}

// sweep counts the turns of methods that run, and takes over those that have for a while: they began before the sweep
// that saw them first, by less than the time to the one before. The lock is held.
func (l *lens) sweep(now time.Duration) (running map[methodKey]uint64) {
	running = make(map[methodKey]uint64)
	due := now-l.swept >= sweepEvery
	old := l.seen
	if due {
		l.seen, l.swept = make(map[*turn]time.Duration), now
	}
	for place, t := range l.underway.all {
		since, known := old[t]
		switch {
		case due && known && place.CompareAndSwap(t, nil):
			l.adopt(t, since)
			continue // counted below
		case due && !known:
			l.seen[t] = now
		}
		if !t.isHook() {
			running[methodKey{t.act.typ, t.entry}]++
		}
	}
	for s := range l.flying {
		if s.runs && s.method.entry >= firstMethod {
			running[s.method]++
		}
	}
	return running
}

// follow tells the observation of turns of its focus that run and that it has not been told of: they began before it
// had the focus, or were not picked. The lock is held.
func (o *Observation) follow() {
	for s := range o.lens.flying {
		if s.runs && !o.open[s.id] {
			o.sees(s)
		}
	}
}
