package shard

import "slices"

// Limits of one transaction: the stores take 128 compares.
const (
	batchWrites   = 100
	batchCompares = 126 // one more is the allocator's term, and one is spare
)

// NodeGuard is the condition that a node's key has this create revision; 0: there is none.
type NodeGuard struct {
	ID  string
	Rev int64
}

// Write replaces the record of a shard whose revision is Rev; 0: that it does not have.
type Write struct {
	Shard  uint32
	Rev    int64
	Record Record
	Guards []NodeGuard
}

// Batch is what the allocator writes at one moment, if it is still the allocator, all
// guards hold and no record has changed; else none of it.
type Batch struct {
	Guards []NodeGuard // of all writes, each once
	Writes []Write
}

// batches packs writes into as few batches as the limits of a transaction allow,
// without changing their order.
func batches(writes []Write) []Batch {
	var all []Batch
	var b Batch
	for _, w := range writes {
		guards := missing(b.Guards, w.Guards)
		if len(b.Writes) == batchWrites || len(b.Writes)+1+len(b.Guards)+len(guards) > batchCompares {
			all = append(all, b)
			b, guards = Batch{}, missing(nil, w.Guards)
		}
		b.Writes, b.Guards = append(b.Writes, w), append(b.Guards, guards...)
	}
	if len(b.Writes) > 0 {
		all = append(all, b)
	}
	return all
}

// missing are those of the wanted guards that are not there yet.
func missing(there, wanted []NodeGuard) (rest []NodeGuard) {
	for _, g := range wanted {
		if !slices.Contains(there, g) && !slices.Contains(rest, g) {
			rest = append(rest, g)
		}
	}
	return rest
}
