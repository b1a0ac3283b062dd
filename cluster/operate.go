package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/xiaonanln/goverse/internal/coord"
)

// ErrNoSuchMember is the error of an operation on a member that does not live.
var ErrNoSuchMember = errors.New("no such member")

// Move asks the allocator to move a shard to a member and to leave it there, and waits
// until it is there. A move whose drain does not end in time is tried again, later; it is
// never forced. When ctx ends first, the wish is taken back; a move that has begun may
// still be carried out.
func (m *Member) Move(ctx context.Context, n uint32, to string) error {
	if int(n) >= len(m.routes) {
		return fmt.Errorf("move shard %d: there is no such shard", n)
	}
	kv, err := m.node(ctx, to)
	if err != nil {
		return fmt.Errorf("move shard %d: %w", n, err)
	}
	key := m.keys.move(n)
	res, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.CreateRev(kv.Key, kv.CreateRev)},
		Then: []coord.Op{coord.Put(key, []byte(to))},
	})
	if unknown(err) {
		if res.Rev, res.Succeeded = m.wishStands(ctx, key, to); res.Succeeded {
			err = nil
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("move shard %d: %w", n, err)
	case !res.Succeeded:
		return fmt.Errorf("move shard %d to %s: %w", n, to, ErrNoSuchMember)
	}
	for {
		changed := m.Changed()
		if r, ok := m.Route(n); ok && r.Incarnation == to {
			return nil
		}
		if m.heardAfter(res.Rev) && !m.wished(n, res.Rev) {
			return m.moved(ctx, n, to)
		}
		select {
		case <-changed:
		case <-m.ended:
			return fmt.Errorf("move shard %d: %w", n, ErrNotRunning)
		case <-ctx.Done():
			m.takeBack(ctx, key, res.Rev)
			return fmt.Errorf("move shard %d to %s: %w", n, to, context.Cause(ctx))
		}
	}
}

// unknown says whether what failed so may have been done all the same.
func unknown(err error) bool {
	return errors.Is(err, coord.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// wishStands is the revision of a wish of which nobody said whether it was written; false:
// it was not, yet, or that cannot be found out.
func (m *Member) wishStands(ctx context.Context, key, to string) (int64, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.LeaseTTL/2)
	defer cancel()
	kv, _, err := m.cfg.Store.Get(ctx, key)
	return kv.ModRev, err == nil && kv.Exists() && string(kv.Value) == to
}

// heardAfter says whether the watch has come as far as rev.
func (m *Member) heardAfter(rev int64) bool { return m.told.Load() >= rev }

func (m *Member) wished(n uint32, rev int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.orders[n].Rev == rev
}

// moved says whether a wish that is gone was carried out.
func (m *Member) moved(ctx context.Context, n uint32, to string) error {
	r, err := m.Refresh(ctx, n)
	switch {
	case err != nil:
		return fmt.Errorf("move shard %d: %w", n, err)
	case r.Incarnation != to:
		return fmt.Errorf("move shard %d to %s: the member does not take it, or another wish came", n, to)
	}
	return nil
}

func (m *Member) takeBack(ctx context.Context, key string, rev int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.LeaseTTL/2)
	defer cancel()
	_, err := m.cfg.Store.Txn(ctx, coord.Txn{If: []coord.Compare{coord.ModRev(key, rev)}, Then: []coord.Op{coord.Delete(key)}})
	if err != nil {
		m.cfg.Logger.WarnContext(ctx, "wish not taken back", "key", key, "error", err.Error())
	}
}

// Drain asks the allocator to move all shards of a member elsewhere and to give it no
// others, and waits until it has none. The wish lasts as long as the member lives, also
// when ctx ends; see [Member.Undrain].
func (m *Member) Drain(ctx context.Context, incarnation string) error {
	createRev, wished, err := m.wishEmpty(ctx, incarnation)
	if err != nil {
		return err
	}
	for {
		changed := m.Changed()
		if m.heardAfter(wished) && m.hasNothing(incarnation, createRev) {
			return nil
		}
		select {
		case <-changed:
		case <-m.ended:
			return fmt.Errorf("drain member %s: %w", incarnation, ErrNotRunning)
		case <-ctx.Done():
			return fmt.Errorf("drain member %s: %w", incarnation, context.Cause(ctx))
		}
	}
}

// BeginDrain is [Member.Drain] without the waiting: it returns when the wish is written.
func (m *Member) BeginDrain(ctx context.Context, incarnation string) error {
	_, _, err := m.wishEmpty(ctx, incarnation)
	return err
}

// wishEmpty writes the wish that a member be emptied. It returns the revision at which the member joined, and that of
// the wish.
func (m *Member) wishEmpty(ctx context.Context, incarnation string) (createRev, wished int64, err error) {
	kv, err := m.node(ctx, incarnation)
	if err != nil {
		return 0, 0, fmt.Errorf("drain member: %w", err)
	}
	res, err := m.cfg.Store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.CreateRev(kv.Key, kv.CreateRev)},
		Then: []coord.Op{coord.PutLeased(m.keys.drain(incarnation), nil, kv.Lease)},
	})
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("drain member %s: %w", incarnation, err)
	case !res.Succeeded:
		return 0, 0, fmt.Errorf("drain member %s: %w", incarnation, ErrNoSuchMember)
	}
	return kv.CreateRev, res.Rev, nil
}

// Undrain takes a Drain back.
func (m *Member) Undrain(ctx context.Context, incarnation string) error {
	if _, err := m.cfg.Store.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Delete(m.keys.drain(incarnation))}}); err != nil {
		return fmt.Errorf("undrain member %s: %w", incarnation, err)
	}
	return nil
}

// hasNothing says whether a member owns no shard and none moves to it.
func (m *Member) hasNothing(id string, rev int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.table.entries {
		if r := &m.table.entries[i].Record; r.OwnedBy(id, rev) || r.Target == id && r.TargetRev == rev {
			return false
		}
	}
	return true
}

// Evict ends the membership of a process that is dead for certain: because the caller has
// seen it exit, or holds the lock that it held. Its shards are taken over at once. A
// member that lives after all is fenced only by its lease's own clock: never call this
// because somebody does not answer. A member that is not there is no error. The member
// need not run.
func (m *Member) Evict(ctx context.Context, incarnation string) error {
	kv, err := m.node(ctx, incarnation)
	if errors.Is(err, ErrNoSuchMember) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("evict member: %w", err)
	}
	_, err = m.cfg.Store.Txn(ctx, coord.Txn{
		If: []coord.Compare{coord.CreateRev(kv.Key, kv.CreateRev)}, Then: []coord.Op{coord.Delete(kv.Key)},
	})
	if err != nil {
		return fmt.Errorf("evict member %s: %w", incarnation, err)
	}
	if kv.Lease == coord.NoLease {
		return nil
	}
	if err := m.cfg.Store.Revoke(ctx, kv.Lease); err != nil && !errors.Is(err, coord.ErrLeaseNotFound) {
		return fmt.Errorf("evict member %s: revoke its lease: %w", incarnation, err)
	}
	return nil
}

// node reads a member's key.
func (m *Member) node(ctx context.Context, incarnation string) (coord.KV, error) {
	if incarnation == "" {
		return coord.KV{}, ErrNoSuchMember
	}
	kv, _, err := m.cfg.Store.Get(ctx, m.keys.node(incarnation))
	switch {
	case err != nil:
		return coord.KV{}, fmt.Errorf("read member %s: %w", incarnation, err)
	case !kv.Exists():
		return coord.KV{}, fmt.Errorf("%w: %s", ErrNoSuchMember, incarnation)
	}
	return kv, nil
}
