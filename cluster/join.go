package cluster

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// join makes the member known under a lease. It has no shards yet.
func (m *Member) join(ctx context.Context) (coord.LeaseID, error) {
	m.mu.Lock()
	again := m.leaseID != coord.NoLease
	m.mu.Unlock()
	if again {
		return 0, errors.New("a member runs once")
	}
	limited, cancel := context.WithTimeout(ctx, m.cfg.LeaseTTL)
	defer cancel()
	meta, rev, err := m.agree(limited)
	if err != nil {
		return 0, fmt.Errorf("join cluster %s: %w", m.cfg.Name, err)
	}
	select {
	case <-m.cfg.Broken: // before anything was promised
	default:
	}
	sent := m.cfg.Clock.Boot()
	lease, err := m.cfg.Store.Grant(limited, m.cfg.LeaseTTL)
	if err != nil {
		return 0, fmt.Errorf("join cluster %s: grant lease: %w", m.cfg.Name, err)
	}
	if lease.TTL != m.cfg.LeaseTTL {
		m.cfg.Logger.InfoContext(ctx, "the store grants another lease than asked for", "incarnation", m.id, "asked", m.cfg.LeaseTTL, "granted", lease.TTL)
	}
	m.mu.Lock()
	m.leaseID, m.meta, m.table.uuid = lease.ID, meta, meta.UUID
	m.lease = shard.NewLease(sent, m.cfg.Clock.Boot(), lease.TTL, m.flaws)
	m.mu.Unlock()
	kv, err := m.enter(limited, lease.ID, rev)
	if err != nil {
		if errors.Is(err, coord.ErrLeaseNotFound) {
			return 0, fmt.Errorf("join cluster %s: %w: %w", m.cfg.Name, ErrLeaseLost, err)
		}
		m.revoke(ctx, lease.ID)
		return 0, fmt.Errorf("join cluster %s: %w", m.cfg.Name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self = kv.CreateRev
	m.putNode(m.id, kv)
	m.stepLease(shard.LeaseEvent{Kind: shard.LeaseTick, Now: m.cfg.Clock.Boot()})
	return lease.ID, nil
}

// agree reads what the cluster's members agree on, or writes it if this is the first,
// and the revision of it.
func (m *Member) agree(ctx context.Context) (shard.Meta, int64, error) {
	mine := shard.Meta{Shards: m.cfg.Shards, Hash: shard.HashName, UUID: m.cfg.UUID, Format: shard.Format}
	first := mine
	if first.UUID == "" {
		first.UUID = crand.Text()
	}
	_, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.Absent(m.keys.meta())},
		Then: []coord.Op{coord.Put(m.keys.meta(), first.Encode())},
	})
	if err != nil && !errors.Is(err, coord.ErrUnavailable) { // that: it may have been written
		return shard.Meta{}, 0, fmt.Errorf("write cluster record: %w", err)
	}
	kv, _, err := m.cfg.Store.Get(ctx, m.keys.meta())
	if err != nil {
		return shard.Meta{}, 0, fmt.Errorf("read cluster record: %w", err)
	}
	meta, err := shard.DecodeMeta(kv.Value)
	if err != nil {
		return shard.Meta{}, 0, err
	}
	return meta, kv.ModRev, meta.Agree(mine)
}

// enter writes the node record and returns it as it is in the store.
func (m *Member) enter(ctx context.Context, lease coord.LeaseID, metaRev int64) (coord.KV, error) {
	key, value := m.keys.node(m.id), m.record(false).Encode()
	res, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.Absent(key), coord.ModRev(m.keys.meta(), metaRev)},
		Then: []coord.Op{coord.PutLeased(key, value, lease), coord.Get(key)},
		Else: []coord.Op{coord.Get(key)},
	})
	switch {
	case errors.Is(err, coord.ErrLeaseNotFound):
		return coord.KV{}, err
	case err != nil: // it may have been written
		kv, _, again := m.cfg.Store.Get(ctx, key)
		if again == nil && kv.Exists() && kv.Lease == lease {
			return kv, nil
		}
		return coord.KV{}, err
	case !res.Succeeded && res.Results[0].KV.Exists():
		return coord.KV{}, fmt.Errorf("incarnation %s exists", m.id)
	case !res.Succeeded:
		return coord.KV{}, errors.New("the cluster's record has just changed")
	}
	return res.Results[1].KV, nil
}

// record is the member's node record.
func (m *Member) record(draining bool) shard.NodeRecord {
	return shard.NodeRecord{
		Address: m.cfg.Address, Shards: m.cfg.Shards, Hash: shard.HashName, Weight: m.cfg.Weight,
		MinProtocol: m.cfg.MinProtocol, MaxProtocol: m.cfg.MaxProtocol, Cluster: m.table.uuid, Draining: draining,
	}
}

// speaks says why a member cannot work with a living one, or nil.
func (m *Member) speaks(p *peer) error {
	if r := p.record; p.readable && p.id != m.id && (r.MinProtocol > m.cfg.MaxProtocol || r.MaxProtocol < m.cfg.MinProtocol) {
		return fmt.Errorf("%w: member %s at %s speaks protocols %d to %d, this one %d to %d", shard.ErrIncompatible,
			p.id, r.Address, r.MinProtocol, r.MaxProtocol, m.cfg.MinProtocol, m.cfg.MaxProtocol)
	}
	return nil
}
