// Package cluster makes a process a member of a cluster and tells its node which
// shards it owns.
//
// In this version a cluster is one server. [Member] takes the same steps as any
// member will, against the same coordination store: it joins under a lease and a
// random incarnation, claims the shards in transactions that compare what they
// replace, with epochs that only grow, and keeps its lease alive by a loop of its
// own. What is missing is sharing shards between members: a second one on the same
// store is refused. (Servers have a store each, so there it does not come to that.)
//
// Run owns its goroutine and starts no other.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/util/clock"
)

// claimBatch is how many shards one transaction claims; stores take 128 operations.
const claimBatch = 100

// ErrLeaseLost is the error of a member whose lease has ended, or must be taken for
// ended: it is none any more.
var ErrLeaseLost = errors.New("lease lost")

// Owner is told which shards it owns; package node implements it.
type Owner interface {
	OpenShard(ctx context.Context, shard uint32, epoch uint64) error
}

// Config is what a member is made of. All fields are required.
type Config struct {
	Store    coord.Store
	Clock    clock.Clock
	Logger   *slog.Logger
	Name     string        // of the cluster: the prefix of its keys
	Address  string        // where other members would reach this one
	Shards   int           // of the cluster; all members agree
	LeaseTTL time.Duration // how long the member counts as alive without a sign of life
	Owner    Owner
}

// Member is one process's place in a cluster.
type Member struct {
	cfg         Config
	incarnation string // random for each process start; a dead one never returns
}

// NewMember returns a member that has not joined.
func NewMember(cfg Config) *Member { return &Member{cfg: cfg, incarnation: rand.Text()} }

// nodeRecord and shardRecord are the values in the store.
type nodeRecord struct {
	Address string `json:"address"`
	Shards  int    `json:"shards"`
}

type shardRecord struct {
	Owner    string `json:"owner"`     // incarnation
	OwnerRev int64  `json:"owner_rev"` // create revision of the owner's node key
	Epoch    uint64 `json:"epoch"`
}

func (m *Member) nodeKey(incarnation string) string {
	return "/goverse/" + m.cfg.Name + "/nodes/" + incarnation
}

func (m *Member) shardKey(shard int) string {
	return fmt.Sprintf("/goverse/%s/shards/%04d", m.cfg.Name, shard)
}

// Run joins, claims the shards and is a member until ctx ends; then it gives its
// lease back. It fails when the lease is lost: what the node did since is nobody's.
func (m *Member) Run(ctx context.Context, ready func()) error {
	before := m.cfg.Clock.Boot()
	lease, err := m.cfg.Store.Grant(ctx, m.cfg.LeaseTTL)
	if err != nil {
		return fmt.Errorf("grant lease: %w", err)
	}
	if err := m.enter(ctx, lease.ID); errors.Is(err, coord.ErrLeaseNotFound) {
		return fmt.Errorf("%w: %w", ErrLeaseLost, err)
	} else if err != nil {
		m.leave(ctx, lease.ID)
		return err
	}
	m.cfg.Logger.DebugContext(ctx, "joined the cluster", "cluster", m.cfg.Name, "incarnation", m.incarnation, "shards", m.cfg.Shards)
	ready()
	if err := m.keepAlive(ctx, lease, before); err != nil {
		return err // at once: the lease is gone, or will be
	}
	m.leave(ctx, lease.ID)
	return nil
}

// enter joins and claims.
func (m *Member) enter(ctx context.Context, lease coord.LeaseID) error {
	joined, err := m.join(ctx, lease)
	if err != nil {
		return err
	}
	return m.claimAll(ctx, joined)
}

// join makes the member known and returns the revision at which it was.
func (m *Member) join(ctx context.Context, lease coord.LeaseID) (int64, error) {
	value, err := json.Marshal(nodeRecord{Address: m.cfg.Address, Shards: m.cfg.Shards})
	if err != nil {
		return 0, fmt.Errorf("encode node record: %w", err)
	}
	key := m.nodeKey(m.incarnation)
	res, err := m.cfg.Store.Txn(ctx, coord.Txn{If: []coord.Compare{coord.Absent(key)}, Then: []coord.Op{coord.PutLeased(key, value, lease)}})
	switch {
	case err != nil:
		return 0, fmt.Errorf("join cluster %s: %w", m.cfg.Name, err)
	case !res.Succeeded:
		return 0, fmt.Errorf("join cluster %s: incarnation %s exists", m.cfg.Name, m.incarnation)
	}
	return res.Rev, nil
}

