package node

import "sync/atomic"

// door is what turns see of the lens, observed or not: most pass it by and see no more. It lies in the node, beside what a
// call looks at anyway, as a cache line more for each of a million calls a second can be felt.
type door struct {
	mask   atomic.Uint64 // of the turns to look at when they arrive, with the lowest bit set, that no hash has; 0: nobody observes
	seed   atomic.Uint64 // of the hash
	places atomic.Bool   // turns that begin take places of underway; false: none but hooks does, or nobody observes
}

// opensTo is the quick look at a turn that arrives.
func (d *door) opensTo(t *turn) bool {
	mask := d.mask.Load()
	return mask != 0 && hashOf(t, d.seed.Load())&mask == 0
}

// stops is the quick look at a turn that begins.
func (d *door) stops(t *turn) bool { return d.places.Load() || t.watched() }

// open has the lens look at turns by a mask; at all, by an empty one. What stays as it is is not written: other processors
// would have to fetch it again.
func (d *door) open(mask, seed uint64, places bool) {
	if d.mask.Load() != mask|1 {
		d.mask.Store(mask | 1)
	}
	if d.seed.Load() != seed {
		d.seed.Store(seed)
	}
	if d.places.Load() != places {
		d.places.Store(places)
	}
}

// close lets all turns pass.
func (d *door) close() {
	d.mask.Store(0)
	d.places.Store(false)
}
