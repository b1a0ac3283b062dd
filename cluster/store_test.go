package cluster_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/util/clock"
)

// counts are the requests to a store.
type counts struct{ keepAlives, others atomic.Int64 }

func (n *counts) reset() {
	n.keepAlives.Store(0)
	n.others.Store(0)
}

// counting is a store that counts.
type counting struct {
	coord.Store

	n *counts
}

func (c *counting) Get(ctx context.Context, key string) (coord.KV, int64, error) {
	c.n.others.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counting) Range(ctx context.Context, prefix string, opts coord.RangeOptions) (coord.Page, error) {
	c.n.others.Add(1)
	return c.Store.Range(ctx, prefix, opts)
}

func (c *counting) Txn(ctx context.Context, txn coord.Txn) (coord.TxnResult, error) {
	c.n.others.Add(1)
	return c.Store.Txn(ctx, txn)
}

func (c *counting) Watch(ctx context.Context, prefix string, rev int64) <-chan coord.Batch {
	c.n.others.Add(1)
	return c.Store.Watch(ctx, prefix, rev)
}

func (c *counting) KeepAliveOnce(ctx context.Context, lease coord.LeaseID) (time.Duration, error) {
	c.n.keepAlives.Add(1)
	return c.Store.KeepAliveOnce(ctx, lease)
}

// restoredLater is a store that is found to be restored at the third renewal.
type restoredLater struct {
	coord.Store

	n atomic.Int64
}

func (s *restoredLater) KeepAliveOnce(ctx context.Context, lease coord.LeaseID) (time.Duration, error) {
	if s.n.Add(1) >= 3 {
		return 0, coord.ErrRestored
	}
	return s.Store.KeepAliveOnce(ctx, lease)
}

// swallowing is a store whose watches can keep events to themselves.
type swallowing struct {
	coord.Store

	swallow atomic.Bool
}

func (s *swallowing) Watch(ctx context.Context, prefix string, rev int64) <-chan coord.Batch {
	from, to := s.Store.Watch(ctx, prefix, rev), make(chan coord.Batch)
	go func() {
		defer close(to)
		for b := range from {
			if s.swallow.Load() {
				b.Events = nil
			}
			select {
			case to <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// lateStore is a store whose transactions, half of them, fail at once and are carried out
// later, or never: what may happen to a request when the connection breaks.
type lateStore struct {
	coord.Store

	on   atomic.Bool
	mu   sync.Mutex
	rand *rand.Rand // guarded by mu
}

func (s *lateStore) Txn(ctx context.Context, txn coord.Txn) (coord.TxnResult, error) {
	s.mu.Lock()
	never := s.rand.IntN(3) == 0
	late, delay := s.on.Load() && s.rand.IntN(2) == 0, time.Duration(s.rand.IntN(3000))*time.Millisecond
	s.mu.Unlock()
	if !late || len(txn.If) == 0 {
		return s.Store.Txn(ctx, txn)
	}
	if never {
		return coord.TxnResult{}, coord.ErrUnavailable
	}
	go func() {
		<-time.After(delay)
		_, _ = s.Store.Txn(context.WithoutCancel(ctx), txn) // closing the store ends it
	}()
	return coord.TxnResult{}, coord.ErrUnavailable
}

// losing is a store that loses the answer of one transaction.
type losing struct {
	coord.Store

	n   atomic.Int64
	nth int64
}

func (s *losing) Txn(ctx context.Context, txn coord.Txn) (coord.TxnResult, error) {
	res, err := s.Store.Txn(ctx, txn)
	if s.n.Add(1) == s.nth {
		return coord.TxnResult{}, coord.ErrUnavailable
	}
	return res, err
}

// slowReads is a store in which reading more than one key takes some time.
type slowReads struct {
	coord.Store

	clock clock.Clock
	takes atomic.Int64
	count atomic.Int64
}

func (s *slowReads) Range(ctx context.Context, prefix string, opts coord.RangeOptions) (coord.Page, error) {
	s.count.Add(1)
	page, err := s.Store.Range(ctx, prefix, opts)
	timer := s.clock.NewTimer(time.Duration(s.takes.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return coord.Page{}, ctx.Err()
	}
	return page, err
}
