package model

import (
	"cmp"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// node is what is known of a node.
type node struct {
	id     string
	member cluster.MemberInfo
	gone   time.Duration // since when it is no member; 0: it is
	err    string        // why it cannot be reached; empty: it can, or has not been tried
	linked bool          // it has told something since it could not be reached

	stopTold bool // that it is being stopped

	vitals  *inspectpb.Vitals
	asOf    time.Duration // when it told these
	since   time.Duration // that it has told of since then
	seen    int64         // when it last told something, Unix ms
	heard   time.Duration
	cpu     float64
	process process
	told    uint64 // the last event's number
	current tally  // of this second
	last    second
	points  []NodePoint
	running map[methodKey]uint64
	types   map[string]uint64
	sampled uint32
	until   time.Duration // it has told what it did

	registered []*inspectpb.TypeInfo // not changed any more
	learnt     uint64                // the rev at which it told them
}

// process is what tells one server's process from another's, and so whose numbers its events
// have: a server that has lost its lease joins again as another node, and tells the same events.
type process struct {
	address string
	pid     int64
	started int64
}

// tally is what happened in a second.
type tally struct {
	calls, errors, activations, pushes uint64
	latency                            latency
	span                               time.Duration // that calls are told of
	looked, cpu                        time.Duration // that the rest is told of; of the processors
}

// second is the rates of a second that is over.
type second struct {
	calls, errors, activations, pushes float64
	latency                            latency
}

// rates is what happened in a second, where something is told of it; what is not told of is as in the one before.
func (t *tally) rates(before second) second {
	s := t.span.Seconds()
	now := second{float64(t.calls) / s, float64(t.errors) / s, before.activations, before.pushes, t.latency}
	if s := t.looked.Seconds(); s > 0 {
		now.activations, now.pushes = float64(t.activations)/s, float64(t.pushes)/s
	}
	return now
}

// Nodes lists the nodes, by address. Those that left stay for a minute.
func (m *Model) Nodes() Nodes {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Nodes{Nodes: make([]Node, 0, len(m.nodes))}
	for _, n := range m.nodes {
		out.Nodes = append(out.Nodes, m.shape(n))
	}
	slices.SortFunc(out.Nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	return out
}

// Node is one node with its history; false: there is none of that incarnation.
func (m *Model) Node(id string) (Node, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[id]
	if n == nil {
		return Node{}, false
	}
	shape := m.shape(n)
	history := append([]NodePoint{}, n.points...)
	shape.History = &history
	return shape, true
}

// shape is a node as the API tells it; m.mu is held.
func (m *Model) shape(n *node) Node {
	v, now := n.vitals, m.clock.Monotonic() // the vitals may be nil: their getters answer zero
	p50, p95, p99 := n.last.latency.percentiles()
	at := int64(0)
	if last := len(n.points); last > 0 {
		at = n.points[last-1].T
	}
	return Node{
		Incarnation: n.id, Address: n.member.Address, ClientAddress: clip(v.GetClientAddress(), 256),
		Version: clip(v.GetVersion(), 256), GoVersion: clip(v.GetGoVersion(), 64), PID: v.GetPid(), Started: v.GetStartedUs() / 1000,
		State: n.state(), Error: n.err, CPU: n.cpu, Processors: v.GetProcessors(), Heap: v.GetHeapBytes(), RSS: v.GetRssBytes(),
		Goroutines: v.GetGoroutines(), Objects: v.GetObjects(), Clients: v.GetClients(), Shards: n.member.Shards, BusyShards: v.GetBusyShards(),
		Lease: clip(v.GetLease(), 64), ValidFor: ms(int64(n.validFor(now))), Allocator: n.gone == 0 && n.id == m.view.Allocator,
		Calls: n.last.calls, Errors: n.last.errors, P50: p50, P95: p95, P99: p99, Waiting: v.GetWaiting(),
		Activations: n.last.activations, Pushes: n.last.pushes, LostPushes: v.GetLostPushes(), Weight: n.member.Weight,
		Drain: n.gone == 0 && n.member.Draining, Stopping: n.gone == 0 && n.stops(), Seen: n.seen, SilentFor: ms(int64(m.silent(n, now))), At: at, Sampling: max(n.sampled, 1),
	}
}

// silent is for how long a node has told nothing, of one that tells nothing; 0: it tells what it does, or has told nothing
// yet, as it is new. m.mu is held.
func (m *Model) silent(n *node, now time.Duration) time.Duration {
	if age := now - n.heard; n.heard != 0 && (age > m.fresh(now) || n.err != "") {
		return max(age, time.Millisecond)
	}
	return 0
}

// tells says whether what is known of a node is how it is now. The figures of others are left out wherever those of many
// nodes are put together. m.mu is held.
func (m *Model) tells(n *node, now time.Duration) bool {
	return n.gone == 0 && n.heard != 0 && m.silent(n, now) == 0
}

// fresh is for how long what a node told last is taken for what it does: longer while nobody looks, and until nodes have
// learnt that somebody does; m.mu is held.
func (m *Model) fresh(now time.Duration) time.Duration {
	if m.attended.there && now-m.attended.since > fresh {
		return fresh
	}
	return HoldFor + fresh
}

// validFor is for how long a node's lease is valid, as far as is known.
func (n *node) validFor(now time.Duration) time.Duration {
	left := time.Duration(n.vitals.GetValidForNs())
	if left <= 0 {
		return left
	}
	return max(left-max(now-n.asOf, 0), 0)
}

// state is a node's state in one word.
func (n *node) state() string {
	switch {
	case n.gone != 0:
		return "gone"
	case n.err != "":
		return "unreachable"
	case n.vitals != nil && n.vitals.GetValidForNs() <= 0:
		return "fenced"
	case n.vitals.GetLease() == "suspect":
		return "suspect"
	case n.stops():
		return "stopping"
	case n.vitals.GetDraining(), n.member.Draining:
		return "draining"
	}
	return "live"
}

// stops says whether a node's server is being stopped, by what it says itself, which is sooner, or by its record, which
// is known also where the inspector cannot reach it.
func (n *node) stops() bool { return n.vitals.GetStopping() || n.member.Leaving }

// noteStop takes note, once, that a node's server is being stopped; m.mu is held.
func (m *Model) noteStop(n *node) {
	if n.stops() && !n.stopTold {
		n.stopTold = true
		m.tell(Event{At: m.now(), Kind: "leave", Level: "info", Text: n.member.Address + " is being stopped, and leaves.", Node: n.id, Shard: -1})
	}
}

// Unreachable takes note that a node does not answer, and why.
func (m *Model) Unreachable(id string, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[id]
	if n == nil || n.gone != 0 {
		return
	}
	if n.err == "" && n.linked {
		m.tell(Event{At: m.now(), Kind: "link", Level: "warning", Text: clip("The inspector cannot reach the node: "+why.Error(), maxText), Node: id, Shard: -1})
	}
	n.err, n.linked = clip(why.Error(), maxText), false
	m.judge()
	m.version.Nodes = m.next()
}

// Report takes over what a node tells about itself.
func (m *Model) Report(id string, r *inspectpb.WatchResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[id]
	if n == nil || n.gone != 0 {
		return
	}
	back := n.err != ""
	if back {
		m.tell(Event{At: m.now(), Kind: "link", Level: "info", Text: "The inspector reaches the node again.", Node: id, Shard: -1})
	}
	n.err, n.linked, n.seen, n.heard = "", true, m.now(), max(m.clock.Monotonic(), 1)
	n.sampled = r.GetSampling()
	if back {
		m.judge()
	}
	span := spanOf(r)
	n.since += span
	m.takeVitals(n, r.GetVitals())
	m.noteStop(n)
	n.types = make(map[string]uint64)
	for _, t := range r.GetTypes()[:min(len(r.GetTypes()), maxTypes)] {
		n.types[clip(t.GetType(), 256)] += t.GetObjects()
	}
	m.count(n, r, span)
	for _, e := range r.GetEvents()[:min(len(r.GetEvents()), maxHeard)] {
		m.takeEvent(n, e)
	}
	rev := m.next()
	m.version.Nodes, m.version.Types, m.version.Graph = rev, rev, rev
}

// spanOf is the time that a message tells of.
func spanOf(r *inspectpb.WatchResponse) time.Duration {
	span := time.Duration(r.GetIntervalNs())
	if span < time.Millisecond || span > time.Minute {
		return time.Second
	}
	return span
}

// takeVitals takes over how a node is; counters that stand lower than before are those of
// another process. A message without any leaves all as it is.
func (m *Model) takeVitals(n *node, v *inspectpb.Vitals) {
	before := n.vitals
	if v == nil { // as they were
		return
	}
	n.vitals, n.asOf = v, m.clock.Monotonic()
	if now := (process{n.member.Address, v.GetPid(), v.GetStartedUs()}); now != n.process {
		n.process, n.told = now, max(n.told, m.told[now])
	}
	over := n.since
	n.since = 0
	if before == nil || v.GetPid() != before.GetPid() || v.GetCpuNs() < before.GetCpuNs() {
		return
	}
	n.current.looked += over
	n.current.cpu += time.Duration(v.GetCpuNs() - before.GetCpuNs())
	n.current.activations += rise(before.GetActivations(), v.GetActivations())
	n.current.pushes += rise(before.GetPushes(), v.GetPushes())
}

func rise(from, to uint64) uint64 { return to - min(from, to) }
