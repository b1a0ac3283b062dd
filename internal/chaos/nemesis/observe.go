//go:build linux

package nemesis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/xiaonanln/goverse/internal/chaos/check"
	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// observer writes down every change of a shard's record, as the store tells it. It owns
// one goroutine, for which close waits.
type observer struct {
	store coord.Store
	end   context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex // guards the fields below
	changes []check.Change
	gaps    int // times that history was compacted away before it was read
}

func observe(ctx context.Context, store coord.Store) *observer {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	o := &observer{store: store, end: end, done: make(chan struct{})}
	go func() { defer close(o.done); o.watch(ctx) }()
	return o
}

func (o *observer) close() { o.end(); <-o.done }

func (o *observer) watch(ctx context.Context) {
	for next := int64(1); ctx.Err() == nil; {
		for b := range o.store.Watch(ctx, prefix+"shards/", next) {
			if errors.Is(b.Err, coord.ErrCompacted) {
				next = o.skip(ctx)
			}
			if b.Err != nil {
				continue
			}
			next = b.Rev + 1
			for _, e := range b.Events {
				o.add(e.KV)
			}
		}
	}
}

// skip reads the present state, and says where the watch goes on.
func (o *observer) skip(ctx context.Context) int64 {
	page, err := o.store.Range(ctx, prefix+"shards/", coord.RangeOptions{})
	if err != nil {
		return 1
	}
	o.mu.Lock()
	o.gaps++
	o.mu.Unlock()
	for _, kv := range page.KVs {
		o.add(kv)
	}
	return page.Rev + 1
}

func (o *observer) add(kv coord.KV) {
	n, err := strconv.ParseUint(strings.TrimPrefix(kv.Key, prefix+"shards/"), 10, 32)
	if err != nil {
		return
	}
	c := check.Change{Shard: uint32(n), Rev: kv.ModRev}
	if c.Seen, err = record.Now(); err != nil {
		return
	}
	if c.Record, err = shard.DecodeShard(kv.Value); err != nil {
		c.Record = shard.Record{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes = append(o.changes, c)
}

// all is what was seen so far.
func (o *observer) all() []check.Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]check.Change(nil), o.changes...)
}

// seen is how many changes were seen so far.
func (o *observer) seen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.changes)
}
