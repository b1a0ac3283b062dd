package node

import (
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/xiaonanln/goverse/object"
)

// underway are the turns that run and were not picked, while somebody observes: most of all, as few are picked under
// load, and nobody knows beforehand which of them will hang. A turn takes a place by one compare-and-swap and gives it
// back by another, in a cache line that it finds by its object, so that nothing else is in the way of it. One whose line is full is taken
// over at once, under the lens's lock.
// The lens looks at the places now and then, and takes over the turns that stay: see sweep. Where there are more than
// 10 000 turns a second, only one in so many takes a place, as the others would feel it. Where it would
// be hardly any, from some 80 000 on, turns take places for a moment alone, after each sweep first and then after
// one in eight: they are too few to find one that hangs, and there to notice when it is less than that. Even the question costs some.
// While nobody looks it is so from some 2000 and 16 000 on.
type underway struct {
	shut  atomic.Bool   // no method's turn takes a place for now; the door is told
	mask  atomic.Uint64 // turns whose hash has none of these bits take places; as a sampler's
	count atomic.Int64  // that took a place since the last sweep, or since the last halving
	rough atomic.Bool   // roughUnderway holds
	left  int           // guarded by the lens: for how many more sweeps it stays shut
	pause int           // guarded by the lens: the same of the next time that one finds it shut
	rows  [1 << 7]row   // few enough to stay in the cache while turns take places: else each is a microsecond
}

// row is a cache line of places.
type row [8]atomic.Pointer[turn]

const (
	underwayQuota = 5000 // places taken between two sweeps, from which on fewer turns take one
	roughUnderway = 2000 // the same where nobody looks now, and sweeps are rarer
	underwayCount = 16   // one in so many is counted, for so many
	underwayShift = 3    // where fewer than one in 2^underwayShift would take one, none does for a while
	longestPause  = 7    // sweeps that pass at most before turns take places again
)

// sweepEvery is how often the places are looked at, at most. What was there at one look and is at the next has run for
// as long at least.
const sweepEvery = 400 * time.Millisecond

// row is where a turn has its place. Of a sequential object there is one at a time, but for those within it; others
// are spread.
func (u *underway) row(t *turn) *row {
	at := t.act.hash
	if t.mode == object.Concurrent || t.mode == object.ReadOnly {
		at ^= uint32(uintptr(unsafe.Pointer(t)) / unsafe.Sizeof(*t)) //nolint:gosec // G103, G115: a number, never made a pointer again
	}
	return &u.rows[at%uint32(len(u.rows))]
}

// enter gives the turn a place, by its hash; false: there is none left.
func (u *underway) enter(t *turn, hash uint64) bool {
	if hash>>32%underwayCount == 0 && u.count.Add(underwayCount) >= u.quota() {
		u.count.Store(u.quota() / 2) // half as many come from now on
		u.set(u.shift() + 1)
	}
	row := u.row(t)
	for i := range row {
		if row[i].Load() == nil && row[i].CompareAndSwap(nil, t) {
			return true
		}
	}
	return false
}

func (u *underway) quota() int64 {
	if u.rough.Load() {
		return roughUnderway
	}
	return underwayQuota
}

func (u *underway) shift() int { return bits.OnesCount64(u.mask.Load()) }

// set lets one in 2^shift turns take a place.
func (u *underway) set(shift int) {
	u.mask.Store(^(^uint64(0) >> min(shift, maxShift)))
	u.shut.Store(shift > underwayShift)
}

// advance lets more turns take places, where much fewer than might have did since the last sweep: some again, where it
// was shut, but not after every sweep for as long as each finds it so.
func (u *underway) advance() {
	took := u.count.Swap(0)
	switch {
	case !u.shut.Load():
		u.resume()
		if took < u.quota()/4 && u.shift() > 0 {
			u.set(u.shift() - 1)
		}
	case u.left > 0:
		u.left--
	default:
		u.left, u.pause = u.pause, longestPause
		u.set(underwayShift)
	}
}

// resume lets turns take places after the next sweep, whatever was before.
func (u *underway) resume() { u.left, u.pause = 0, 0 }

// leave gives the turn's place back; false: it has none, or not any more.
func (u *underway) leave(t *turn) bool {
	row := u.row(t)
	for i := range row {
		if row[i].Load() == t {
			return row[i].CompareAndSwap(t, nil)
		}
	}
	return false
}

// all returns the turns that have places. Of such a turn nothing may be read but what does not change once it runs.
func (u *underway) all(yield func(*atomic.Pointer[turn], *turn) bool) {
	for i := range u.rows {
		for j := range u.rows[i] {
			place := &u.rows[i][j]
			if t := place.Load(); t != nil && !yield(place, t) {
				return
			}
		}
	}
}

// begins is the lens's, if there is one.
func (n *Node) begins(t *turn) *lens {
	if l := n.lens.Load(); l != nil {
		return l.begins(t)
	}
	return nil
}

// begins notes that a turn runs now. The lens that it returns, if any, is to be told when the turn has run:
// ran is called for those that have lost their place then.
func (l *lens) begins(t *turn) *lens {
	if t.watched() {
		t.begins()
		return nil
	}
	hash := l.general.hashed(t)
	if hash&l.underway.mask.Load() != 0 {
		return nil
	}
	entered := l.underway.enter(t, hash)
	if l.underway.shut.Load() && l.node.door.places.Load() {
		l.shutDoor()
	}
	if !entered {
		now := l.node.elapsed()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.adopt(t, now)
	}
	return l
}

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
	l.adopted[t] = s
	l.flying.add(s)
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
		l.underway.advance()
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
	for s := range l.flying.all {
		if s.runs && s.method.entry >= firstMethod {
			running[s.method]++
		}
	}
	return running
}

// follow tells the observation of turns of its focus that run and that it has not been told of: they began before it
// had the focus, or were not picked. The lock is held.
func (o *Observation) follow() {
	for s := range o.lens.flying.all {
		if s.runs && !o.open[s.id] {
			o.sees(s)
		}
	}
}
