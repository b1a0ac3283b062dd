// Package memory is an object store in the memory of one process: for tests, and for a server that keeps nothing. What
// it promises is package storage's, as long as the process lives.
//
// It has no goroutine. One mutex guards everything, and is held for as long as a commit takes.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/storage"
)

// Store implements storage.Store.
type Store struct {
	mu     sync.Mutex // guards the fields below
	closed bool
	fences map[uint32]storage.Fence
	tables tables
}

var _ storage.Store = (*Store)(nil)

// New is an empty store.
func New() *Store {
	return &Store{fences: map[uint32]storage.Fence{}, tables: newTables()}
}

// Fenced implements storage.Fences: nobody else can write to this memory.
func (s *Store) Fenced() bool { return true }

// Close forgets everything. It may be called again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.fences, s.tables = nil, tables{}
	return nil
}

// do runs f on the state unless ctx has ended or the store is closed.
func (s *Store) do(ctx context.Context, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed {
		return storage.ErrUnavailable
	}
	return f()
}

// Fence implements storage.Fences.
func (s *Store) Fence(ctx context.Context, shard uint32, epoch uint64) (storage.Fence, error) {
	next := storage.Fence{Shard: shard, Epoch: epoch, Gen: 1}
	err := next.Validate()
	if err == nil {
		err = s.do(ctx, func() error {
			last := s.fences[shard]
			if epoch < last.Epoch {
				return fmt.Errorf("epoch %d, newest %d: %w", epoch, last.Epoch, storage.ErrFenced)
			}
			if epoch == last.Epoch {
				next.Gen = last.Gen + 1
			}
			s.fences[shard] = next
			return nil
		})
	}
	if err != nil {
		return storage.Fence{}, fmt.Errorf("fence shard %d: %w", shard, err)
	}
	return next, nil
}

// MaxEpoch implements storage.Fences.
func (s *Store) MaxEpoch(ctx context.Context) (epoch uint64, err error) {
	err = s.do(ctx, func() error {
		for _, f := range s.fences {
			epoch = max(epoch, f.Epoch)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read greatest epoch: %w", err)
	}
	return epoch, nil
}

// Load implements storage.Reader.
func (s *Store) Load(ctx context.Context, id string) (o storage.Object, err error) {
	err = s.do(ctx, func() error {
		o = s.tables.object(id)
		return nil
	})
	if err != nil {
		return storage.Object{}, fmt.Errorf("load object %q: %w", id, err)
	}
	return o, nil
}

// Outcome implements storage.Reader.
func (s *Store) Outcome(ctx context.Context, id, key string) (o storage.Outcome, found bool, err error) {
	err = s.do(ctx, func() error {
		o, found = s.tables.outcome(id, key)
		return nil
	})
	if err != nil {
		return storage.Outcome{}, false, fmt.Errorf("read outcome %q of object %q: %w", key, id, err)
	}
	return o, found, nil
}

// DueReminders implements storage.Reader.
func (s *Store) DueReminders(
	ctx context.Context, shards []uint32, until time.Time, limit int,
) (due []storage.Reminder, err error) {
	err = s.do(ctx, func() error {
		due = s.tables.due(shards, until, limit)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read due reminders: %w", err)
	}
	return due, nil
}

// PendingSends implements storage.Reader.
func (s *Store) PendingSends(
	ctx context.Context, shards []uint32, after storage.SendID, limit int,
) (sends []storage.Send, err error) {
	err = s.do(ctx, func() error {
		sends = s.tables.pending(shards, after, limit)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read pending sends: %w", err)
	}
	return sends, nil
}

// Commit implements storage.Writer. It never returns storage.ErrUnknown.
func (s *Store) Commit(ctx context.Context, fence storage.Fence, batch storage.Batch) error {
	err := batch.Validate(fence)
	if err == nil {
		err = s.do(ctx, func() error {
			if newest := s.fences[fence.Shard]; newest != fence {
				return fmt.Errorf("fence %+v, newest %+v: %w", fence, newest, storage.ErrFenced)
			}
			return s.tables.apply(fence, batch)
		})
	}
	if err != nil {
		return fmt.Errorf("commit to shard %d: %w", fence.Shard, err)
	}
	return nil
}

// Prune implements storage.Writer.
func (s *Store) Prune(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = s.do(ctx, func() error {
		n = s.tables.prune(now, limit)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("prune outcomes: %w", err)
	}
	return n, nil
}
