package node

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"unsafe"
)

// directory finds the activations of a node by ID. It is a hash table in segments,
// with chained entries that are links of the activations themselves: finding one takes
// no lock and touches little memory, which is most of what a call to an idle object
// costs. The hash is seeded anew in every process, so that nobody can choose IDs that
// collide; it has nothing to do with the hash that places objects on shards.
type directory struct {
	seed     maphash.Seed
	segments [segments]segment
}

// segments is how many there are.
const segments = 256

// segmentOf is the segment of an ID's hash.
func segmentOf(hash uint64) int { return int(hash >> 56) }

type segment struct {
	table

	mu sync.Mutex                                                      // taken before a shard's
	_  [64 - unsafe.Sizeof(sync.Mutex{}) - unsafe.Sizeof(table{})]byte // a cache line each
}

// of returns the segment of an ID and the ID's hash within it.
func (d *directory) of(id string) (s *segment, hash uint32) {
	h := maphash.String(d.seed, id)
	return &d.segments[segmentOf(h)], uint32(h) //nolint:gosec // G115: the lower half
}

// find returns the activation of id; nil without one.
func (d *directory) find(id string) *activation {
	s, hash := d.of(id)
	if a := s.find(hash, id); a != nil {
		return a
	}
	return s.findLocked(hash, id)
}

// findLocked is find where the table does not grow meanwhile.
func (s *segment) findLocked(hash uint32, id string) *activation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(hash, id)
}

// table is one segment's hash table. Who changes it holds the segment's mutex; who
// finds nothing without the lock may have looked while it grew, and looks again with
// it.
type table struct {
	slots atomic.Pointer[[]slot] // a power of two, at least as many as entries
	count int                    // guarded by the segment's mutex
}

type slot = atomic.Pointer[activation]

// minSlots is the size of the smallest table.
const minSlots = 4

func at32(slots []slot, hash uint32) *slot { return &slots[hash&uint32(len(slots)-1)] } //nolint:gosec // G115: fewer than 2^32 slots

// find returns the activation of id; nil may mean that the table is growing.
func (t *table) find(hash uint32, id string) *activation {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	for a := at32(*slots, hash).Load(); a != nil; a = a.next.Load() {
		if a.hash == hash && a.id == id {
			return a
		}
	}
	return nil
}

// put adds an activation whose ID is not in the table.
func (t *table) put(a *activation) {
	slots := t.slots.Load()
	if slots == nil || t.count >= len(*slots) {
		slots = t.grow(slots)
	}
	head := at32(*slots, a.hash)
	a.next.Store(head.Load())
	head.Store(a)
	t.count++
}

// grow doubles the table. Finders that walk a chain meanwhile may lose their way, but
// never go round in a circle: every link leads to an activation that was put in, or
// moved, before.
func (t *table) grow(old *[]slot) *[]slot {
	size := minSlots
	if old != nil {
		size = 2 * len(*old)
	}
	slots := make([]slot, size)
	if old != nil {
		for i := range *old {
			for a := (*old)[i].Load(); a != nil; {
				following := a.next.Load()
				head := at32(slots, a.hash)
				a.next.Store(head.Load())
				head.Store(a)
				a = following
			}
		}
	}
	t.slots.Store(&slots)
	return &slots
}

// remove takes a out. Finders that stand on it still find the way on.
func (t *table) remove(a *activation) {
	slots := t.slots.Load()
	link := at32(*slots, a.hash)
	for link.Load() != a {
		link = &link.Load().next
	}
	link.Store(a.next.Load())
	if t.count--; t.count == 0 {
		t.slots.Store(nil) // give the memory back
	}
}
