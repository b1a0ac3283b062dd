package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// table is what a member knows of the store. Every key is known at its newest revision
// that was heard of, in whatever order; what is older is ignored.
type table struct {
	rev       int64 // the greatest revision that was heard of
	nodes     map[string]*peer
	buried    map[string]grave // incarnations that are gone
	listed    int64            // the revision of the last full list
	entries   []shard.Entry
	allocator leadership
	orders    map[uint32]shard.Order
	drains    map[string]int64 // incarnations that operators want empty, by revision
	uuid      string           // of the cluster
}

// grave is what is left of a member.
type grave struct {
	rev  int64 // since when it is gone
	said bool  // it had said that it would leave
}

// peer is a living member.
type peer struct {
	id        string
	record    shard.NodeRecord
	readable  bool // the record is one
	createRev int64
	modRev    int64
	lease     coord.LeaseID
	since     time.Duration // first seen
	home      *home         // see at
}

// at is where the member is: the same for all its shards.
func (p *peer) at() *home {
	if p.home == nil || p.home.Address != p.record.Address {
		p.home = &home{p.id, p.record.Address}
	}
	return p.home
}

// leadership is who allocates, since when. The zero leadership is nobody's.
type leadership struct {
	id   string
	term int64
	rev  int64
}

func newTable(shards int) table {
	return table{
		nodes: make(map[string]*peer), buried: make(map[string]grave), entries: make([]shard.Entry, shards),
		orders: make(map[uint32]shard.Order), drains: make(map[string]int64),
	}
}

// alive is the member of that incarnation and create revision, or nil.
func (t *table) alive(id string, rev int64) *peer {
	if p := t.nodes[id]; p != nil && p.createRev == rev {
		return p
	}
	return nil
}

// intern spares the memory of a name for each shard.
func (t *table) intern(id string) string {
	if p := t.nodes[id]; p != nil {
		return p.id
	}
	return id
}

// peers are the living members by incarnation.
func (t *table) peers() []*peer {
	all := make([]*peer, 0, len(t.nodes))
	for _, p := range t.nodes {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	return all
}

// view is the table as the allocator sees it. It shares the entries.
func (t *table) view(settleUntil time.Duration) shard.View {
	v := shard.View{Rev: t.rev, Shards: t.entries, SettleUntil: settleUntil}
	for _, p := range t.peers() {
		_, drains := t.drains[p.id]
		v.Members = append(v.Members, shard.Member{
			ID: p.id, Rev: p.createRev, Weight: max(p.record.Weight, 1), Draining: drains,
			Leaving: p.record.Draining || !p.readable, Since: p.since,
		})
	}
	for _, o := range t.orders {
		v.Orders = append(v.Orders, o)
	}
	slices.SortFunc(v.Orders, func(a, b shard.Order) int { return cmp.Compare(a.Shard, b.Shard) })
	return v
}

// putNode takes note of a member; false: it was known.
func (t *table) putNode(id string, kv coord.KV, now time.Duration) bool {
	if gone, ok := t.buried[id]; ok {
		if gone.rev >= kv.ModRev {
			return false
		}
		delete(t.buried, id)
	}
	old := t.nodes[id]
	if old != nil && old.modRev >= kv.ModRev {
		return false
	}
	record, err := shard.DecodeNode(kv.Value)
	p := &peer{id: id, record: record, readable: err == nil, createRev: kv.CreateRev, modRev: kv.ModRev, lease: kv.Lease, since: now}
	if old != nil && old.createRev == p.createRev {
		p.since = old.since
	}
	t.nodes[id] = p
	return true
}

// dropNode takes note that a member was gone at rev; false: it was known, or is older
// than what is known.
func (t *table) dropNode(id string, rev int64) bool {
	p := t.nodes[id]
	if p == nil || p.modRev > rev {
		return false
	}
	delete(t.nodes, id)
	t.buried[id] = grave{rev, p.record.Draining}
	return true
}

// relisted takes note of a full list at rev, from which the watch goes on. What was buried
// before the one before that is forgotten: nothing that is older is told any more.
func (t *table) relisted(rev int64) {
	maps.DeleteFunc(t.buried, func(_ string, gone grave) bool { return gone.rev <= t.listed })
	t.listed = max(t.listed, rev)
}

// putShard takes note of a shard's newer record (the zero record is garbage, or none if gone).
func (t *table) putShard(n uint32, record shard.Record, rev int64, gone bool) {
	record.Owner, record.Target = t.intern(record.Owner), t.intern(record.Target)
	t.entries[n].See(record, rev, gone)
}
