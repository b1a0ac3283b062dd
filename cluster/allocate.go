package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// The pace of the allocator.
const (
	allocatorPause  = 20 * time.Millisecond // between two looks at planned moves
	campaignJitter  = 20 * time.Millisecond // so that not all ask at once
	leavingDelay    = 300 * time.Millisecond
	parallelBatches = 4
)

// term is what the member does as the allocator.
type term struct {
	number int64 // create revision of the allocator's key
	rules  *shard.Allocator
}

// allocate makes the member the allocator if there is none, and as the allocator has
// written what the rules decide.
func (m *Member) allocate(ctx context.Context) {
	tries := 0
	for {
		next, progress := m.allocateOnce(ctx)
		switch progress {
		case more:
			tries = 0
			continue
		case stuck:
			tries++
			next = m.backOff(tries, storeBackoff, maxStoreBackoff)
		case idle:
			tries = 0
		}
		if !m.awaitWork(ctx, next) {
			return
		}
	}
}

// progress is what came of a look at what to allocate.
type progress int

const (
	idle  progress = iota // nothing to do until something changes
	more                  // something was done, there may be more
	stuck                 // the store did not answer
)

// awaitWork waits until there may be something to allocate, at most for d if that is
// positive.
func (m *Member) awaitWork(ctx context.Context, d time.Duration) bool {
	var due <-chan time.Time
	if d > 0 {
		timer := m.cfg.Clock.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-m.urgent:
	case <-m.routine:
		if !m.pauseUnlessUrgent(ctx) {
			return false
		}
	case <-due:
	case <-ctx.Done():
		return false
	}
	return true
}

func (m *Member) pauseUnlessUrgent(ctx context.Context) bool {
	timer := m.cfg.Clock.NewTimer(allocatorPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.urgent:
	case <-ctx.Done():
		return false
	}
	select { // what came meanwhile is seen as well
	case <-m.routine:
	default:
	}
	return true
}

// allocateOnce campaigns or decides, once.
func (m *Member) allocateOnce(ctx context.Context) (time.Duration, progress) {
	m.mu.Lock()
	leader, trusted := m.table.allocator, m.lease.State == shard.LeaseValid && !m.over
	known, delay := m.told.Load() > 0, time.Duration(0)
	if m.leaving {
		delay = leavingDelay
	}
	m.mu.Unlock()
	switch {
	case !trusted || !known:
		return 0, idle
	case leader.id == "":
		if !m.pause(ctx, delay+m.jitter(campaignJitter)) {
			return 0, idle
		}
		return 0, m.campaign(ctx)
	case leader.id != m.id:
		return 0, idle
	}
	d, ok := m.decide()
	if !ok {
		return 0, idle
	}
	if len(d.Batches) > 0 || len(d.Done) > 0 {
		return 0, m.carryOut(ctx, leader.term, d)
	}
	if d.Wakes {
		return max(d.Wake-m.cfg.Clock.Monotonic(), time.Millisecond), idle
	}
	return 0, idle
}

// campaign asks to be the allocator, if there is none.
func (m *Member) campaign(ctx context.Context) progress {
	m.mu.Lock()
	taken := m.table.allocator.id != ""
	m.mu.Unlock()
	if taken {
		return more
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
	defer cancel()
	key := m.keys.allocator()
	res, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.Absent(key), coord.CreateRev(m.keys.node(m.id), m.self)},
		Then: []coord.Op{coord.PutLeased(key, []byte(m.id), m.leaseID), coord.Get(key)},
		Else: []coord.Op{coord.Get(key), coord.Get(key)},
	})
	m.trouble(writing, err)
	if err != nil {
		if m.restored(err) || errors.Is(err, coord.ErrRefused) {
			return stuck
		}
		kv, rev, err := m.cfg.Store.Get(ctx, key) // it may have been written
		m.trouble(reading, err)
		if err != nil {
			return stuck
		}
		m.noteAllocator(kv, rev)
		return stuck
	}
	m.noteAllocator(res.Results[1].KV, res.Rev)
	if !res.Succeeded && !res.Results[1].KV.Exists() {
		return stuck // the own node key is gone: the watch will tell
	}
	return more
}

func (m *Member) noteAllocator(kv coord.KV, rev int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.rev = max(m.table.rev, rev)
	m.putAllocator(kv, rev)
	m.announce()
}

