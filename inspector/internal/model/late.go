package model

import (
	"slices"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// maxAge is how long ago what a node tells can have been.
const maxAge = 15 * time.Second

// late is what a node tells of its calls in an interval that ended at some time: it may have been held back, and the
// second that it belongs to may be one that was put off, and is still to begin.
type late struct {
	node *node
	told *inspectpb.WatchResponse
	span time.Duration // of the interval
	at   time.Duration
}

// count counts what a node tells: now, where it belongs to the present second or to one that is over, else when its second
// has come. m.mu is held.
func (m *Model) count(l late) {
	if l.at <= m.ticked+time.Second || l.node.late >= maxLate {
		m.take(l)
		return
	}
	l.node.late++
	i, _ := slices.BinarySearchFunc(m.late, l.at+1, func(other late, at time.Duration) int { return int(other.at - at) })
	m.late = slices.Insert(m.late, i, l)
}

// take counts what a node tells in the present second; m.mu is held.
func (m *Model) take(l late) {
	l.node.current.span += l.span
	m.takeMethods(l.node, l.told.GetMethods(), m.wall(l.at))
	m.calls.take(l.told.GetTypeEdges(), 0)
}

// takeLate counts what belongs to the present second, and says when that ends, where there is more, of later ones; else 0. Seconds of
// which nothing is told in between, as when the inspector stood still, are part of it. m.mu is held.
func (m *Model) takeLate() (end time.Duration) {
	for len(m.late) > 0 && m.late[0].at <= m.ticked+time.Second {
		l := m.late[0]
		m.late = slices.Delete(m.late, 0, 1)
		l.node.late--
		m.take(l)
	}
	if len(m.late) == 0 {
		return 0
	}
	return m.ticked + (m.late[0].at - m.ticked - 1).Truncate(time.Second)
}
