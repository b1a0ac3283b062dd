package node

import (
	"hash/maphash"
	"sync/atomic"
)

// table finds the activations of a shard by ID. It is a hash table with chained
// entries that are links of the activations themselves: finding one takes no lock and
// touches little memory, which is most of what a call to an idle object costs. Who
// changes it holds the shard's mutex; who finds nothing without the lock may have
// looked while it grew, and looks again with it. The hash is seeded anew in every
// process, so that nobody can choose IDs that collide.
type table struct {
	slots atomic.Pointer[[]slot] // a power of two, at least as many as entries
	count int                    // guarded by the shard's mutex
}

type slot = atomic.Pointer[activation]

// minSlots is the size of the smallest table.
const minSlots = 4

func hashOf(seed maphash.Seed, id string) uint32 {
	return uint32(maphash.String(seed, id)) //nolint:gosec // G115: half of the hash is enough
}

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

// each calls f for every activation.
func (t *table) each(f func(*activation)) {
	slots := t.slots.Load()
	if slots == nil {
		return
	}
	for i := range *slots {
		for a := (*slots)[i].Load(); a != nil; a = a.next.Load() {
			f(a)
		}
	}
}
