package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shards = 64
	ttl    = 6 * time.Second

	prefix       = "/goverse/test/"
	nodesPrefix  = prefix + "nodes/"
	shardsPrefix = prefix + "shards/"
)

// rig is a store, the test's own link to it, and the members, in a bubble of virtual time.
type rig struct {
	*testing.T

	clock  clock.Clock
	store  *mem.Store
	link   *mem.Client
	court  *court
	joined int
	all    []*member
	flaws  shard.Flaws   // of members that are started
	slow   time.Duration // how long their hosts take to open a shard
}

func inBubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		r := &rig{T: t, clock: c, store: mem.New(c, mem.Options{}), court: newCourt(t)}
		defer r.store.Close()
		defer r.stopAll()
		r.link = r.store.Connect()
		f(r)
	})
}

// stopAll ends what a test that failed has left.
func (r *rig) stopAll() {
	for _, m := range r.all {
		m.stop()
	}
	for _, m := range r.all {
		<-m.gone
	}
	pass(5 * time.Second) // writes that come late
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
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
	*cluster.Member

	name  string
	host  *host
	link  *mem.Client
	log   *logBook
	late  *atomic.Bool // set: its writes come late, after it was told that they failed
	ready chan struct{}
	ended chan error
	gone  chan struct{} // closed after ended
	stop  context.CancelFunc
}

type option func(*cluster.Config)

// run starts a member.
func (r *rig) run(opts ...option) *member {
	r.joined++
	m := &member{
		name: fmt.Sprintf("m%d", r.joined), link: r.store.Connect(), log: &logBook{},
		ready: make(chan struct{}), ended: make(chan error, 1), gone: make(chan struct{}),
	}
	r.all = append(r.all, m)
	m.host = &host{openTime: r.slow, court: r.court, name: m.name, shards: make(map[uint32]*held)}
	cfg := cluster.Config{
		Store: m.link, Clock: r.clock, Logger: slog.New(slog.NewTextHandler(m.log, nil)),
		Name: "test", Address: m.name + ":47000", Shards: shards, LeaseTTL: ttl, Host: m.host, Incarnation: m.name,
		Random: rand.NewPCG(1, uint64(r.joined)),
	}
	for _, set := range opts {
		set(&cfg)
	}
	m.Member = cluster.NewMember(cfg)
	m.Plant(r.flaws)
	m.host.valid = m.Valid
	r.court.admit(m.host)
	ctx, cancel := context.WithCancel(r.Context())
	m.stop = cancel
	go func() {
		defer close(m.gone)
		m.ended <- m.Run(ctx, func() { close(m.ready) })
	}()
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

// leave stops members, which must end without an error.
func (r *rig) leave(members ...*member) {
	r.Helper()
	for _, m := range members {
		m.stop()
	}
	for _, m := range members {
		if err := <-m.ended; err != nil {
			r.Errorf("%s: %v", m.name, err)
		}
		m.host.wantEmpty(r.T)
	}
}

// kill ends a member's link for ever: the process is gone. What its goroutines do is
// nobody's business; the host does nothing any more.
func (r *rig) kill(m *member) {
	m.host.die()
	m.link.SetFaults(mem.Faults{Hang: true})
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

// await waits for a condition, at most for d of virtual time, and says how long it took.
func (r *rig) await(what string, d time.Duration, cond func() bool) time.Duration {
	r.Helper()
	begun := time.Now()
	for !cond() {
		if time.Since(begun) > d {
			r.Fatalf("%s: not within %v", what, d)
		}
		pass(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// served says whether every shard is open on exactly one of the members, and all of them
// know it.
func served(members ...*member) func() bool {
	return func() bool {
		synctest.Wait()
		for s := range uint32(shards) {
			var owner *member
			for _, m := range members {
				if m.host.serves(s) {
					if owner != nil {
						return false
					}
					owner = m
				}
			}
			if owner == nil {
				return false
			}
			for _, m := range members {
				if r, ok := m.Route(s); !ok || r.Incarnation != owner.Incarnation() || r.Address != owner.name+":47000" {
					return false
				}
			}
		}
		return true
	}
}

// balanced says whether the members serve all shards in parts that differ by two at most.
func balanced(members ...*member) func() bool {
	return func() bool {
		if !served(members...)() {
			return false
		}
		least, most := shards, 0
		for _, m := range members {
			n := m.host.count()
			least, most = min(least, n), max(most, n)
		}
		return most-least <= 2
	}
}
