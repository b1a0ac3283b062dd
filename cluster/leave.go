package cluster

import (
	"context"
	"errors"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// leave lets others take the member's shards, for a while.
func (m *Member) leave(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	m.mu.Lock()
	m.leaving = true
	m.mu.Unlock()
	if m.cfg.LeaveTimeout < 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, m.cfg.LeaveTimeout)
	defer cancel()
	said := false
	for tries := 0; ; {
		changed := m.Changed()
		if m.empty() || !m.hasHeirs() {
			return nil
		}
		if !said {
			if said = m.sayLeaving(limited); !said && !m.pause(limited, m.backOff(tries, storeBackoff, maxStoreBackoff)) {
				return nil
			}
			tries++
			continue
		}
		select {
		case <-changed:
		case <-m.failed:
			return m.err()
		case <-limited.Done():
			m.cfg.Logger.WarnContext(ctx, "left before all shards were handed over", "shards", m.holds())
			return nil
		}
	}
}

// holds is how many shards the member has to do with.
func (m *Member) holds() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holdings.len()
}

// empty says whether the member has no shard, nor will be given one.
func (m *Member) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holdings.len() > 0 || m.lease.State > shard.LeaseSuspect {
		return m.lease.State > shard.LeaseSuspect
	}
	for i := range m.table.entries {
		if r := &m.table.entries[i].Record; r.OwnedBy(m.id, m.self) || r.Target == m.id && r.TargetRev == m.self {
			return false
		}
	}
	return true
}

// hasHeirs says whether somebody could take the shards.
func (m *Member) hasHeirs() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, p := range m.table.nodes {
		if _, drains := m.table.drains[id]; id != m.id && p.readable && !p.record.Draining && !drains {
			return true
		}
	}
	return false
}

// sayLeaving marks the own node record; false: it is not known whether it did.
func (m *Member) sayLeaving(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL/2)
	defer cancel()
	m.mu.Lock()
	record := m.record(true)
	m.mu.Unlock()
	key := m.keys.node(m.id)
	res, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.CreateRev(key, m.self)},
		Then: []coord.Op{coord.PutLeased(key, record.Encode(), m.leaseID), coord.Get(key)},
	})
	if err != nil {
		return m.restored(err) || errors.Is(err, coord.ErrLeaseNotFound)
	}
	if res.Succeeded {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.putNode(m.id, res.Results[1].KV)
	}
	return true
}
