package model

import (
	"fmt"

	"github.com/xiaonanln/goverse/cluster"
)

// The phases of a shard.
const (
	open = iota
	moving
	unowned
)

// placedShard is a shard, and when it last changed.
type placedShard struct {
	owner, target int // indexes, or -1
	epoch         uint64
	phase         int
	rev           uint64
}

// Lost takes note that there is no coordination store, and why.
func (m *Model) Lost(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = clip(why.Error(), maxText)
	m.judge()
}

// Place takes over who is there and which shards are where.
func (m *Model) Place(v cluster.View) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seek()
	m.trouble = ""
	if v.Trouble != nil {
		m.trouble = clip(v.Trouble.Error(), maxText)
	}
	if v.UUID == "" && v.Trouble != nil { // nothing was read: what was known stays
		m.judge()
		return
	}
	if m.placed && v.UUID != m.view.UUID {
		m.shards = nil
	}
	m.placeMembers(v)
	m.placeShards(v)
	if before := m.view.Allocator; v.Allocator != before && v.Allocator != "" && m.placed {
		m.tell(Event{At: m.now(), Kind: "lease", Level: "info", Text: m.name(v.Allocator) + " allocates the shards now.", Node: v.Allocator, Shard: -1})
	}
	if !m.placed {
		m.since = m.now()
	}
	m.view, m.placed = v, true
	m.judge()
	rev := m.next()
	m.version.Nodes, m.version.Graph = rev, rev
}

// placeMembers takes note of joins and leaves; m.mu is held.
func (m *Model) placeMembers(v cluster.View) {
	there := make(map[string]bool)
	for _, member := range v.Members[:min(len(v.Members), maxNodes)] {
		there[member.Incarnation] = true
		n := m.nodes[member.Incarnation]
		if n == nil {
			n = &node{id: member.Incarnation}
			m.nodes[n.id] = n
			text := member.Address + " has joined."
			if !m.placed {
				text = member.Address + " is here, as the inspector comes."
			}
			m.tell(Event{At: m.now(), Kind: "join", Level: "info", Text: text, Node: n.id, Shard: -1})
		}
		if member.Draining != n.member.Draining && n.member.Address != "" {
			text := member.Address + " is to be drained."
			if !member.Draining {
				text = member.Address + " may have shards again."
			}
			m.tell(Event{At: m.now(), Kind: "drain", Level: "info", Text: text, Node: n.id, Shard: -1})
		}
		n.member, n.gone = member, 0
		m.noteStop(n)
	}
	for id, n := range m.nodes {
		if there[id] || n.gone != 0 {
			continue
		}
		e := Event{At: m.now(), Kind: "leave", Level: "info", Text: n.member.Address + " has left.", Node: id, Shard: -1}
		if !n.stops() {
			e.Level, e.Text = "warning", n.member.Address+" is gone without a farewell: its lease has ended."
		}
		m.tell(e)
		n.gone = max(m.clock.Monotonic(), 1)
		n.last, n.err, n.member.Shards = second{}, "", 0
	}
}

// placeShards takes note of what changed owner or phase; m.mu is held.
func (m *Model) placeShards(v cluster.View) {
	first := len(m.shards) != len(v.Shards)
	if first {
		m.anew = m.rev + 1
		m.shards = make([]placedShard, len(v.Shards))
		for i := range m.shards {
			m.shards[i] = placedShard{owner: -1, target: -1, phase: unowned, rev: m.anew}
		}
	}
	changed := false
	m.vacate(v)
	for i := range v.Shards {
		s := &v.Shards[i]
		now := placedShard{owner: m.indexOf(s.Owner), target: m.indexOf(s.Target), epoch: s.Epoch}
		switch {
		case now.owner < 0:
			now.phase = unowned
		case now.target >= 0:
			now.phase = moving
		}
		was := m.shards[i]
		now.rev = was.rev
		if now == was {
			continue
		}
		if now.owner >= 0 && now.owner != was.owner && !first && m.placed {
			if was.epoch > 0 { // it had an owner before
				m.moves++
				m.moved = m.clock.Monotonic()
			}
			m.noteHop(was.owner, s.Owner, uint32(i))
		}
		now.rev = m.rev + 1
		m.shards[i] = now
		changed = true
	}
	if changed || first {
		m.version.Shards = m.next()
	}
}

// noteHop takes note of who lost a shard to whom; m.mu is held.
func (m *Model) noteHop(from int, to string, n uint32) {
	hop := [2]string{"", to}
	if from >= 0 {
		hop[0] = m.order[from]
	}
	if len(m.hops) < maxNodes || m.hops[hop] != nil {
		m.hops[hop] = append(m.hops[hop], n)
	}
}

