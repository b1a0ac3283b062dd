package node

import (
	"sync"
	"sync/atomic"
)

// gate says which calls a shard takes.
type gate uint8

const (
	shut      gate = iota // none: the node does not own the shard, or has emptied it
	draining              // those that belong to a call chain which runs in the shard
	breathing             // all, for a moment of a drain
	open                  // all
)

// shardState is a set of objects that are owned, and moved, together.
type shardState struct {
	node     *Node
	number   uint32
	patience patience      // of turns that find another in their object
	epoch    atomic.Uint64 // under which the node owns the shard; zero while it does not

	mu      sync.Mutex
	past    uint64 // guarded by mu: the last epoch that was given up
	gate    gate
	first   *activation      // guarded by mu: the activations of this shard, linked
	due     int64            // guarded by mu: nothing here is idle before this time, in ns
	kept    map[string]*kept // guarded by mu: state of objects that are not active
	changed chan struct{}    // guarded by mu: closed when the gate changes; nil: nobody waits for it
}

// turnGate changes the gate and wakes those who wait for it. The lock is held.
func (s *shardState) turnGate(g gate) {
	s.gate = g
	s.showGate()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// change returns what is closed when the gate changes next.
func (s *shardState) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changesLocked()
}

func (s *shardState) changesLocked() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// admits reports whether the turn may bring an object up. The lock is held.
func (s *shardState) admits(t *turn) bool {
	return s.gate >= breathing || s.gate == draining && t.up().runsIn(s)
}

// add puts a into memory for a turn and returns it, or returns the activation of the
// same ID that is there already; nil where the shard does not admit the turn. a is idle
// at idleAt.
func (n *Node) add(t *turn, a *activation, idleAt int64) (there *activation, added bool) {
	seg, hash := n.objects.of(a.id)
	seg.mu.Lock()
	defer seg.mu.Unlock()
	s := a.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.admits(t) {
		return nil, false
	}
	if there = seg.find(hash, a.id); there != nil {
		return there, false
	}
	if s.first == nil && s.kept == nil || idleAt < s.due {
		s.due = idleAt
	}
	a.hash = hash
	a.lost.bear(n.now())
	seg.put(a)
	s.link(a)
	n.made.Add(1)
	n.count.Add(1)
	n.population.add(a.typ, 1)
	return a, true
}

// link and unlink keep the list of the shard's activations.
func (s *shardState) link(a *activation) {
	a.following = s.first
	if s.first != nil {
		s.first.preceding = a
	}
	s.first = a
}

func (s *shardState) unlink(a *activation) {
	if a.preceding == nil {
		s.first = a.following
	} else {
		a.preceding.following = a.following
	}
	if a.following != nil {
		a.following.preceding = a.preceding
	}
	a.preceding, a.following = nil, nil
}

// snapshot returns the activations of this moment.
func (s *shardState) snapshot() []*activation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all()
}

// all returns the activations. The lock is held.
func (s *shardState) all() (all []*activation) {
	for a := s.first; a != nil; a = a.following {
		all = append(all, a)
	}
	return all
}

// replace ends a: its waiters are refused with what fate says, or go on, in order,
// to a fresh activation in its place where fate says nil. It returns the extras
// that must end with a.
func (n *Node) replace(a *activation, fate func(*waiter) error) (x *extras) {
	seg, _ := n.objects.of(a.id)
	seg.mu.Lock()
	defer seg.mu.Unlock()
	s := a.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	a.lock()
	defer a.unlock()
	a.phase = dead
	var heir *activation
	watch := a.queue.takeWatch()
	for w := a.queue.first(); w != nil; w = a.queue.first() {
		a.queue.remove(w)
		if err := fate(w); err != nil {
			w.grant(err)
			continue
		}
		if heir == nil {
			heir = &activation{id: a.id, hash: a.hash, typ: a.typ, shard: s}
			heir.use(a.used.Load())
			heir.lost.bear(n.now())
			heir.lock()
			defer heir.unlock()
		}
		n.enqueue(heir, w, false)
		w.at.Store(heir)
	}
	if !a.lost.Load() { // else it is out already
		seg.remove(a)
	}
	s.unlink(a)
	if heir == nil {
		watch.end()
		n.count.Add(-1)
		n.population.add(a.typ, -1)
	} else {
		n.made.Add(1)
		watch.moveTo(heir)
		seg.put(heir)
		s.link(heir)
		heir.admitNext()
	}
	if a.queue != nil {
		n.queues.remove(a)
	}
	x, a.extras = a.extras, nil
	return x
}
