package cluster

import (
	"context"
	"fmt"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// snapshot is the cluster's part of the store at one revision.
type snapshot struct {
	rev       int64
	meta      coord.KV
	nodes     map[string]coord.KV
	allocator coord.KV
	shards    map[uint32]shardAt
	orders    map[uint32]shard.Order
	drains    map[string]int64
	garbage   []string // keys whose values are none
}

// shardAt is a shard's record and its revision.
type shardAt struct {
	record shard.Record // the zero record: garbage
	rev    int64
}

// list reads the cluster's part of the store, page by page, as of the first page.
func (m *Member) list(ctx context.Context) (*snapshot, error) {
	return list(ctx, m.cfg.Store, m.keys, m.cfg.Shards)
}

// list reads what a cluster of at most so many shards has in a store.
func list(ctx context.Context, store coord.Reader, k keys, shards int) (*snapshot, error) {
	s := &snapshot{
		nodes: make(map[string]coord.KV), shards: make(map[uint32]shardAt),
		orders: make(map[uint32]shard.Order), drains: make(map[string]int64),
	}
	opts := coord.RangeOptions{Limit: pageSize}
	for {
		page, err := store.Range(ctx, k.prefix, opts)
		if err != nil {
			return nil, fmt.Errorf("list cluster: %w", err)
		}
		for _, kv := range page.KVs {
			s.sort(k, kv, shards)
		}
		s.rev = page.Rev
		if !page.More || len(page.KVs) == 0 {
			return s, nil
		}
		opts.Rev, opts.StartKey = page.Rev, page.KVs[len(page.KVs)-1].Key+"\x00"
	}
}

// sort puts a key where it belongs.
func (s *snapshot) sort(k keys, kv coord.KV, shards int) {
	if id, ok := k.in(nodesFolder, kv.Key); ok {
		s.nodes[id] = kv
	} else if name, ok := k.in(shardsFolder, kv.Key); ok {
		if n, ok := number(name, shards); ok {
			record, err := shard.DecodeShard(kv.Value)
			if err != nil {
				s.garbage = append(s.garbage, kv.Key)
			}
			s.shards[n] = shardAt{record, kv.ModRev}
		}
	} else if name, ok := k.in(movesFolder, kv.Key); ok {
		if n, ok := number(name, shards); ok {
			s.orders[n] = shard.Order{Shard: n, Target: string(kv.Value), Rev: kv.ModRev}
		}
	} else if id, ok := k.in(drainsFolder, kv.Key); ok {
		s.drains[id] = kv.ModRev
	} else if kv.Key == k.allocator() {
		s.allocator = kv
	} else if kv.Key == k.meta() {
		s.meta = kv
	}
}

// take makes the table what a snapshot says, where the table does not know better, and
// says how many keys that changed.
func (m *Member) take(s *snapshot) (changed int) {
	count := func(did bool) {
		if did {
			changed++
		}
	}
	m.table.rev = max(m.table.rev, s.rev)
	m.told.Store(max(m.told.Load(), s.rev))
	for id, kv := range s.nodes {
		count(m.putNode(id, kv))
	}
	for _, p := range m.table.peers() {
		if _, there := s.nodes[p.id]; !there {
			count(m.dropNode(p.id, s.rev))
		}
	}
	for n := range m.table.entries {
		n := uint32(n)
		at, there := s.shards[n]
		switch e := &m.table.entries[n]; {
		case there:
			count(m.putShard(n, at.record, at.rev, false))
		case e.Rev > 0 && !e.Absent() && e.Rev <= s.rev:
			count(m.putShard(n, shard.Record{}, s.rev, true))
		}
	}
	count(m.putAllocator(s.allocator, s.rev))
	m.takeWishes(s)
	m.checkMeta(s.meta)
	for _, key := range s.garbage {
		m.cfg.Logger.Error("a shard's record cannot be read: it will be replaced", "key", key)
	}
	m.announce()
	return changed
}

// takeWishes takes over what operators wish.
func (m *Member) takeWishes(s *snapshot) {
	for n, o := range m.table.orders {
		if _, there := s.orders[n]; !there && o.Rev <= s.rev {
			delete(m.table.orders, n)
		}
	}
	for n, o := range s.orders {
		m.putOrder(n, o)
	}
	for id, rev := range m.table.drains {
		if _, there := s.drains[id]; !there && rev <= s.rev {
			delete(m.table.drains, id)
		}
	}
	for id, rev := range s.drains {
		m.table.drains[id] = max(m.table.drains[id], rev)
	}
	signal(m.urgent)
}

func (m *Member) putOrder(n uint32, o shard.Order) {
	if m.table.orders[n].Rev < o.Rev {
		m.table.orders[n] = o
	}
}

// checkMeta ends a member whose cluster is another than when it joined.
func (m *Member) checkMeta(kv coord.KV) {
	meta, err := shard.DecodeMeta(kv.Value)
	if err == nil {
		err = meta.Agree(m.meta)
	}
	if err != nil {
		m.failLocked(fmt.Errorf("the cluster's record has changed under its members: %w", err))
	}
}

// putNode, dropNode, putShard and putAllocator take note of a key and do what follows.
func (m *Member) putNode(id string, kv coord.KV) bool {
	if !m.table.putNode(id, kv, m.cfg.Clock.Monotonic()) {
		return false
	}
	p := m.table.nodes[id]
	if !p.readable {
		m.cfg.Logger.Error("a member's record cannot be read: it gets no shards", "incarnation", id)
	}
	if id == m.id {
		m.selfMod = p.modRev
	}
	m.publishPeers()
	m.rerouteOf(id)
	signal(m.urgent)
	return true
}

func (m *Member) dropNode(id string, rev int64) bool {
	if !m.table.dropNode(id, rev) {
		return false
	}
	delete(m.table.drains, id)
	m.publishPeers()
	m.rerouteOf(id)
	if id == m.id && !m.over {
		m.stepLease(shard.LeaseEvent{Kind: shard.LeaseLost, Now: m.cfg.Clock.Boot()})
	}
	signal(m.urgent)
	return true
}

func (m *Member) putShard(n uint32, record shard.Record, rev int64, gone bool) bool {
	e := &m.table.entries[n]
	if e.Rev >= rev {
		return false
	}
	h := m.holding(n) // before the record changes that it may follow from
	m.table.putShard(n, record, rev, gone)
	m.reroute(n)
	if h != nil || e.Record.OwnedBy(m.id, m.self) {
		m.step(n, shard.OwnerEvent{Kind: shard.RecordSeen, Record: e.Record, Rev: rev})
	}
	if m.table.alive(e.Record.Owner, e.Record.OwnerRev) == nil {
		signal(m.urgent)
	} else {
		signal(m.routine)
	}
	return true
}

// putAllocator takes note of the allocator's key as it was at rev; it may not exist.
func (m *Member) putAllocator(kv coord.KV, rev int64) bool {
	if kv.Exists() {
		rev = kv.ModRev
	}
	if m.table.allocator.rev >= rev {
		return false
	}
	before := m.table.allocator
	m.table.allocator = leadership{rev: rev}
	if kv.Exists() {
		m.table.allocator = leadership{id: string(kv.Value), term: kv.CreateRev, rev: rev}
	}
	changed := before.term != m.table.allocator.term
	if changed {
		signal(m.urgent)
	}
	return changed
}
