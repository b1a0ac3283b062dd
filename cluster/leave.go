package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// sayTimeout is how long a member that leaves tries to tell so. Who cannot is not going to
// hand anything over either, and its stop would take as long as its lease.
const sayTimeout = 2500 * time.Millisecond

// leave lets others take the member's shards, for a while, and what is left then end.
func (m *Member) leave(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	m.mu.Lock()
	m.leaving = true
	m.mu.Unlock()
	if m.cfg.LeaveTimeout >= 0 {
		m.giveAway(ctx)
	}
	switch last := m.holds() == 0; {
	case !m.Valid():
	case last && m.cfg.LastWords != nil:
		m.cfg.LastWords(ctx)
	case !last && m.cfg.Farewell != nil:
		m.cfg.Farewell(ctx)
	}
	return m.err()
}

// giveAway waits for others to take the shards: until there is nothing to take, or nobody
// to take it, or the time is up.
func (m *Member) giveAway(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, m.cfg.LeaveTimeout)
	defer cancel()
	if m.cfg.Until != nil {
		until, release := m.cfg.Until(ctx)
		defer release()
		defer context.AfterFunc(until, cancel)()
	}
	saying, enough := context.WithTimeout(limited, sayTimeout)
	defer enough()
	said := false
	for tries := 0; ; {
		changed := m.Changed()
		if m.empty() || !m.hasHeirs() {
			return
		}
		if !said {
			if said = m.sayLeaving(saying); !said && !m.pause(saying, m.backOff(tries, storeBackoff, maxStoreBackoff)) {
				m.cfg.Logger.WarnContext(ctx, "left without handing over: the store does not answer", "shards", m.holds())
				return
			}
			tries++
			continue
		}
		select {
		case <-changed:
		case <-m.failed:
			return
		case <-limited.Done():
			m.cfg.Logger.WarnContext(ctx, "left before all shards were handed over", "shards", m.holds())
			return
		}
	}
}

// quitTimeout is how long the host may take to let go of all shards: much longer than one
// that keeps its contract.
const quitTimeout = 5 * time.Second

// quit releases all shards and waits until the host knows. Its error names those of which
// the host does not let go.
func (m *Member) quit(cause error) error {
	why := ReleaseLeaving
	if cause != nil {
		why = ReleaseDead
	}
	m.mu.Lock()
	m.over = true
	m.validity.set(0)
	for n := range m.held {
		m.step(n, shard.OwnerEvent{Kind: shard.Quit, Why: why})
	}
	m.mu.Unlock()
	patience := m.cfg.Clock.NewTimer(quitTimeout)
	defer patience.Stop()
	for {
		changed := m.Changed()
		if m.holds() == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-patience.C:
			return m.stuck(cause)
		}
	}
}

// stuck is the error of a member whose host does not let go of its shards. It is not its
// cause: who has lost a lease may join again, and this one must not.
func (m *Member) stuck(cause error) error {
	m.mu.Lock()
	left := slices.Sorted(maps.Keys(m.holdings.busy))
	m.mu.Unlock()
	err := fmt.Errorf("leave cluster %s: the host does not let go of %d shards, among them %v", m.cfg.Name, len(left), left[:min(len(left), 10)])
	if cause != nil {
		err = fmt.Errorf("%w, after: %s", err, cause.Error())
	}
	return err
}

// abandonHost leaves a host that does not let go of its shards suspended, so that it
// answers for none of them when the lease, which is not revoked, has ended.
func (m *Member) abandonHost(stuck error) error {
	m.mu.Lock()
	m.suspended = stuck
	m.mu.Unlock()
	m.applySuspension(false)
	return stuck
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