// decide asks the rules; false: the member is not the allocator any more.
func (m *Member) decide() (shard.Decision, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table.allocator.id != m.id || m.over {
		return shard.Decision{}, false
	}
	now := m.cfg.Clock.Monotonic()
	if m.terms == nil || m.terms.number != m.table.allocator.term {
		m.terms = &term{number: m.table.allocator.term, rules: shard.NewAllocator(shard.AllocatorConfig{
			Limits: m.cfg.Limits, Gather: max(m.cfg.Gather, 0), Grace: max(m.cfg.Grace, 0),
			MoveTimeout: m.cfg.DrainTimeout + moveSlack, Backoff: moveBackoff, MaxBackoff: maxMoveBackoff, Flaws: m.flaws,
		}, now)}
	}
	return m.terms.rules.Step(now, m.table.view(m.settleUntil)), true
}

// carryOut writes what was decided, batches side by side.
func (m *Member) carryOut(ctx context.Context, term int64, d shard.Decision) progress {
	results := make(chan bool, len(d.Batches))
	slots := make(chan struct{}, parallelBatches)
	for _, b := range d.Batches {
		slots <- struct{}{}
		m.spawn(func(ctx context.Context) {
			ok := false
			defer func() { <-slots; results <- ok }()
			ok = m.writeBatch(ctx, term, b)
		})
	}
	result := more
	for range d.Batches {
		if !<-results {
			result = stuck
		}
	}
	for _, o := range d.Done {
		if !m.forget(ctx, term, o) {
			result = stuck
		}
	}
	return result
}

// writeBatch writes a batch, or takes note of why it could not be written; false: the
// store did not answer.
func (m *Member) writeBatch(ctx context.Context, term int64, b shard.Batch) bool {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
	defer cancel()
	var txn coord.Txn
	if !m.flaws.NoTerm {
		txn.If = append(txn.If, coord.CreateRev(m.keys.allocator(), term))
	}
	look := []coord.Op{coord.Get(m.keys.allocator())}
	for _, g := range b.Guards {
		txn.If = append(txn.If, coord.CreateRev(m.keys.node(g.ID), g.Rev))
		look = append(look, coord.Get(m.keys.node(g.ID)))
	}
	for _, w := range b.Writes {
		key := m.keys.shard(w.Shard)
		if !m.flaws.NoCompare {
			txn.If = append(txn.If, coord.ModRev(key, w.Rev))
		}
		txn.Then = append(txn.Then, coord.Put(key, w.Record.Encode()))
		look = append(look, coord.Get(key))
	}
	txn.Else = look
	res, err := m.cfg.Store.Txn(ctx, txn)
	m.trouble(writing, err)
	unknown := err != nil
	if unknown {
		if m.restored(err) || errors.Is(err, coord.ErrRefused) {
			return false
		}
		res, err = m.cfg.Store.Txn(ctx, coord.Txn{Then: look})
		m.trouble(reading, err)
		if err != nil {
			return false
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.table.rev = max(m.table.rev, res.Rev)
	if res.Succeeded && !unknown {
		for _, w := range b.Writes {
			m.putShard(w.Shard, w.Record, res.Rev, false)
		}
		m.announce()
		return true
	}
	m.noteBatch(b, res)
	return !unknown
}

// noteBatch takes note of all that a batch rests on.
func (m *Member) noteBatch(b shard.Batch, res coord.TxnResult) {
	m.putAllocator(res.Results[0].KV, res.Rev)
	for i, g := range b.Guards {
		m.noteNode(g.ID, res.Results[1+i].KV, res.Rev)
	}
	for i, w := range b.Writes {
		m.noteShard(w.Shard, res.Results[1+len(b.Guards)+i].KV, res.Rev)
	}
	m.announce()
}

// forget deletes an operator's wish that is carried out or cannot be.
func (m *Member) forget(ctx context.Context, term int64, o shard.Order) bool {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
	defer cancel()
	key := m.keys.move(o.Shard)
	_, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.CreateRev(m.keys.allocator(), term), coord.ModRev(key, o.Rev)},
		Then: []coord.Op{coord.Delete(key)},
	})
	m.trouble(writing, err)
	if err != nil {
		m.restored(err)
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.table.orders[o.Shard].Rev == o.Rev {
		delete(m.table.orders, o.Shard)
	}
	m.announce()
	return true
}
