package cluster

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/internal/shard/planted"
)

// ErrLeaseLost is the error of a member whose lease has ended, or must be taken for
// ended: it is none any more, and what its node still has is nobody's. The process may
// go on as a new member.
var ErrLeaseLost = errors.New("lease lost")

// ErrFenced is the cause of a suspension: the store has not renewed the lease in time.
// It may end.
var ErrFenced = errors.New("fenced: the lease was not renewed in time")

// ErrNotRunning is the error of what only a member that runs can do.
var ErrNotRunning = errors.New("not a member of the cluster")

// Member is one process's place in a cluster. Its methods are safe for concurrent use.
type Member struct {
	cfg  Config
	bad  error // what is wrong with cfg
	id   string
	keys keys

	flaws shard.Flaws // none, but in tests

	validity validity
	told     atomic.Int64 // the revision until which the watch has told all
	routes   []atomic.Pointer[whereabouts]
	living   atomic.Pointer[map[string]Route] // members by incarnation
	changes  atomic.Pointer[chan struct{}]    // closed and replaced at each change of routes or ownership

	workers sync.WaitGroup // what is done to shards: it may wait for the host

	wg      sync.WaitGroup
	failed  chan struct{} // closed by fail
	ended   chan struct{} // closed when Run no longer serves
	gate    chan struct{} // a token: the host is to be suspended or resumed
	doubts  chan struct{} // a token: a renewal is to be verified
	ticks   chan struct{} // a token: the lease's deadlines have changed
	urgent  chan struct{} // a token: the allocator has something to do at once
	routine chan struct{} // a token: … to look at
	opens   chan struct{} // slots
	drains  chan struct{} // slots
	shuts   chan struct{} // slots

	hostGate      sync.Mutex // held while the host is suspended or resumed; guards the field below
	hostSuspended bool

	mu          sync.Mutex // guards the fields below; never held during I/O or a call of the host
	random      *rand.Rand
	running     bool
	failure     error
	ctx         context.Context //nolint:containedctx // of Run: what its goroutines work under
	self        int64           // create revision of the own node key
	selfMod     int64           // its mod revision
	meta        shard.Meta
	lease       shard.Lease
	leaseID     coord.LeaseID
	leaving     bool
	over        bool  // nothing is owned any more, nor will be
	suspended   error // why the host is to be suspended, or nil
	settleUntil time.Duration
	table       table
	holdings    holdings
	terms       *term // as the allocator, or nil
	refreshes   map[uint32]*refresh
	met         bool // it has compared itself with the others
	divergences uint64

	troubles troubles
}

// NewMember returns a member that has not joined. What is wrong with the configuration
// is what Run fails with.
func NewMember(cfg Config) *Member {
	m := &Member{id: cfg.Incarnation, flaws: planted.Flaws()}
	m.cfg, m.bad = cfg.withDefaults()
	if m.id == "" {
		m.id = crand.Text()
	}
	m.keys = keysOf(cfg.Name)
	m.random = rand.New(m.cfg.Random) //nolint:gosec // G404: jitter
	m.routes = make([]atomic.Pointer[whereabouts], max(cfg.Shards, 0))
	m.living.Store(&map[string]Route{})
	changes := make(chan struct{})
	m.changes.Store(&changes)
	m.failed, m.ended = make(chan struct{}), make(chan struct{})
	m.gate, m.doubts, m.ticks, m.urgent, m.routine = token(), token(), token(), token(), token()
	m.opens, m.drains, m.shuts = make(chan struct{}, openSlots), make(chan struct{}, drainSlots), make(chan struct{}, shutSlots)
	m.validity.begun = m.cfg.Clock.Now()
	m.table = newTable(max(cfg.Shards, 0))
	m.troubles.last = make(map[string]*trouble)
	m.holdings, m.refreshes = newHoldings(max(cfg.Shards, 0)), make(map[uint32]*refresh)
	return m
}

// Incarnation is the member's name: random for each Member, unless configured.
func (m *Member) Incarnation() string { return m.id }

// Valid says whether the member may answer now: its lease, seen from the safe side, has
// not ended. It must be asked before a turn starts and before a reply leaves. It costs a
// reading of the wall clock, and of the boot clock, a system call, where the last one is
// more than 100 µs old or the machine has slept since; it needs no goroutine to run for
// the answer to become false.
func (m *Member) Valid() bool { return m.validity.holds(m.cfg.Clock) }

