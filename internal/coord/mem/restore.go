package mem

import (
	"context"
	"fmt"
	"maps"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Snapshot is the state of a [Store] at one moment.
type Snapshot struct {
	db     history
	leases map[coord.LeaseID]*lease
}

// Snapshot is the present state.
func (s *Store) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	return Snapshot{db: s.db.copy(), leases: copyLeases(s.leases)}
}

// Restore puts the state of an earlier Snapshot in place of the present one, as an operator does who restores an etcd
// from its backup: all watches end, the leases of then have their full TTL, and a client who has been told of a later
// revision finds out with coord.ErrRestored.
func (s *Store) Restore(sn Snapshot) {
	s.mu.Lock()
	s.db, s.leases = sn.db.copy(), copyLeases(sn.leases)
	for _, l := range s.leases {
		l.expires = s.clock.Monotonic() + l.ttl
	}
	s.mu.Unlock()
	s.wakeExpiry()
	s.dropWatches()
}

func copyLeases(in map[coord.LeaseID]*lease) map[coord.LeaseID]*lease {
	out := make(map[coord.LeaseID]*lease, len(in))
	for id, l := range in {
		c := *l
		c.keys = maps.Clone(l.keys)
		out[id] = &c
	}
	return out
}

// linear is a call that tells its caller the store's revision.
func (c *Client) linear(ctx context.Context, f func() error) error {
	var rev int64
	err := c.call(ctx, func() error {
		if err := c.checkLocked(); err != nil {
			return err
		}
		err := f()
		rev = c.store.db.rev
		return err
	})
	if err == nil {
		c.store.mu.Lock()
		defer c.store.mu.Unlock()
		c.seen = max(c.seen, rev)
	}
	return err
}

// checkLocked finds out whether the store is the one it was. Once it is not it never will be.
func (c *Client) checkLocked() error {
	c.restored = c.restored || c.store.db.rev < c.seen
	if c.restored {
		return fmt.Errorf("store is at revision %d and was at %d: %w", c.store.db.rev, c.seen, coord.ErrRestored)
	}
	return nil
}
