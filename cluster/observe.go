package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

// maxShards is the greatest number of shards that a cluster can have.
const maxShards = 1 << 16

// ObserverConfig says what to observe. All fields are required.
type ObserverConfig struct {
	Store coord.Store
	Clock clock.Clock
	Name  string // of the cluster
}

// View is a cluster at a moment, as its records say.
type View struct {
	UUID      string       // of the cluster; empty: there is none yet
	Revision  int64        // of the store
	Members   []MemberInfo // that live, by incarnation
	Shards    []ShardInfo  // by number
	Allocator string       // incarnation; empty: nobody's
	Trouble   error        // why the store does not answer now; nil: it does
}

// Observer looks at a cluster without being a member of it: it reads and writes nothing.
// It follows the records through broken links and compactions. Its methods are safe for
// concurrent use; Run starts no goroutine.
type Observer struct {
	cfg    ObserverConfig
	keys   keys
	random *rand.Rand // Run's

	mu      sync.Mutex // guards the fields below
	seen    *snapshot  // nil: nothing was read yet
	trouble error
	changed chan struct{} // closed and replaced at each change
}

// NewObserver returns an observer, which sees nothing before it runs.
func NewObserver(cfg ObserverConfig) *Observer {
	return &Observer{
		cfg: cfg, keys: keysOf(cfg.Name), changed: make(chan struct{}),
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), //nolint:gosec // G404: jitter
	}
}

// Changed is closed at the next change of the view.
func (o *Observer) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// View is the cluster at this moment; what is in it is the caller's.
func (o *Observer) View() View {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := View{Trouble: o.trouble}
	if o.seen != nil {
		o.seen.view(&v)
	}
	return v
}

// Run observes until ctx ends, and then returns nil. It fails with coord.ErrRestored when
// the store is not the one it was: another store, and another observer, may go on.
func (o *Observer) Run(ctx context.Context) error {
	for tries := 0; ; tries++ {
		if tries > 0 && !o.pause(ctx, tries) {
			return nil
		}
		limited, cancel := context.WithTimeout(ctx, 3*maxStoreBackoff)
		s, err := list(limited, o.cfg.Store, o.keys, maxShards)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end
		case errors.Is(err, coord.ErrRestored):
			return fmt.Errorf("observe cluster: %w", err)
		case err != nil:
			o.change(func() { o.trouble = err })
			continue
		}
		o.change(func() { o.seen, o.trouble = s, nil })
		if err := o.follow(ctx, s.rev); err != nil || ctx.Err() != nil {
			return err
		}
		tries = 0
	}
}

// follow takes note of what happens after rev, until history is missing or ctx ends.
func (o *Observer) follow(ctx context.Context, rev int64) error {
	for tries := 0; ; tries++ {
		if tries > 0 && !o.pause(ctx, tries) {
			return nil
		}
		upTo, err := o.watch(ctx, rev)
		switch {
		case ctx.Err() != nil, errors.Is(err, coord.ErrCompacted), errors.Is(err, coord.ErrInvalid), errors.Is(err, coord.ErrFutureRev):
			return nil //nolint:nilerr // all is to be read again
		case errors.Is(err, coord.ErrRestored):
			return fmt.Errorf("observe cluster: %w", err)
		}
		if upTo > rev {
			tries = 0
		}
		rev = upTo
		o.change(func() { o.trouble = err })
	}
}

// watch takes note of what happens after rev, and says up to where and why it ended.
func (o *Observer) watch(parent context.Context, rev int64) (int64, error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	batches := o.cfg.Store.Watch(ctx, o.keys.prefix, rev+1)
	works := o.cfg.Clock.NewTimer(watchWorks)
	defer works.Stop()
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return rev, coord.ErrUnavailable
			}
			if b.Err != nil {
				return rev, b.Err
			}
			rev = max(rev, b.Rev)
			o.take(b)
		case <-works.C:
			o.recover()
		case <-ctx.Done():
			return rev, ctx.Err()
		}
	}
}

// recover takes note that the store answers.
func (o *Observer) recover() {
	o.mu.Lock()
	ill := o.trouble != nil
	o.mu.Unlock()
	if ill {
		o.change(func() { o.trouble = nil })
	}
}

// take takes note of what a watch tells, in order.
func (o *Observer) take(b coord.Batch) {
	if len(b.Events) == 0 {
		return
	}
	o.change(func() {
		o.seen.rev, o.trouble = max(o.seen.rev, b.Rev), nil
		for _, e := range b.Events {
			if e.Deleted {
				o.seen.drop(o.keys, e.KV.Key)
			} else {
				o.seen.sort(o.keys, e.KV, maxShards)
			}
		}
	})
}

func (o *Observer) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	close(o.changed)
	o.changed = make(chan struct{})
}

// pause waits between tries, longer each time; false: ctx ended.
func (o *Observer) pause(ctx context.Context, tries int) bool {
	d := min(storeBackoff<<min(tries, 10), maxStoreBackoff)
	timer := o.cfg.Clock.NewTimer(d/2 + time.Duration(o.random.Int64N(int64(d))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drop takes note that a key is gone.
func (s *snapshot) drop(k keys, key string) {
	if id, ok := k.in(nodesFolder, key); ok {
		delete(s.nodes, id)
	} else if name, ok := k.in(shardsFolder, key); ok {
		if n, ok := number(name, maxShards); ok {
			delete(s.shards, n)
		}
	} else if name, ok := k.in(movesFolder, key); ok {
		if n, ok := number(name, maxShards); ok {
			delete(s.orders, n)
		}
	} else if id, ok := k.in(drainsFolder, key); ok {
		delete(s.drains, id)
	} else if key == k.allocator() {
		s.allocator = coord.KV{}
	} else if key == k.meta() {
		s.meta = coord.KV{}
	}
}

// view fills in what a snapshot says.
func (s *snapshot) view(v *View) {
	v.Revision = s.rev
	meta, err := shard.DecodeMeta(s.meta.Value)
	if err != nil || meta.Shards < 1 || meta.Shards > maxShards {
		return
	}
	v.UUID, v.Allocator = meta.UUID, string(s.allocator.Value)
	v.Shards = make([]ShardInfo, meta.Shards)
	owned := make(map[string]int)
	for n := range v.Shards {
		at := s.shards[uint32(n)]
		v.Shards[n] = ShardInfo{Epoch: at.record.Epoch, Target: at.record.Target, Pinned: at.record.Pinned, Revision: at.rev}
		if kv := s.nodes[at.record.Owner]; kv.Exists() && kv.CreateRev == at.record.OwnerRev {
			v.Shards[n].Owner = at.record.Owner
			owned[at.record.Owner]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.nodes)) {
		record, err := shard.DecodeNode(s.nodes[id].Value)
		if err != nil {
			continue // it gets no shards, and nobody knows where it is
		}
		_, drains := s.drains[id]
		v.Members = append(v.Members, MemberInfo{
			Incarnation: id, Address: record.Address, Weight: record.Weight,
			Leaving: record.Draining, Draining: drains, Shards: owned[id],
		})
	}
}
