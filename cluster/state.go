package cluster

import (
	"time"

	"github.com/xiaonanln/goverse/internal/shard"
)

// State is a member at a moment, for operators and tests.
type State struct {
	Incarnation string
	Cluster     string           // the cluster's UUID
	Lease       shard.LeaseState // zero before it has joined
	ValidFor    time.Duration    // until the lease must be renewed; not positive: it is not valid
	Allocator   string           // incarnation, empty: none is known
	Term        int64            // of the allocator
	Revision    int64            // of the store, up to which this member was told all
	Members     int
	Open        int    // own shards that are served
	Busy        int    // own shards that are being opened, drained or transferred
	Store       string // what the store fails at now, with its words; empty: nothing
	Divergences uint64 // keys that a comparison with the store found changed though the watch was silent
}

// State is the member at this moment.
func (m *Member) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := State{
		Incarnation: m.id, Cluster: m.meta.UUID, Lease: m.lease.State,
		Allocator: m.table.allocator.id, Term: m.table.allocator.term, Revision: m.told.Load(),
		Members: len(m.table.nodes), Divergences: m.divergences, Store: m.troubles.String(),
	}
	s.ValidFor = m.validity.left(m.cfg.Clock)
	s.Open = m.holdings.count
	for _, h := range m.holdings.busy {
		if h.rules.Phase == shard.Serving {
			s.Open++
		} else {
			s.Busy++
		}
	}
	return s
}

// Unowned is how many shards have no living owner, as far as this member knows: it looks at each.
func (m *Member) Unowned() (n int) {
	for i := range m.routes {
		if m.routes[i].Load() == nil {
			n++
		}
	}
	return n
}

// MemberInfo is a living member.
type MemberInfo struct {
	Incarnation string
	Address     string
	Weight      int
	Leaving     bool // it wants to go
	Draining    bool // an operator wants it empty
	Shards      int  // that it owns
}

// Members are the living members, by incarnation.
func (m *Member) Members() []MemberInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	owned := make(map[string]int)
	for i := range m.table.entries {
		if r := &m.table.entries[i].Record; m.table.alive(r.Owner, r.OwnerRev) != nil {
			owned[r.Owner]++
		}
	}
	peers := m.table.peers()
	infos := make([]MemberInfo, len(peers))
	for i, p := range peers {
		_, drains := m.table.drains[p.id]
		infos[i] = MemberInfo{
			Incarnation: p.id, Address: p.record.Address, Weight: p.record.Weight,
			Leaving: p.record.Draining, Draining: drains, Shards: owned[p.id],
		}
	}
	return infos
}

// SaidGoodbye tells of a member that is gone whether it had said that it would leave. It is forgotten
// when all records were read anew twice.
func (m *Member) SaidGoodbye(incarnation string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.buried[incarnation].said
}

// ShardInfo is a shard's record.
type ShardInfo struct {
	Owner    string // incarnation, empty: nobody that lives
	Epoch    uint64
	Target   string // to which it moves, empty: it does not
	Pinned   bool
	Revision int64
}

// Shards are the records of all shards, by their numbers.
func (m *Member) Shards() []ShardInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	infos := make([]ShardInfo, len(m.table.entries))
	for i := range m.table.entries {
		e := &m.table.entries[i]
		infos[i] = ShardInfo{Epoch: e.Record.Epoch, Target: e.Record.Target, Pinned: e.Record.Pinned, Revision: e.Rev}
		if m.table.alive(e.Record.Owner, e.Record.OwnerRev) != nil {
			infos[i].Owner = e.Record.Owner
		}
	}
	return infos
}
