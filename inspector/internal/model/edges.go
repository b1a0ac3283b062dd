package model

import (
	"iter"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// edgeKey is two parties between which calls, or pushes, flow.
type edgeKey struct {
	from, to string
	push     bool
}

type edgeSum struct{ calls, errors, ns uint64 }

func (s *edgeSum) add(t edgeSum) {
	s.calls += t.calls
	s.errors += t.errors
	s.ns += t.ns
}

func (s *edgeSum) subtract(t edgeSum) {
	s.calls -= t.calls
	s.errors -= t.errors
	s.ns -= t.ns
}

// line is an edge, and what flowed in all seconds that are kept.
type line struct {
	edgeKey
	edgeSum

	last    uint64 // the last second in which something was told of it, and
	at      int32  // where it is among the parts of that
	seconds int32  // in so many something was; 0: the line is free
}

// edges is calls between parties, second by second. What nodes tell twice a second of many edges is looked up by name once, and
// added to what is there already: most edges are those of the seconds before. Lines lie side by side, as the calls that are
// watched drive all that is looked at now and then out of the caches.
type edges struct {
	slots  []edgeSlot
	second uint64 // that have been; those kept are in the slots of their numbers, modulo how many there are
	lines  []line
	free   []int32           // of these
	index  map[edgeKey]int32 // of the others, by what they are
	other  uint64            // calls of no line, in all seconds that are kept

	drawing drawing // see draw: kept for its room
}

// edgeSlot is one second.
type edgeSlot struct {
	parts []edgePart
	other uint64
}

// edgePart is what flowed along a line in a second.
type edgePart struct {
	line int32
	sum  edgeSum
}

func newEdges(seconds int) *edges {
	return &edges{slots: make([]edgeSlot, seconds+1), index: make(map[edgeKey]int32)}
}

// slot is the second so many seconds ago.
func (e *edges) slot(age int) *edgeSlot {
	n := uint64(len(e.slots))
	return &e.slots[(e.second+n-uint64(age))%n] //nolint:gosec // G115: from 0 to n-1
}

func (e *edges) tick() {
	e.second++
	oldest := e.slot(0)
	for i := range oldest.parts {
		p := &oldest.parts[i]
		l := &e.lines[p.line]
		l.subtract(p.sum)
		if l.seconds--; l.seconds == 0 {
			delete(e.index, l.edgeKey)
			*l = line{}
			e.free = append(e.free, p.line)
		}
	}
	e.other -= oldest.other
	*oldest = edgeSlot{parts: oldest.parts[:0]}
}

func (e *edges) take(told []*inspectpb.Edge, other uint64) {
	slot := e.slot(0)
	for _, t := range told {
		key := edgeKey{clip(t.GetFrom(), 256), clip(t.GetTo(), 256), t.GetPush()}
		at, known := e.index[key]
		if !known || e.lines[at].last != e.second {
			if len(slot.parts) >= maxEdges {
				other += t.GetCalls()
				continue
			}
			if !known {
				at = e.begin(key)
			}
			l := &e.lines[at]
			l.seconds++
			l.last, l.at = e.second, int32(len(slot.parts)) //nolint:gosec // G115: below maxEdges
			slot.parts = append(slot.parts, edgePart{line: at})
		}
		l, more := &e.lines[at], edgeSum{t.GetCalls(), t.GetErrors(), t.GetTotalNs()}
		l.add(more)
		slot.parts[l.at].sum.add(more)
	}
	slot.other += other
	e.other += other
}

// begin finds room for a line.
func (e *edges) begin(key edgeKey) (at int32) {
	if last := len(e.free) - 1; last >= 0 {
		at = e.free[last]
		e.free = e.free[:last]
	} else {
		at = int32(len(e.lines)) //nolint:gosec // G115: at most maxEdges in each of some seconds
		e.lines = append(e.lines, line{})
	}
	e.lines[at].edgeKey = key
	e.index[key] = at
	return at
}

// total is what flowed in the last seconds and the present one. The lines are not to be changed, nor kept.
func (e *edges) total(seconds int) (lines iter.Seq[*line], other uint64) {
	all, other := e.lines, e.other
	if seconds+1 < len(e.slots) {
		all, other = e.sum(seconds)
	}
	return func(yield func(*line) bool) {
		for i := range all {
			if l := &all[i]; l.seconds > 0 && !yield(l) {
				return
			}
		}
	}, other
}

// sum is total where it is not all seconds that are kept.
func (e *edges) sum(seconds int) (lines []line, other uint64) {
	index := make(map[int32]int)
	for age := range seconds + 1 {
		slot := e.slot(age)
		other += slot.other
		for _, p := range slot.parts {
			at, known := index[p.line]
			if !known {
				at = len(lines)
				index[p.line] = at
				lines = append(lines, line{edgeKey: e.lines[p.line].edgeKey})
			}
			lines[at].seconds++
			lines[at].add(p.sum)
		}
	}
	return lines, other
}

// shape is an edge as the API tells it, of what flowed in so many seconds.
func (l *line) shape(over float64) Edge {
	out := Edge{From: l.from, To: l.to, Push: l.push, Calls: float64(l.calls) / over, Errors: float64(l.errors) / over}
	if l.calls > 0 {
		out.Mean = float64(l.ns) / float64(l.calls) / 1e6
	}
	return out
}
