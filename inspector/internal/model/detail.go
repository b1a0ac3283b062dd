package model

import (
	"cmp"
	"slices"

	"github.com/xiaonanln/goverse/internal/shard"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// Known is what the model knows of an object, with what a node says of it.
func (m *Model) Known(id, node string, info *inspectpb.DescribeResponse) Detail {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Detail{
		Known: info != nil, Shard: -1, IdleTimeout: idleTimeout(info.GetIdleTimeoutNs()), Turns: []Turn{}, Callers: []Edge{}, Callees: []Edge{}, History: []Passage{}, Sampling: 1,
	}
	if n := m.nodes[node]; n != nil {
		out.Sampling = max(n.sampled, 1)
	}
	if info.GetFound() {
		o := ShapeObject(node, info.GetInfo())
		out.Object, out.Owner, out.Shard, out.Epoch = &o, node, o.Shard, o.Epoch
	}
	if t := m.types[typeOf(id)]; out.Object == nil && len(m.shards) > 0 && (t == nil || !t.client) {
		n := shard.Of(id, len(m.shards))
		out.Shard = int32(n) //nolint:gosec // G115: at most 65535
		out.Owner, out.Epoch = m.ownerOf(n)
	}
	one := m.interests[NewInterest(true, "", id)]
	if one == nil || one.focus == nil {
		for _, t := range info.GetTurns()[:min(len(info.GetTurns()), maxTurns)] {
			if !waits(t) {
				out.Turns = append(out.Turns, shapeTurn(node, t))
			}
		}
		out.Turns = append(out.Turns, shapeWaiting(node, info.GetTurns())...)
		return out
	}
	for _, h := range one.focus.turns {
		out.Turns = append(out.Turns, h.turn)
	}
	slices.SortFunc(out.Turns, func(a, b Turn) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID)) })
	out.Turns = append(out.Turns, shapeWaiting(node, info.GetTurns())...)
	lines, _ := one.edges.total(histogram)
	over := m.window(one.begun, histogram)
	for l := range lines {
		if l.to == id {
			out.Callers = append(out.Callers, l.shape(over))
		}
		if l.from == id {
			out.Callees = append(out.Callees, l.shape(over))
		}
	}
	busiest := func(a, b Edge) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.From+a.To, b.From+b.To))
	}
	slices.SortFunc(out.Callers, busiest)
	slices.SortFunc(out.Callees, busiest)
	out.Callers, out.Callees = out.Callers[:min(len(out.Callers), 200)], out.Callees[:min(len(out.Callees), 200)]
	out.History = append(out.History, one.focus.past...)
	return out
}

// Focused is what is known of an object that somebody watches; false: nobody does.
func (m *Model) Focused(id string) (Detail, bool) {
	m.mu.Lock()
	one := m.interests[NewInterest(true, "", id)]
	if one == nil || one.focus == nil {
		m.mu.Unlock()
		return Detail{}, false
	}
	asked, node, info := one.focus.asked, one.focus.node, one.focus.info
	m.mu.Unlock()
	out := m.Known(id, node, info)
	out.Known = asked
	return out, true
}

func typeOf(id string) string {
	for i := range len(id) {
		if id[i] == '-' {
			return id[:i]
		}
	}
	return id
}

// ShapeObject is an object as the API tells it.
func ShapeObject(node string, o *inspectpb.ObjectInfo) Object {
	return Object{
		ID: clip(o.GetId(), 256), Type: clip(o.GetType(), 256), Node: node, Shard: max(o.GetShard(), -1), Epoch: o.GetEpoch(), Phase: clip(o.GetPhase(), 64),
		Running: o.GetRunning(), Waiting: o.GetWaiting(), Calls: o.GetCalls(), Time: float64(o.GetTimeNs()) / 1e6,
		Idle: ms(o.GetIdleNs()), Age: ms(o.GetAgeNs()),
	}
}

// idleTimeout is in milliseconds; -1: never.
func idleTimeout(ns int64) float64 {
	if ns < 0 {
		return -1
	}
	return ms(ns)
}
