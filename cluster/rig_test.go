package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shards = 257 // three transactions
	ttl    = 6 * time.Second

	nodesPrefix  = "/goverse/test/nodes/"
	shardsPrefix = "/goverse/test/shards/"
)

// rig is a store, and the test's own link to it, in a bubble of virtual time.
type rig struct {
	*testing.T

	clock clock.Clock
	store *mem.Store
	link  *mem.Client
}

func inBubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		r := &rig{T: t, clock: c, store: mem.New(c, mem.Options{})}
		defer r.store.Close()
		r.link = r.store.Connect()
		f(r)
	})
}

// pass lets time go by.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // virtual time

// owner is told which shards it owns.
type owner struct {
	mu     sync.Mutex
	epochs map[uint32]uint64 // guarded by mu
	fail   error             // guarded by mu
}

func (o *owner) OpenShard(_ context.Context, shard uint32, epoch uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	if _, ok := o.epochs[shard]; ok {
		return errors.New("opened twice")
	}
	o.epochs[shard] = epoch
	return nil
}

func (o *owner) opened() map[uint32]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.epochs)
}

// logBook is a log.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// member is one that runs.
type member struct {
	owner *owner
	link  *mem.Client
	log   *logBook
	ready chan struct{}
	ended chan error
	stop  context.CancelFunc
}

// changed lets a test see what the member does to its store.
type option func(*cluster.Config)

func (r *rig) run(opts ...option) *member {
	m := &member{
		owner: &owner{epochs: make(map[uint32]uint64)}, link: r.store.Connect(), log: &logBook{},
		ready: make(chan struct{}), ended: make(chan error, 1),
	}
	cfg := cluster.Config{
		Store: m.link, Clock: r.clock, Logger: slog.New(slog.NewTextHandler(m.log, nil)),
		Name: "test", Address: "127.0.0.1:47000", Shards: shards, LeaseTTL: ttl, Owner: m.owner,
	}
	for _, set := range opts {
		set(&cfg)
	}
	ctx, cancel := context.WithCancel(r.Context())
	m.stop = cancel
	r.Cleanup(cancel)
	go func() { m.ended <- cluster.NewMember(cfg).Run(ctx, func() { close(m.ready) }) }()
	return m
}

// join is a member that is ready.
func (r *rig) join(opts ...option) *member {
	r.Helper()
	m := r.run(opts...)
	select {
	case <-m.ready:
	case err := <-m.ended:
		r.Fatalf("not a member: %v", err)
	}
	return m
}

// leave stops a member, which must end without an error.
func (r *rig) leave(m *member) {
	r.Helper()
	m.stop()
	if err := <-m.ended; err != nil {
		r.Errorf("run: %v", err)
	}
}

// refused is the error of a member that did not become ready.
func (r *rig) refused(opts ...option) error {
	r.Helper()
	m := r.run(opts...)
	select {
	case <-m.ready:
		r.Fatal("ready")
		return nil
	case err := <-m.ended:
		if err == nil {
			r.Fatal("it returned without an error")
		}
		return err
	}
}

func (m *member) lives() bool {
	synctest.Wait()
	return len(m.ended) == 0
}

// page is all keys with a prefix.
func (r *rig) page(prefix string) []coord.KV {
	r.Helper()
	page, err := r.link.Range(r.Context(), prefix, coord.RangeOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return page.KVs
}

// record is a shard's as it is in the store: written here once more, so that a change
// of the format is seen.
type record struct {
	Owner    string `json:"owner"`
	OwnerRev int64  `json:"owner_rev"`
	Epoch    uint64 `json:"epoch"`
}

func (r *rig) records() map[uint32]record {
	r.Helper()
	all := make(map[uint32]record)
	for _, kv := range r.page(shardsPrefix) {
		var shard uint32
		var rec record
		if _, err := fmt.Sscanf(strings.TrimPrefix(kv.Key, shardsPrefix), "%d", &shard); err != nil {
			r.Fatal(err)
		}
		if err := json.Unmarshal(kv.Value, &rec); err != nil {
			r.Fatal(err)
		}
		all[shard] = rec
	}
	return all
}

// put writes as somebody else would.
func (r *rig) put(key, value string) {
	r.Helper()
	if _, err := r.link.Txn(r.Context(), coord.Txn{Then: []coord.Op{coord.Put(key, []byte(value))}}); err != nil {
		r.Fatal(err)
	}
}

// meddler is a store in which something happens before the nth transaction.
type meddler struct {
	coord.Store

	n      int // not shared: a member has one goroutine
	before map[int]func()
}

func (m *meddler) Txn(ctx context.Context, txn coord.Txn) (coord.TxnResult, error) {
	m.n++
	if f := m.before[m.n]; f != nil {
		f()
	}
	return m.Store.Txn(ctx, txn)
}

// before the nth transaction of a member (the first joins, the others claim) f runs.
func before(n int, f func()) option {
	return func(c *cluster.Config) { c.Store = &meddler{Store: c.Store, before: map[int]func(){n: f}} }
}
