package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// follow keeps the table as the store is: it reads all, and then watches from the
// revision after that. Where history was compacted away it reads all again.
func (m *Member) follow(ctx context.Context) {
	for tries := 0; ; tries++ {
		if tries > 0 && !m.pause(ctx, m.backOff(tries, storeBackoff, maxStoreBackoff)) {
			return
		}
		limited, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL)
		s, err := m.list(limited)
		cancel()
		m.trouble(reading, err)
		if ctx.Err() != nil || m.restored(err) {
			return
		}
		if err != nil {
			continue
		}
		m.meet(s)
		if !m.watchFrom(ctx, s.rev) {
			return
		}
		tries = 0
	}
}

// meet takes note of a snapshot; the first one says whether the member can work with the
// others at all.
func (m *Member) meet(s *snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.take(s)
	m.table.relisted(s.rev)
	if m.met {
		return
	}
	m.met = true
	for _, p := range m.table.peers() {
		if err := m.speaks(p); err != nil {
			m.failLocked(err)
			return
		}
	}
}

// watchFrom tells the table what happens after rev, through broken links, until history
// is missing (true) or ctx ends (false).
func (m *Member) watchFrom(ctx context.Context, rev int64) bool {
	w := &watch{member: m, upTo: rev}
	for tries := 0; ; tries++ {
		if tries > 0 && !m.pause(ctx, m.backOff(tries, storeBackoff, maxStoreBackoff)) {
			return false
		}
		before := w.upTo
		err := w.run(ctx)
		switch {
		case ctx.Err() != nil, m.restored(err):
			return false
		case m.flaws.ResumeCompacted && errors.Is(err, coord.ErrCompacted):
			w.upTo++
		case errors.Is(err, coord.ErrCompacted), errors.Is(err, coord.ErrInvalid), errors.Is(err, coord.ErrFutureRev):
			return true
		case err != nil:
			m.trouble(watching, err)
		}
		if w.upTo > before {
			tries = 0
		}
	}
}

// watchWorks is how long a watch has to last to be taken for one that works.
const watchWorks = 2 * time.Second

// watch is one that may break and is resumed.
type watch struct {
	member *Member
	upTo   int64 // all until this revision has been told
}

// run watches until the link breaks, and says why.
func (w *watch) run(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	batches := w.member.cfg.Store.Watch(ctx, w.member.keys.prefix, w.upTo+1)
	works := w.member.cfg.Clock.NewTimer(watchWorks)
	defer works.Stop()
	every := w.member.cfg.Relist
	var due <-chan time.Time
	if every > 0 {
		timer := w.member.cfg.Clock.NewTimer(every*3/4 + w.member.jitter(every/2))
		defer timer.Stop()
		due = timer.C
	}
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return coord.ErrUnavailable
			}
			if b.Err != nil {
				return b.Err
			}
			w.member.apply(b)
			w.upTo = max(w.upTo, b.Rev)
		case <-works.C:
			w.member.trouble(watching, nil)
		case <-due:
			if err := w.compare(ctx, batches); err != nil {
				return err
			}
			return nil // and resume: a fresh watch, a fresh timer
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// compare reads all anew and counts what the watch has not told though it had the time.
func (w *watch) compare(ctx context.Context, batches <-chan coord.Batch) error {
	m := w.member
	limited, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL)
	defer cancel()
	s, err := m.list(limited)
	if err != nil {
		return err
	}
	timer := m.cfg.Clock.NewTimer(m.cfg.LeaseTTL / 4)
	defer timer.Stop()
	for late := false; !late && w.upTo < s.rev; {
		select {
		case b, ok := <-batches:
			if !ok || b.Err != nil {
				return b.Err
			}
			m.apply(b)
			w.upTo = max(w.upTo, b.Rev)
		case <-timer.C: // it need not tell that nothing happened
			late = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.take(s); n > 0 {
		m.divergences += uint64(n)
		m.cfg.Logger.WarnContext(ctx, "the watch of the coordination store has missed changes", "keys", n, "revision", s.rev)
	}
	m.table.relisted(s.rev)
	w.upTo = max(w.upTo, s.rev)
	return nil
}

// apply takes note of what a watch tells.
func (m *Member) apply(b coord.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.rev = max(m.table.rev, b.Rev)
	m.told.Store(max(m.told.Load(), b.Rev))
	for _, e := range b.Events {
		m.applyEvent(e)
	}
	if len(b.Events) > 0 {
		m.announce()
	}
}

func (m *Member) applyEvent(e coord.Event) {
	k, rev := m.keys, e.KV.ModRev
	if id, ok := k.in(nodesFolder, e.KV.Key); ok {
		m.applyNode(id, e)
	} else if name, ok := k.in(shardsFolder, e.KV.Key); ok {
		m.applyShard(name, e)
	} else if name, ok := k.in(movesFolder, e.KV.Key); ok {
		m.applyOrder(name, e)
	} else if id, ok := k.in(drainsFolder, e.KV.Key); ok {
		if !e.Deleted {
			m.table.drains[id] = max(m.table.drains[id], rev)
		} else if m.table.drains[id] < rev {
			delete(m.table.drains, id)
		}
		signal(m.urgent)
	} else if e.KV.Key == k.allocator() {
		if e.Deleted {
			e.KV = coord.KV{}
		}
		m.putAllocator(e.KV, rev)
	} else if e.KV.Key == k.meta() {
		m.checkMeta(e.KV)
	}
}

func (m *Member) applyNode(id string, e coord.Event) {
	if e.Deleted {
		m.dropNode(id, e.KV.ModRev)
	} else {
		m.putNode(id, e.KV)
	}
}

func (m *Member) applyOrder(name string, e coord.Event) {
	n, ok := number(name, m.cfg.Shards)
	if ok && !e.Deleted {
		m.putOrder(n, shard.Order{Shard: n, Target: string(e.KV.Value), Rev: e.KV.ModRev})
	} else if ok && m.table.orders[n].Rev < e.KV.ModRev {
		delete(m.table.orders, n)
	}
	signal(m.urgent)
}

func (m *Member) applyShard(name string, e coord.Event) {
	n, ok := number(name, m.cfg.Shards)
	if !ok {
		return
	}
	record, err := shard.DecodeShard(e.KV.Value)
	if err != nil && !e.Deleted {
		m.cfg.Logger.Error("a shard's record cannot be read: it will be replaced", "key", e.KV.Key, "error", err.Error())
	}
	if e.Deleted {
		record = shard.Record{}
	}
	m.putShard(n, record, e.KV.ModRev, e.Deleted)
}
