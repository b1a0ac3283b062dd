package node_test

import (
	"slices"
	"time"
)

// A knot is chains of calls that wait for each other: each waits for an object that the
// next one holds. The model finds them in what it has recorded, so that it knows which
// operations may expire: those of the knot, and those that wait for it.

// lull is how long before the deadlines the model looks for knots. Operations come in the
// first seconds; what does not wait for a knot is over when as much is left.
const lull = 5 * time.Second

// knotted reports whether an operation that ended at a time, when its deadline came, waited
// for a knot before, as part of it or not.
func (s *scenario) knotted(out *outcome, ended time.Time) bool {
	at := ended.Add(-lull)
	waits := make(map[*outcome][]*outcome) // chains by their first operation: for which others
	for _, o := range s.outcomes {
		if o.pending(at) {
			waits[o.root()] = append(waits[o.root()], s.holdersBefore(o, at)...)
		}
	}
	reached := func(from *outcome) []*outcome {
		all := slices.Clone(waits[from])
		for i := 0; i < len(all); i++ {
			for _, next := range waits[all[i]] {
				if !slices.Contains(all, next) {
					all = append(all, next)
				}
			}
		}
		return all
	}
	isInCycle := func(chain *outcome) bool { return slices.Contains(reached(chain), chain) }
	return isInCycle(out.root()) || slices.ContainsFunc(reached(out.root()), isInCycle)
}

// root is the operation that the chain began with.
func (o *outcome) root() *outcome {
	if len(o.chain) > 0 {
		return o.chain[0]
	}
	return o
}

// pending reports whether the operation waited at a time.
func (o *outcome) pending(at time.Time) bool {
	return !o.arrived.After(at) && (o.ran == 0 || o.begun.After(at)) && (!o.over || o.told.After(at))
}

// holds reports whether the operation ran at a time.
func (o *outcome) holds(at time.Time) bool {
	return o.ran > 0 && !o.begun.After(at) && (o.ended.IsZero() || o.ended.After(at))
}

// holdersBefore returns the chains that a waiting operation waits for: those that hold its
// object against it, or against one that came before it or together with it.
func (s *scenario) holdersBefore(waiting *outcome, at time.Time) (chains []*outcome) {
	ahead := []*outcome{waiting}
	for _, o := range s.outcomes {
		if o.op.ID == waiting.op.ID && o.pending(at) && !o.arrived.After(waiting.arrived) {
			ahead = append(ahead, o)
		}
	}
	for _, holder := range s.outcomes {
		if holder.op.ID != waiting.op.ID || !holder.holds(at) {
			continue
		}
		if slices.ContainsFunc(ahead, func(o *outcome) bool { return s.excludes(holder, o) }) {
			chains = append(chains, holder.root())
		}
	}
	return chains
}

// excludes reports whether one operation does not let another of the same object begin. Who
// runs on an activation that is about to end, after a panic, lets nobody begin.
func (s *scenario) excludes(holder, o *outcome) bool {
	switch {
	case holder.root() == o.root():
		return false // else it would not wait: it would be refused
	case o.op.Kind == "create", o.op.Kind == "delete":
		return true
	case slices.ContainsFunc(s.outcomes, func(x *outcome) bool {
		return x.op.Ends == "panic" && x.ran > 0 && x.op.ID == o.op.ID && x.serial == holder.serial
	}):
		return true
	}
	return o.op.Method != "Free" && holder.op.Method != "Free" && (o.op.Method != "Read" || holder.op.Method != "Read")
}
