package model

import (
	"iter"
	"maps"

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

	seconds int    // in which something was told of it
	last    uint64 // the last of them, and
	at      int    // where it is among those of that second
}

// edges is calls between parties, second by second. What nodes tell twice a second of many edges is looked up by name once, and
// adds to what is there already: most edges are those of the seconds before.
type edges struct {
	slots  []edgeSlot
	second uint64 // that have been; those kept are in the slots of their numbers, modulo how many there are
	lines  map[edgeKey]*line
	other  uint64 // calls of no line, in all of them

	ranks ranking // see Graph: kept for its room
}

// edgeSlot is one second.
type edgeSlot struct {
	parts []edgePart
	other uint64
}

// edgePart is what flowed along a line in a second.
type edgePart struct {
	of  *line
	sum edgeSum
}

func newEdges(seconds int) *edges {
	return &edges{slots: make([]edgeSlot, seconds+1), lines: make(map[edgeKey]*line)}
}

// slot is the second so many seconds ago.
func (e *edges) slot(age int) *edgeSlot {
	n := uint64(len(e.slots))
	return &e.slots[(e.second+n-uint64(age))%n] //nolint:gosec // G115: from 0 to n-1
}

func (e *edges) tick() {
	e.second++
	oldest := e.slot(0)
	for _, p := range oldest.parts {
		p.of.subtract(p.sum)
		if p.of.seconds--; p.of.seconds == 0 {
			delete(e.lines, p.of.edgeKey)
		}
	}
	e.other -= oldest.other
	clear(oldest.parts) // they hold lines
	*oldest = edgeSlot{parts: oldest.parts[:0]}
}

func (e *edges) take(told []*inspectpb.Edge, other uint64) {
	slot := e.slot(0)
	for _, t := range told {
		key := edgeKey{clip(t.GetFrom(), 256), clip(t.GetTo(), 256), t.GetPush()}
		l := e.lines[key]
		if l == nil || l.last != e.second {
			if len(slot.parts) >= maxEdges {
				other += t.GetCalls()
				continue
			}
			if l == nil {
				l = &line{edgeKey: key}
				e.lines[key] = l
			}
			l.seconds++
			l.last, l.at = e.second, len(slot.parts)
			slot.parts = append(slot.parts, edgePart{of: l})
		}
		more := edgeSum{t.GetCalls(), t.GetErrors(), t.GetTotalNs()}
		l.add(more)
		slot.parts[l.at].sum.add(more)
	}
	slot.other += other
	e.other += other
}

// total is what flowed in the last seconds and the present one. It is not to be changed, nor kept.
func (e *edges) total(seconds int) (lines iter.Seq[*line], other uint64) {
	if seconds+1 >= len(e.slots) {
		return maps.Values(e.lines), e.other
	}
	some := make(map[*line]*line)
	for age := range seconds + 1 {
		slot := e.slot(age)
		other += slot.other
		for _, p := range slot.parts {
			sum := some[p.of]
			if sum == nil {
				sum = &line{edgeKey: p.of.edgeKey}
				some[p.of] = sum
			}
			sum.add(p.sum)
		}
	}
	return maps.Values(some), other
}

// shape is an edge as the API tells it, of what flowed in so many seconds.
func (l *line) shape(over float64) Edge {
	out := Edge{From: l.from, To: l.to, Push: l.push, Calls: float64(l.calls) / over, Errors: float64(l.errors) / over}
	if l.calls > 0 {
		out.Mean = float64(l.ns) / float64(l.calls) / 1e6
	}
	return out
}
