package cluster

import (
	"context"
	"fmt"
	"math"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// maxAhead is how many revisions another member can be ahead of this one's watch: a hint
// from farther in the future is nonsense.
const maxAhead = 1 << 32

// Route is where a shard is.
type Route struct {
	Incarnation string // of the owner
	Address     string // of the owner
	Epoch       uint64
	Revision    int64 // of the shard's record: the greater, the newer
}

// Route is who owns a shard, as far as this member knows; false: nobody that lives. It
// takes no lock.
func (m *Member) Route(n uint32) (Route, bool) {
	if int(n) >= len(m.routes) {
		return Route{}, false
	}
	w := m.routes[n].Load()
	if w == nil {
		return Route{}, false
	}
	return Route{Incarnation: w.home.Incarnation, Address: w.home.Address, Epoch: w.epoch, Revision: w.rev}, true
}

// whereabouts is a Route in little memory: there is one for each shard.
type whereabouts struct {
	home  *home // shared by the shards of a member
	epoch uint64
	rev   int64
}

// home is where a member is.
type home struct{ Incarnation, Address string }

// Learn takes a hint from another member, if it is newer than what this one knows. A
// hint about a shard that this member has is looked after in the store.
func (m *Member) Learn(n uint32, r Route) {
	plausible := r.Incarnation != "" && r.Address != "" && r.Revision < m.told.Load()+maxAhead
	if int(n) >= len(m.routes) || !plausible {
		return
	}
	hint := &whereabouts{&home{r.Incarnation, r.Address}, r.Epoch, r.Revision}
	for {
		old := m.routes[n].Load()
		if old != nil && (old.rev >= r.Revision || old.epoch > r.Epoch) {
			return
		}
		if old != nil && old.home.Incarnation == m.id {
			m.startRefresh(n)
			return
		}
		if m.routes[n].CompareAndSwap(old, hint) {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.announce()
}

// Node is a living member by its incarnation: its address, without epoch and revision.
func (m *Member) Node(incarnation string) (Route, bool) {
	r, ok := (*m.living.Load())[incarnation]
	return r, ok
}

// Changed is closed at the next change of routes or of what this member owns. Who waits
// for a route asks for it first, then for the route.
func (m *Member) Changed() <-chan struct{} { return *m.changes.Load() }

// announce tells who waits that something has changed.
func (m *Member) announce() {
	next := make(chan struct{})
	close(*m.changes.Swap(&next))
}

// reroute derives a shard's route from the table, unless a hint is newer than all that
// the watch has told.
func (m *Member) reroute(n uint32) { m.routeTo(n, m.told.Load()) }

// routeTo does so if no hint is newer than the revision until.
func (m *Member) routeTo(n uint32, until int64) {
	e := &m.table.entries[n]
	var r *whereabouts
	if p := m.table.alive(e.Record.Owner, e.Record.OwnerRev); p != nil {
		r = &whereabouts{p.at(), e.Record.Epoch, e.Rev}
	}
	for {
		old := m.routes[n].Load()
		if old != nil && old.rev > e.Rev && old.rev > until {
			return // a hint from a member that is ahead of this one's watch
		}
		if m.routes[n].CompareAndSwap(old, r) {
			return
		}
	}
}

// rerouteOf does so for all shards of a member.
func (m *Member) rerouteOf(id string) {
	for n := range m.table.entries {
		if m.table.entries[n].Record.Owner == id {
			m.reroute(uint32(n))
		}
	}
}

// publishPeers makes the living members known to Node.
func (m *Member) publishPeers() {
	living := make(map[string]Route, len(m.table.nodes))
	for id, p := range m.table.nodes {
		if p.readable {
			living[id] = Route{Incarnation: id, Address: p.record.Address}
		}
	}
	m.living.Store(&living)
}

// refresh is a reading of a shard's record that several wait for.
type refresh struct {
	done chan struct{}
	err  error    // to be read after done
	next *refresh // that begins after this one, or nil; guarded by Member.mu
}

// Refresh reads a shard's record from the store, linearizably, and returns the route that
// it gives: the zero Route if nobody that lives owns the shard. Calls at the same time
// share readings; each gets one that began after the call.
func (m *Member) Refresh(ctx context.Context, n uint32) (Route, error) {
	if int(n) >= len(m.routes) {
		return Route{}, fmt.Errorf("refresh shard %d: there is no such shard", n)
	}
	f := m.startRefresh(n)
	if f == nil {
		return Route{}, fmt.Errorf("refresh shard %d: %w", n, ErrNotRunning)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Route{}, fmt.Errorf("refresh shard %d: %w", n, context.Cause(ctx))
	}
	if f.err != nil {
		return Route{}, fmt.Errorf("refresh shard %d: %w", n, f.err)
	}
	r, _ := m.Route(n)
	return r, nil
}

// startRefresh begins a reading, or waits for the next if one is under way; nil: the
// member does not run.
func (m *Member) startRefresh(n uint32) *refresh {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.running || m.over {
		return nil
	}
	now := m.refreshes[n]
	if now == nil {
		now = &refresh{done: make(chan struct{})}
		m.refreshes[n] = now
		m.spawn(func(ctx context.Context) { m.refreshAll(ctx, n, now) })
		return now
	}
	if now.next == nil {
		now.next = &refresh{done: make(chan struct{})}
	}
	return now.next
}

// refreshAll reads until nobody wants another reading.
func (m *Member) refreshAll(ctx context.Context, n uint32, f *refresh) {
	for f != nil {
		f.err = m.read(ctx, n)
		m.mu.Lock()
		done := f.done
		f = f.next
		if f == nil {
			delete(m.refreshes, n)
		} else {
			m.refreshes[n] = f
		}
		m.mu.Unlock()
		close(done)
	}
}

// read takes note of a shard's record, and of its owner, as they are in the store.
func (m *Member) read(ctx context.Context, n uint32) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
	defer cancel()
	kv, rev, err := m.cfg.Store.Get(ctx, m.keys.shard(n))
	m.trouble(reading, err)
	if err != nil {
		m.restored(err)
		return fmt.Errorf("read shard: %w", err)
	}
	owner := m.note(n, kv, rev)
	if owner == "" {
		return nil
	}
	kv, rev, err = m.cfg.Store.Get(ctx, m.keys.node(owner))
	if err != nil {
		return fmt.Errorf("read its owner: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noteNode(owner, kv, rev)
	m.announce()
	return nil
}

// note takes note of a shard's key as it was at rev, and returns the owner if that is
// nobody who is known.
func (m *Member) note(n uint32, kv coord.KV, rev int64) (unknown string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noteShard(n, kv, rev)
	m.routeTo(n, math.MaxInt64) // no hint that was there before is newer than the store
	m.announce()
	r := m.table.entries[n].Record
	if r.Owner != "" && m.table.alive(r.Owner, r.OwnerRev) == nil {
		return r.Owner
	}
	return ""
}

// noteShard takes note of a shard's key as it was at rev; it may not exist.
func (m *Member) noteShard(n uint32, kv coord.KV, rev int64) {
	m.table.rev = max(m.table.rev, rev)
	e := &m.table.entries[n]
	switch {
	case kv.Exists():
		record, err := shard.DecodeShard(kv.Value)
		if err != nil {
			record = shard.Record{}
		}
		m.putShard(n, record, kv.ModRev, false)
	case e.Rev > 0 && !e.Absent() && e.Rev <= rev:
		m.putShard(n, shard.Record{}, rev, true)
	}
}

// noteNode takes note of a member's key as it was at rev; it may not exist.
func (m *Member) noteNode(id string, kv coord.KV, rev int64) {
	m.table.rev = max(m.table.rev, rev)
	if kv.Exists() {
		m.putNode(id, kv)
	} else {
		m.dropNode(id, rev)
	}
}