// Run joins the cluster and is a member until ctx ends; ready is called once every shard
// has an owner and those of this member are open. Then it leaves: others take its shards,
// for at most Config.LeaveTimeout, what is left is released, and the lease is revoked.
// A host that does not let go of its shards is named in the error, and left suspended.
// It fails with ErrLeaseLost when the lease is lost, with shard.ErrIncompatible when the
// cluster is another than configured, and with coord.ErrRestored when the store is not
// the one it was. The host has no shard then. A Member runs once.
func (m *Member) Run(ctx context.Context, ready func()) error {
	if m.bad != nil {
		return m.bad
	}
	lease, err := m.join(ctx)
	if err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	m.begin(run)
	err = m.be(ctx, ready)
	close(m.ended)
	stuck := m.quit(err)
	cancel() // from here on the lease is not renewed
	m.wg.Wait()
	if stuck != nil {
		return m.abandonHost(stuck)
	}
	m.workers.Wait()
	m.applySuspension(true)
	if err == nil || errors.Is(err, shard.ErrIncompatible) {
		m.revoke(ctx, lease)
	}
	return err
}

// begin starts the goroutines of a member that has joined.
func (m *Member) begin(run context.Context) {
	m.mu.Lock()
	m.ctx, m.running = run, true
	m.mu.Unlock()
	m.spawn(m.renew)
	m.spawn(m.watchLease)
	m.spawn(m.watchStore)
	m.spawn(m.verify)
	m.spawn(m.keepGate)
	m.spawn(m.follow)
	m.spawn(m.allocate)
}

// startPatience is when a member begins to say why it is not ready.
const startPatience = 3 * time.Second

// be is a member's life after it has joined.
func (m *Member) be(ctx context.Context, ready func()) error {
	waiting := m.cfg.Clock.NewTimer(startPatience)
	defer waiting.Stop()
	for {
		changed := m.Changed()
		if m.complete() {
			break
		}
		select {
		case <-changed:
		case <-waiting.C:
			s := m.State()
			m.cfg.Logger.WarnContext(ctx, "not ready yet: shards have no owner, or are being opened", "without_owner", m.Unowned(), "busy", s.Busy,
				"members", s.Members, "allocator", s.Allocator, "lease", s.Lease, "store", s.Store)
			waiting.Reset(troubleAgain)
		case <-m.failed:
			return m.err()
		case <-ctx.Done():
			return m.leave(ctx)
		}
	}
	m.cfg.Logger.DebugContext(ctx, "joined the cluster", "cluster", m.cfg.Name, "incarnation", m.id, "shards", m.cfg.Shards)
	ready()
	select {
	case <-m.failed:
		return m.err()
	case <-ctx.Done():
		return m.leave(ctx)
	}
}

// complete says whether every shard has an owner that is known, and all own are open.
func (m *Member) complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.holdings.busy {
		if h.rules.Phase == shard.Opening {
			return false
		}
	}
	for i := range m.routes {
		if m.routes[i].Load() == nil {
			return false
		}
	}
	return true
}

// spawn runs a goroutine of the member's. What it panics with is what Run fails with.
func (m *Member) spawn(f func(ctx context.Context)) { m.spawnIn(&m.wg, f) }

func (m *Member) spawnIn(wg *sync.WaitGroup, f func(ctx context.Context)) {
	wg.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				m.fail(&lifecycle.PanicError{Value: v, Stack: debug.Stack()})
			}
		}()
		f(m.ctx)
	})
}

// fail ends the member; the first error counts.
func (m *Member) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLocked(err)
}

func (m *Member) failLocked(err error) {
	if m.failure == nil {
		m.failure = err
		m.validity.set(0)
		close(m.failed)
	}
}

func (m *Member) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

// restored ends the member if that is what an error says.
func (m *Member) restored(err error) bool {
	if !errors.Is(err, coord.ErrRestored) {
		return false
	}
	m.fail(fmt.Errorf("the coordination store has lost what this member rests on; stop all members before you restore it: %w", err))
	return true
}

// revoke gives the lease back, so that nobody waits for it to expire.
func (m *Member) revoke(ctx context.Context, lease coord.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := m.cfg.Store.Revoke(ctx, lease); err != nil && !errors.Is(err, coord.ErrLeaseNotFound) {
		m.cfg.Logger.WarnContext(ctx, "lease not revoked: it expires by itself", "error", err.Error())
	}
}

// token is a channel that holds at most one signal.
func token() chan struct{} { return make(chan struct{}, 1) }

// signal leaves a token for who waits for it.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one
	}
}

// pause lets time pass; false: ctx ended.
func (m *Member) pause(ctx context.Context, d time.Duration) bool {
	timer := m.cfg.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter is a random duration below d.
func (m *Member) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Duration(m.random.Int64N(int64(d)))
}

// backOff is the pause before the nth try again, with jitter.
func (m *Member) backOff(n int, first, most time.Duration) time.Duration {
	d := min(first<<min(n, 16), most)
	return d/2 + m.jitter(d/2+1)
}
