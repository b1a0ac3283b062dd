package node

import (
	"sync"
	"sync/atomic"
)

// shardState is a set of objects that are owned, and later moved, together.
type shardState struct {
	node *Node

	// word is the shard's state: zero while the node does not own it, else the
	// epoch under which it does.
	word atomic.Uint64

	mu   sync.Mutex
	live table // changed under mu
	due  int64 // guarded by mu: nothing here is idle before this time, in ns
}

// find returns the activation of id; nil without one.
func (s *shardState) find(id string) *activation {
	hash := hashOf(s.node.seed, id)
	if a := s.live.find(hash, id); a != nil {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live.find(hash, id)
}

// add puts a into the shard and returns it, or returns the activation that is there
// already; nil where the node no longer owns the shard. a is idle at idleAt.
func (s *shardState) add(a *activation, idleAt int64) (there *activation, added bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.word.Load() == 0 {
		return nil, false
	}
	a.hash = hashOf(s.node.seed, a.id)
	if there = s.live.find(a.hash, a.id); there != nil {
		return there, false
	}
	s.live.put(a)
	if s.live.count == 1 || idleAt < s.due {
		s.due = idleAt
	}
	return a, true
}

// snapshot returns the activations of this moment.
func (s *shardState) snapshot() []*activation {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*activation, 0, s.live.count)
	s.live.each(func(a *activation) { out = append(out, a) })
	return out
}

// replace ends a: its waiters are refused with what fate says, or go on, in order,
// to a fresh activation in its place where fate says nil. It returns the extras
// that must end with a, and whether nothing came in its place.
func (n *Node) replace(a *activation, fate func(*waiter) error) (x *extras, gone bool) {
	s := a.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	a.lock()
	defer a.unlock()
	a.phase = dead
	var heir *activation
	for w := a.queue.first(); w != nil; w = a.queue.first() {
		a.queue.remove(w)
		if err := fate(w); err != nil {
			w.grant(err)
			continue
		}
		if heir == nil {
			heir = &activation{id: a.id, hash: a.hash, typ: a.typ, shard: s}
			heir.use(a.used.Load())
			heir.lock()
			defer heir.unlock()
		}
		n.enqueue(heir, w, false)
		w.at.Store(heir)
	}
	s.live.remove(a)
	if heir != nil {
		s.live.put(heir)
		heir.admitNext()
	}
	x, a.extras = a.extras, nil
	return x, heir == nil
}