// indexOf is the index of an incarnation; m.mu is held.
func (m *Model) indexOf(id string) int {
	if id == "" {
		return -1
	}
	if i, ok := m.index[id]; ok {
		return i
	}
	i := len(m.order)
	if last := len(m.vacant) - 1; last >= 0 {
		i = m.vacant[last]
		m.vacant = m.vacant[:last]
		delete(m.index, m.order[i])
	} else {
		m.order = append(m.order, "")
	}
	m.order[i], m.index[id] = id, i
	return i
}

// vacate finds the indexes of incarnations that no shard names, nor will, where there are many: others
// may have them. m.mu is held.
func (m *Model) vacate(v cluster.View) {
	m.vacant = nil
	if len(m.order) < maxNodes {
		return
	}
	named := make(map[int]bool)
	for i := range m.shards {
		named[m.shards[i].owner], named[m.shards[i].target] = true, true
	}
	for i := range v.Shards {
		for _, id := range []string{v.Shards[i].Owner, v.Shards[i].Target} {
			if at, ok := m.index[id]; ok {
				named[at] = true
			}
		}
	}
	for i := range m.order {
		if !named[i] {
			m.vacant = append(m.vacant, i)
		}
	}
}

// judge says how the cluster is, in a word and in words; m.mu is held.
func (m *Model) judge() {
	now := Overview{State: Live, Allocator: m.view.Allocator, Sampling: 1}
	clock, members := m.clock.Monotonic(), 0
	for _, n := range m.nodes {
		if n.gone != 0 {
			continue
		}
		members++
		if m.tells(n, clock) {
			now.Sampling = max(now.Sampling, n.sampled)
		} else if n.err != "" || m.silent(n, clock) > 0 {
			now.Unreachable++
		}
	}
	now.Unowned, _, now.Skew = m.spread()
	switch {
	case m.trouble != "" && m.placed && m.view.UUID != "":
		now.State, now.Message = Stale, "etcd does not answer: "+m.trouble
	case m.trouble != "":
		now.State, now.Message = Waiting, "Waiting for etcd: "+m.trouble
	case !m.placed:
		now.State, now.Message = Waiting, "Waiting for etcd."
	case m.view.UUID == "" || len(m.view.Members) == 0:
		now.State, now.Message = Waiting, "Waiting for the cluster's first server."
	case now.Unreachable > 0:
		now.Message = fmt.Sprintf("%d of %d servers cannot be reached: their figures are left out.", now.Unreachable, members)
	}
	if now != m.state {
		m.state = now
		m.version.State = m.next()
	}
}

// spread says how many shards nobody has, how many move, and how many more shards the
// busiest node has than the mean; m.mu is held.
func (m *Model) spread() (nobodys, underWay int, skew float64) {
	owned := make([]int, len(m.order))
	for i := range m.shards {
		switch s := &m.shards[i]; s.phase {
		case unowned:
			nobodys++
		case moving:
			underWay++
			fallthrough
		default:
			owned[s.owner]++
		}
	}
	most, total := 0, 0
	for _, n := range owned {
		most, total = max(most, n), total+n
	}
	if total > 0 && len(m.view.Members) > 0 {
		skew = float64(most) * float64(len(m.view.Members)) / float64(total)
	}
	return nobodys, underWay, skew
}

// Shards is all shards.
func (m *Model) Shards() Shards {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Shards{Count: len(m.shards), Nodes: append([]string{}, m.order...), Shards: make([][4]int64, len(m.shards))}
	for i := range m.shards {
		out.Shards[i] = m.shards[i].shape()
	}
	out.Unowned, out.Moving, out.Skew = m.spread()
	return out
}

func (s *placedShard) shape() [4]int64 {
	return [4]int64{int64(s.owner), int64(s.epoch), int64(s.phase), int64(s.target)} //nolint:gosec // G115: an epoch is a revision
}

// ShardsSince is the shards that changed after rev; false: these are other shards than then, of another cluster, of which
// all must be told.
func (m *Model) ShardsSince(rev uint64) (ShardChanges, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.anew > rev {
		return ShardChanges{}, false
	}
	out := ShardChanges{Changed: [][5]int64{}, Nodes: append([]string{}, m.order...)}
	_, _, out.Skew = m.spread()
	for i := range m.shards {
		if s := &m.shards[i]; s.rev > rev {
			f := s.shape()
			out.Changed = append(out.Changed, [5]int64{int64(i), f[0], f[1], f[2], f[3]})
		}
	}
	return out, true
}
