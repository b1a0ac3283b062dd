package model

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// While nobody looks, nodes hold back what they do and tell several seconds together, and the model counts seconds when it has been
// told of them: it is that much behind, and each second is what it was, whenever it is told and however the nodes' clocks go.

// maxAge is how long ago what a node tells can have been.
const maxAge = 15 * time.Second

// What waits for its second takes at most so many bytes, about: what is more counts at once, if not in its second.
const (
	lateBytes  = 64 << 20
	lateItself = 256 // of a message, beside what is in it
)

// late is what a node tells of its calls in an interval that ended at some time: the second that it belongs to may not have begun yet.
type late struct {
	node    *node
	methods []*inspectpb.MethodStats
	edges   []*inspectpb.Edge
	bytes   int
	span    time.Duration // of the interval
	at      time.Duration
}

// count counts what a node tells: now, where it belongs to the present second or to one that is over, else when its second
// has come. m.mu is held.
func (m *Model) count(n *node, r *inspectpb.WatchResponse, span time.Duration) {
	age := min(max(time.Duration(r.GetAgeNs()), 0), maxAge)
	l := late{node: n, methods: r.GetMethods(), edges: r.GetTypeEdges(), span: span, at: m.clock.Monotonic() - age}
	n.until = max(n.until, l.at)
	if l.at <= m.ticked+time.Second {
		m.take(l)
		return
	}
	if l.bytes = proto.Size(r) + lateItself; m.waiting+l.bytes > lateBytes {
		m.take(l)
		return
	}
	m.waiting += l.bytes
	m.late = append(m.late, l)
}

// take counts what a node tells in the present second; m.mu is held.
func (m *Model) take(l late) {
	l.node.current.span += l.span
	m.takeMethods(l.node, l.methods, m.wall(l.at))
	m.calls.take(l.edges, 0)
}

// takeLate counts what waits and belongs to the present second, if that ends then; m.mu is held.
func (m *Model) takeLate(end time.Duration) {
	taken := 0
	for _, l := range m.late {
		if l.at > end {
			break
		}
		taken++
		m.waiting -= l.bytes
		m.take(l)
	}
	m.late = slices.Delete(m.late, 0, taken)
}

// catchUp ends the seconds until then, as far as something that is told belongs to later ones. Those in between of which nothing is told, as when
// the inspector stood still, are ended as one. m.mu is held.
func (m *Model) catchUp(until time.Duration) {
	slices.SortStableFunc(m.late, func(a, b late) int { return cmp.Compare(a.at, b.at) })
	for end := m.ticked + time.Second; ; end = m.ticked + max((m.late[0].at-m.ticked-1).Truncate(time.Second), time.Second) {
		m.takeLate(end)
		if len(m.late) == 0 || end > until {
			return
		}
		m.endSecond(end, true)
	}
}

// toldUntil is until when it is known what the nodes did that tell it; now, where there are none. m.mu is held.
func (m *Model) toldUntil(now time.Duration) time.Duration {
	until := now
	for _, n := range m.nodes {
		if m.tells(n, now) {
			until = min(until, n.until)
		}
	}
	return until
}
