//go:build linux

package check

import (
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/internal/shard"
)

// Change is a shard's record as the store's watch has told it.
type Change struct {
	Shard  uint32
	Rev    int64
	Seen   time.Duration // when, by the clock of the records
	Record shard.Record  // the zero record: it was deleted, or cannot be read
}

// Epochs checks that a shard's epoch only grows, that it grows with every change of the
// owner, and that no record was deleted (I7). Gap says that history was compacted away
// before it could be read, so that changes of the owner may have been missed; the epochs
// must have grown all the same.
func Epochs(changes []Change) []Violation {
	last := map[uint32]Change{}
	var found []Violation
	for _, c := range changes {
		before, there := last[c.Shard]
		last[c.Shard] = c
		name := "shard"
		switch sameOwner := before.Record.OwnedBy(c.Record.Owner, c.Record.OwnerRev); {
		case c.Record.Owner == "":
			found = append(found, violation("I7", name, "%d: its record was deleted or destroyed at revision %d", c.Shard, c.Rev))
		case !there:
		case c.Record.Epoch < before.Record.Epoch:
			found = append(found, violation("I7", name, "%d: epoch %d follows %d at revision %d", c.Shard, c.Record.Epoch, before.Record.Epoch, c.Rev))
		case !sameOwner && c.Record.Epoch == before.Record.Epoch:
			found = append(found, violation("I7", name, "%d: epoch %d has two owners, at revision %d", c.Shard, c.Record.Epoch, c.Rev))
		}
	}
	return found
}

// Move is a planned move: from the record with the target to the one with the new owner.
type Move struct {
	Shard       uint32
	From, Until time.Duration
}

// Moves are the moves that were carried out.
func Moves(changes []Change) []Move {
	begun := map[uint32]Change{}
	var moves []Move
	for _, c := range changes {
		before, there := begun[c.Shard]
		switch {
		case c.Record.Moving():
			begun[c.Shard] = c
		case there && c.Record.Handover > 0 && c.Record.Owner == before.Record.Target:
			moves = append(moves, Move{c.Shard, before.Seen, c.Seen})
			delete(begun, c.Shard)
		default:
			delete(begun, c.Shard)
		}
	}
	return moves
}

// Added is the latency that planned moves have added to the calls that met them: the
// whole time of a call that overlaps a move of its shard (or comes within slack of it),
// without its turn. Queueing behind other callers of a hot object is part of it.
func (h *History) Added(moves []Move, shards int, slack time.Duration) []time.Duration {
	by := map[uint32][]Move{}
	for _, m := range moves {
		by[m.Shard] = append(by[m.Shard], m)
	}
	took := map[string]time.Duration{}
	for _, t := range h.Turns {
		took[t.Turn] = t.End - t.Start
	}
	var added []time.Duration
	for _, c := range h.Calls {
		met := slices.ContainsFunc(by[shard.Of(c.Object, shards)], func(m Move) bool {
			return c.Start < m.Until+slack && c.End > m.From-slack
		})
		if met && c.Code == "" {
			added = append(added, c.End-c.Start-took[c.Turn])
		}
	}
	slices.Sort(added)
	return added
}

// Quantile is the value that a share q of a sorted list does not exceed; 0 of none.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Failover is, for each of some shards, how long after a moment the first turn began that
// was answered by a life younger than that moment; until the caller had the answer. Those
// that never answered are missing.
func (h *History) Failover(owned []uint32, shards int, at time.Duration) (times []time.Duration, missing []uint32) {
	first := map[uint32]time.Duration{}
	turns := map[string]record.Entry{}
	for _, t := range h.Turns {
		turns[t.Turn] = t
	}
	for _, c := range h.Calls { // by their ends
		s := shard.Of(c.Object, shards)
		if _, there := first[s]; !there && c.Code == "" && turns[c.Turn].Start > at && h.Lives[c.Life].Start > at {
			first[s] = c.End - at
		}
	}
	for _, s := range owned {
		if d, there := first[s]; there {
			times = append(times, d)
		} else {
			missing = append(missing, s)
		}
	}
	slices.Sort(times)
	return times, missing
}
