// Package mem is a coordination store in memory, with the semantics of etcd down to its revisions, for tests and for
// servers that live in one process.
//
// A [Store] is what an etcd cluster is; a [Client] is one process's link to it, and implements coord.Store. Each link
// has its own [Faults], so a test may cut off one node and not the others; [Store.SetOutage] takes the quorum away from
// all, and [Store.Restore] puts an older state in place of the present one. Time is the given clock's: inside a testing/synctest bubble leases expire on virtual time, at the very moment
// their TTL has passed.
//
// The Store owns one goroutine, which expires leases, and each Client one per watch. Close waits for them. All methods
// are safe for concurrent use.
package mem

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/util/clock"
)

// Options of a Store. The zero value means the defaults.
type Options struct {
	// MinTTL is the shortest lease granted. Default 2 s, as etcd's; granted TTLs are whole seconds in any case.
	MinTTL time.Duration

	// Retain is about how many changes of keys are kept as history; what is older is compacted away. Default 10 000,
	// negative: all.
	Retain int
}

// Store is the state that its clients share.
type Store struct {
	clock   clock.Clock
	minTTL  time.Duration
	retain  int
	closing chan struct{} // closed by Close
	kick    chan struct{} // a lease may expire earlier than the expiry goroutine thinks
	wg      sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	closed  bool
	outage  bool
	db      history
	leases  map[coord.LeaseID]*lease
	granted coord.LeaseID // the last one
	clients map[*Client]struct{}
	changed chan struct{} // closed and replaced when the revision grows, for the watches
}

// New is an empty store at revision 1. The caller closes it.
func New(c clock.Clock, opts Options) *Store {
	if opts.MinTTL == 0 {
		opts.MinTTL = 2 * time.Second
	}
	if opts.Retain == 0 {
		opts.Retain = 10_000
	}
	s := &Store{
		clock:   c,
		minTTL:  opts.MinTTL,
		retain:  opts.Retain,
		closing: make(chan struct{}),
		kick:    make(chan struct{}, 1),
		db:      newHistory(),
		leases:  map[coord.LeaseID]*lease{},
		clients: map[*Client]struct{}{},
		changed: make(chan struct{}),
	}
	s.wg.Go(s.expireLoop)
	return s
}

// Connect is a new link to the store, without faults. Closing the store closes it.
func (s *Store) Connect() *Client {
	c := &Client{
		store:   s,
		changed: make(chan struct{}),
		dropped: make(chan struct{}),
		closing: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.closed = true
		close(c.closing)
		return c
	}
	s.clients[c] = struct{}{}
	return c
}

// Close ends all watches, refuses all further calls with coord.ErrUnavailable and waits for the goroutines of the store
// and of its clients. It may be called again.
func (s *Store) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	clients := s.clients
	s.clients = nil
	s.mu.Unlock()

	for c := range clients {
		c.Close()
	}
	s.wg.Wait()
}

// SetOutage takes the quorum away, or gives it back. Without it every call of every client is coord.ErrUnavailable, all
// watches end, and no lease expires; when it comes back every lease has its full TTL again, as after the election of an
// etcd leader.
func (s *Store) SetOutage(outage bool) {
	s.mu.Lock()
	was := s.outage
	s.expireLocked()
	s.outage = outage
	if was && !outage {
		for _, l := range s.leases {
			l.expires = s.clock.Monotonic() + l.ttl
		}
	}
	s.mu.Unlock()

	s.wakeExpiry()
	if outage {
		s.dropWatches()
	}
}

// dropWatches ends the watches of all clients.
func (s *Store) dropWatches() {
	s.mu.Lock()
	clients := slices.Collect(maps.Keys(s.clients))
	s.mu.Unlock()
	for _, c := range clients {
		c.DropWatches()
	}
}

// Rev is the present revision.
func (s *Store) Rev() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	return s.db.rev
}

// do runs f on the state, with what has expired gone.
func (s *Store) do(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.outage {
		return coord.ErrUnavailable
	}
	s.expireLocked()
	return f()
}

// txnLocked carries out a validated transaction.
func (s *Store) txnLocked(t coord.Txn) (coord.TxnResult, error) {
	res := coord.TxnResult{Succeeded: s.db.holds(t.If)}
	ops := t.Then
	if !res.Succeeded {
		ops = t.Else
	}
	for _, op := range ops { // refused as a whole, before anything happens
		if op.Kind == coord.OpPut && op.Lease != coord.NoLease && s.leases[op.Lease] == nil {
			return coord.TxnResult{}, fmt.Errorf("put key %q with lease %x: %w", op.Key, op.Lease, coord.ErrLeaseNotFound)
		}
	}
	w := s.db.begin()
	res.Results = make([]coord.OpResult, len(ops))
	for i, op := range ops {
		switch op.Kind {
		case coord.OpPut:
			s.detachLocked(w.latest(op.Key))
			w.put(op.Key, op.Value, op.Lease)
			if op.Lease != coord.NoLease {
				s.leases[op.Lease].keys[op.Key] = struct{}{}
			}
		case coord.OpGet:
			res.Results[i].KV = clone(w.latest(op.Key))
		case coord.OpDelete:
			res.Results[i].Deleted = s.deleteLocked(w, op.Key)
		case coord.OpDeletePrefix:
			for _, key := range w.keysWith(op.Key) {
				res.Results[i].Deleted += s.deleteLocked(w, key)
			}
		}
	}
	s.commitLocked(w)
	res.Rev = s.db.rev
	return res, nil
}

// deleteLocked is how many keys it deleted.
func (s *Store) deleteLocked(w *write, key string) int64 {
	kv := w.latest(key)
	if !kv.Exists() {
		return 0
	}
	s.detachLocked(kv)
	w.delete(key)
	return 1
}

// detachLocked takes a key from its lease.
func (s *Store) detachLocked(kv coord.KV) {
	if l := s.leases[kv.Lease]; l != nil {
		delete(l.keys, kv.Key)
	}
}

// commitLocked ends a write and tells the watches of it.
func (s *Store) commitLocked(w *write) {
	if !w.end() {
		return
	}
	if n := len(s.db.log); s.retain > 0 && n > 2*s.retain {
		s.db.compact(s.db.log[n-s.retain].KV.ModRev)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}