// claimAll takes every shard, batch by batch, and opens it at its new epoch.
func (m *Member) claimAll(ctx context.Context, joined int64) error {
	for first := 0; first < m.cfg.Shards; first += claimBatch {
		if err := m.claim(ctx, joined, first, min(first+claimBatch, m.cfg.Shards)); err != nil {
			return fmt.Errorf("claim shards from %d: %w", first, err)
		}
	}
	return nil
}

func (m *Member) claim(ctx context.Context, joined int64, first, end int) error {
	self := m.nodeKey(m.incarnation)
	txn := coord.Txn{If: []coord.Compare{coord.CreateRev(self, joined)}, Else: []coord.Op{coord.Get(self)}}
	epochs := make([]uint64, 0, end-first)
	for s := first; s < end; s++ {
		kv, rev, err := m.cfg.Store.Get(ctx, m.shardKey(s))
		if err != nil {
			return err
		}
		epoch, err := m.succeed(ctx, kv, rev)
		if err != nil {
			return err
		}
		value, err := json.Marshal(shardRecord{Owner: m.incarnation, OwnerRev: joined, Epoch: epoch})
		if err != nil {
			return fmt.Errorf("encode shard record: %w", err)
		}
		epochs = append(epochs, epoch)
		txn.If = append(txn.If, coord.ModRev(m.shardKey(s), kv.ModRev))
		txn.Then = append(txn.Then, coord.Put(m.shardKey(s), value))
	}
	res, err := m.cfg.Store.Txn(ctx, txn)
	switch {
	case err != nil:
		return err
	case !res.Succeeded && !res.Results[0].KV.Exists():
		return fmt.Errorf("no longer a member: %w", coord.ErrLeaseNotFound)
	case !res.Succeeded:
		return errors.New("another member claims shards at the same time: more than one server in a cluster is not supported yet")
	}
	for i, epoch := range epochs {
		if err := m.cfg.Owner.OpenShard(ctx, uint32(first+i), epoch); err != nil { //nolint:gosec // G115: a shard number
			return fmt.Errorf("open shard: %w", err)
		}
	}
	return nil
}

// succeed returns the epoch that follows the one of a shard's record: greater than
// every epoch before it and than the store's revision, so that it grows even where
// the record was lost. A shard of a living member is refused.
func (m *Member) succeed(ctx context.Context, kv coord.KV, rev int64) (uint64, error) {
	next := uint64(max(rev, 1))
	if !kv.Exists() {
		return next, nil
	}
	var old shardRecord
	if err := json.Unmarshal(kv.Value, &old); err != nil {
		return 0, fmt.Errorf("decode record %s: %w", kv.Key, err)
	}
	owner, _, err := m.cfg.Store.Get(ctx, m.nodeKey(old.Owner))
	if err != nil {
		return 0, err
	}
	if owner.Exists() && owner.CreateRev == old.OwnerRev {
		return 0, fmt.Errorf("%s belongs to the living member %s: more than one server in a cluster is not supported yet", kv.Key, old.Owner)
	}
	return max(next, old.Epoch+1), nil
}

// keepAlive renews the lease four times per TTL. A store that does not answer is
// asked again until the lease must be taken for lost: the TTL, counted from before
// the last renewal that succeeded (renewed, at first), on a clock that counts suspend.
func (m *Member) keepAlive(ctx context.Context, lease coord.Lease, renewed time.Duration) error {
	ttl := lease.TTL
	next := func() time.Duration { return min(ttl/4, renewed+ttl-m.cfg.Clock.Boot()) }
	tick := m.cfg.Clock.NewTimer(next())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		before := m.cfg.Clock.Boot()
		try, cancel := context.WithTimeout(ctx, next())
		granted, err := m.cfg.Store.KeepAliveOnce(try, lease.ID)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			ttl, renewed = granted, before
		case errors.Is(err, coord.ErrLeaseNotFound):
			return fmt.Errorf("%w: %w", ErrLeaseLost, err)
		case m.cfg.Clock.Boot()-renewed >= ttl:
			return fmt.Errorf("%w: not renewed within its %v: %w", ErrLeaseLost, ttl, err)
		}
		tick.Reset(next())
	}
}

// leave gives the lease back, so that nobody waits for it to expire.
func (m *Member) leave(ctx context.Context, lease coord.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := m.cfg.Store.Revoke(ctx, lease); err != nil && !errors.Is(err, coord.ErrLeaseNotFound) {
		m.cfg.Logger.WarnContext(ctx, "lease not revoked: it expires by itself", "error", err.Error())
	}
}
