package mem

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// Client is one link to a Store, and implements coord.Store.
type Client struct {
	store   *Store
	closing chan struct{}  // closed by Close
	wg      sync.WaitGroup // the watches

	mu      sync.Mutex // guards the fields below; the store's mutex may not be held when it is taken
	closed  bool
	faults  Faults
	changed chan struct{} // closed and replaced when the faults change
	dropped chan struct{} // closed and replaced when the watches are to end

	seen     int64 // the highest revision that was told; the store's mutex guards it
	restored bool  // the store has been found at a lower one; the store's mutex guards it
}

var _ coord.Store = (*Client)(nil)

// Close ends the client's watches, waits for them and refuses further calls with coord.ErrUnavailable. Leases go on
// living until they expire. It may be called again.
func (c *Client) Close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	c.mu.Unlock()
	c.wg.Wait()

	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	delete(c.store.clients, c)
}

// Get implements coord.Reader.
func (c *Client) Get(ctx context.Context, key string) (kv coord.KV, rev int64, err error) {
	if key == "" {
		return coord.KV{}, 0, fmt.Errorf("get an empty key: %w", coord.ErrInvalid)
	}
	err = c.linear(ctx, func() error {
		kv, rev = clone(c.store.db.at(key, c.store.db.rev)), c.store.db.rev
		return nil
	})
	if err != nil {
		return coord.KV{}, 0, fmt.Errorf("get key %q: %w", key, err)
	}
	return kv, rev, nil
}

// Range implements coord.Reader.
func (c *Client) Range(ctx context.Context, prefix string, opts coord.RangeOptions) (page coord.Page, err error) {
	if opts.Limit < 0 || opts.Rev < 0 {
		return coord.Page{}, fmt.Errorf("range over %q with a negative option: %w", prefix, coord.ErrInvalid)
	}
	err = c.linear(ctx, func() (err error) {
		page, err = c.store.db.read(prefix, opts)
		return err
	})
	if err != nil {
		return coord.Page{}, fmt.Errorf("range over %q: %w", prefix, err)
	}
	return page, nil
}

// Txn implements coord.Transactor.
func (c *Client) Txn(ctx context.Context, txn coord.Txn) (res coord.TxnResult, err error) {
	puts := func(op coord.Op) bool { return op.Kind == coord.OpPut }
	refuse := c.Faults().Refuse && (slices.ContainsFunc(txn.Then, puts) || slices.ContainsFunc(txn.Else, puts))
	if err = txn.Validate(); err == nil {
		err = c.linear(ctx, func() (err error) {
			if refuse {
				return coord.ErrRefused
			}
			res, err = c.store.txnLocked(txn)
			return err
		})
	}
	if err != nil {
		return coord.TxnResult{}, fmt.Errorf("run transaction: %w", err)
	}
	return res, nil
}

// Grant implements coord.Leases.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (lease coord.Lease, err error) {
	err = c.call(ctx, func() error {
		lease = c.store.grantLocked(ttl)
		c.store.wakeExpiry()
		return nil
	})
	if err != nil {
		return coord.Lease{}, fmt.Errorf("grant lease: %w", err)
	}
	return lease, nil
}

// KeepAliveOnce implements coord.Leases.
func (c *Client) KeepAliveOnce(ctx context.Context, lease coord.LeaseID) (ttl time.Duration, err error) {
	stale := c.Faults().StaleKeepAlive
	err = c.call(ctx, func() (err error) {
		if stale {
			ttl = c.store.staleTTLLocked(lease)
			return nil
		}
		ttl, err = c.store.keepAliveLocked(lease)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keep lease alive: %w", err)
	}
	return ttl, nil
}

// Revoke implements coord.Leases.
func (c *Client) Revoke(ctx context.Context, lease coord.LeaseID) error {
	err := c.call(ctx, func() error { return c.store.revokeLocked(lease) })
	if err != nil {
		return fmt.Errorf("revoke lease: %w", err)
	}
	return nil
}

// Compact implements coord.Compactor.
func (c *Client) Compact(ctx context.Context, rev int64) error {
	err := c.call(ctx, func() error {
		db := &c.store.db
		if rev <= db.compacted {
			return fmt.Errorf("compacted at %d: %w", db.compacted, coord.ErrCompacted)
		}
		if err := db.readable(rev); err != nil {
			return err
		}
		db.compact(rev)
		return nil
	})
	if err != nil {
		return fmt.Errorf("compact at revision %d: %w", rev, err)
	}
	return nil
}
