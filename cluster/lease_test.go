package cluster_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

// outages are ways in which a store is away.
var outages = map[string]func(r *rig, m *member, away bool){
	"refuses":       func(_ *rig, m *member, away bool) { m.link.SetFaults(mem.Faults{Unavailable: away}) },
	"hangs":         func(_ *rig, m *member, away bool) { m.link.SetFaults(mem.Faults{Hang: away}) },
	"has no quorum": func(r *rig, _ *member, away bool) { r.store.SetOutage(away) },
	"loses replies": func(_ *rig, m *member, away bool) { m.link.SetFaults(mem.Faults{LoseReplies: away}) },
}

// A store that is away for less than half the TTL is nothing to a member, also again and
// again and whatever the TTL.
func TestShortOutageIsNotNoticed(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		for _, ttl := range []time.Duration{2 * time.Second, 6 * time.Second, 20 * time.Second} {
			inBubble(t, func(r *rig) {
				m := r.join(func(c *cluster.Config) { c.LeaseTTL = ttl })
				for i := range 40 {
					pass(10*time.Second + time.Duration(i)*177*time.Millisecond)
					outage(r, m, true)
					for range 100 {
						if pass(ttl / 2 / 100); !m.Valid() {
							r.Fatalf("%s, TTL %v, outage %d: not valid", name, ttl, i)
						}
					}
					outage(r, m, false)
				}
				pass(time.Minute)
				if !m.Valid() || strings.Contains(m.host.history(), "suspend") {
					r.Errorf("%s, TTL %v: valid %v, %s", name, ttl, m.Valid(), m.host.history())
				}
				r.leave(m)
			})
		}
	}
}

// One that is away for longer fences the member when its lease's time is over, by the
// safe reckoning, and not before; when it is back, the member goes on with the same
// epochs if nothing has changed meanwhile.
func TestLongOutageFencesAndGoesOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		before := a.Shards()
		pass(time.Minute)
		r.store.SetOutage(true)
		begun := time.Now()
		r.await("the fence", ttl, func() bool { return !a.Valid() })
		if took := time.Since(begun); took < ttl/2 || took > ttl-shard.Margin(ttl) {
			r.Errorf("fenced after %v", took)
		}
		r.await("the other fence", ttl, func() bool { return !b.Valid() })
		pass(time.Minute)
		if s := a.State(); s.Lease != shard.LeaseFenced || s.ValidFor > 0 {
			r.Errorf("state %+v", s)
		}
		r.store.SetOutage(false)
		r.await("to go on", ttl/2, served(a, b))
		for i, now := range a.Shards() {
			if now != before[i] {
				r.Errorf("shard %d was %+v, is %+v", i, before[i], now)
			}
		}
		if h := a.host.history(); strings.Count(h, "suspend") != 1 || strings.Count(h, "resume") != 1 || strings.Contains(h, ": lost") {
			r.Error(h)
		}
		r.leave(a, b)
	})
}

// A fence ends also where reading the table takes longer than it is to the next renewal,
// as when all members read it at once after an outage; the table is read once.
func TestAFenceEndsThoughReadingIsSlow(t *testing.T) {
	t.Parallel()
	for _, takes := range []time.Duration{ttl / 4, ttl * 2 / 5, ttl * 3 / 5} {
		inBubble(t, func(r *rig) {
			reads := &slowReads{clock: r.clock}
			m := r.join(func(c *cluster.Config) { reads.Store, c.Store, c.Relist = c.Store, reads, -1 })
			pass(time.Minute)
			r.store.SetOutage(true)
			pass(20 * time.Second)
			reads.takes.Store(int64(takes))
			reads.count.Store(0)
			r.store.SetOutage(false)
			r.await("the end of the fence", ttl/4+takes, m.Valid)
			reads.takes.Store(0)
			pass(time.Minute)
			if h := m.host.history(); !m.Valid() || strings.Count(h, "suspend") != 1 || reads.count.Load() != 1 {
				r.Errorf("reading takes %v: valid %v, read %d times, %s", takes, m.Valid(), reads.count.Load(), h)
			}
			r.leave(m)
		})
	}
}

// Where the store may have died, with all that it has promised, its members are fenced at
// once, and go on when they have found all in it. What came before they joined is nothing.
func TestAStoreThatMayHaveDiedFences(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		broken := make(chan struct{}, 1)
		broken <- struct{}{}
		m := r.join(func(c *cluster.Config) { c.Broken = broken })
		before := m.Shards()
		pass(10 * time.Second)
		if h := m.host.history(); strings.Contains(h, "suspend") {
			r.Errorf("for what was before: %s", h)
		}
		broken <- struct{}{}
		if synctest.Wait(); m.Valid() {
			r.Error("valid by the word of a store that may be no more")
		}
		r.await("to go on", ttl/4, m.Valid)
		if !slices.Equal(m.Shards(), before) || strings.Count(m.host.history(), "suspend") != 1 {
			r.Error(m.host.history())
		}
		r.leave(m)
	})
}

// Who slept past the lease finds it gone, and is dead; others serve. It was invalid by the
// clock alone, from the deadline on.
func TestSleeperIsDead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		a.link.SetFaults(mem.Faults{Hang: true})
		r.await("failover", ttl+time.Second, func() bool { return b.host.count() == shards && served(b)() })
		if a.Valid() {
			r.Error("the sleeper is valid")
		}
		a.link.SetFaults(mem.Faults{})
		if err := <-a.ended; !errors.Is(err, cluster.ErrLeaseLost) {
			r.Errorf("run: %v", err)
		}
		a.host.wantEmpty(r.T)
		if h := a.host.history(); !strings.Contains(h, "lost") {
			r.Error(h)
		}
		r.leave(b)
	})
}

// The clock of suspends counts for Valid, though no timer has run.
func TestSuspendedMachineIsNotValid(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		c := &suspended{Clock: r.clock}
		m := r.join(func(cfg *cluster.Config) { cfg.Clock = c })
		if !m.Valid() {
			r.Fatal("not valid")
		}
		c.slept.Store(int64(ttl))
		c.shown.Store(int64(ttl))
		if m.Valid() {
			r.Error("valid after a sleep as long as the lease, before anything in the process has run")
		}
		r.await("the member to come back", ttl, m.Valid)
		c.slept.Add(int64(ttl))
		pass(100 * time.Microsecond)
		if m.Valid() {
			r.Error("valid after a sleep that the wall clock does not show")
		}
		r.await("the member to come back: the store did not sleep", ttl, m.Valid)
		r.leave(m)
	})
}

// suspended is a clock of a machine that slept.
type suspended struct {
	clock.Clock

	slept, shown atomic.Int64 // how long, and what the wall clock knows of that
}

func (c *suspended) Boot() time.Duration { return c.Clock.Boot() + time.Duration(c.slept.Load()) }

func (c *suspended) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.shown.Load())) }

// A member whose key is deleted stops at once, though its lease lives.
func TestEvictedMemberStops(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		r.court.stop(a.host) // whoever evicts has seen it die
		begun := time.Now()
		if err := b.Evict(r.Context(), a.Incarnation()); err != nil {
			r.Fatal(err)
		}
		r.await("failover", time.Second, served(b))
		r.Logf("served after %v", time.Since(begun))
		if err := <-a.ended; !errors.Is(err, cluster.ErrLeaseLost) {
			r.Errorf("run: %v", err)
		}
		if err := b.Evict(r.Context(), a.Incarnation()); err != nil {
			r.Errorf("evict who is not there: %v", err)
		}
		r.leave(b)
	})
}

// A renewal that a stale leader answers does not end a fence: the key is read.
func TestStaleRenewalDoesNotUnfence(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		a.link.SetFaults(mem.Faults{Hang: true})
		r.await("failover", ttl+time.Second, func() bool { return b.host.count() == shards && served(b)() })
		a.link.SetFaults(mem.Faults{StaleKeepAlive: true})
		if err := <-a.ended; !errors.Is(err, cluster.ErrLeaseLost) {
			r.Errorf("run: %v", err)
		}
		h := a.host.history() // it may resume when it has nothing any more
		if i := strings.Index(h, "resume"); i >= 0 && i < strings.LastIndex(h, "release") {
			r.Error(h)
		}
		r.leave(b)
	})
}

// In steady state a member asks the store for its lease four times per TTL, and nothing
// else; the others likewise. Left out is what Relist makes each of them do every 5 min: to
// read all records.
func TestSteadyTraffic(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		var n [3]counts
		var all []*member
		for i := range n {
			all = append(all, r.join(func(c *cluster.Config) {
				c.Store, c.Relist = &counting{Store: c.Store, n: &n[i]}, -1
			}))
		}
		r.await("balance", 5*time.Second, balanced(all...))
		pass(10 * time.Second)
		rev := r.store.Rev()
		for i := range n {
			n[i].reset()
		}
		pass(100 * ttl)
		for i := range n {
			if k, other := n[i].keepAlives.Load(), n[i].others.Load(); other != 0 || k < 400 || k > 460 {
				r.Errorf("member %d: %d renewals in 100 TTLs, %d other requests", i, k, other)
			}
		}
		if r.store.Rev() != rev {
			r.Error("somebody wrote")
		}
		r.leave(all...)
	})
}

// A member that is told that the store is another one than before ends, and says so.
func TestRestoredStoreIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.join(func(c *cluster.Config) { c.Store = &restoredLater{Store: c.Store} })
		err := <-m.ended
		if !errors.Is(err, coord.ErrRestored) || !strings.Contains(err.Error(), "stop all members") {
			r.Errorf("run: %v", err)
		}
		m.host.wantEmpty(r.T)
	})
}

// Who loses its key is dead at once, though its lease lives and is renewed.
func TestDeletedKeyEndsTheMember(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join()
		r.del(nodesPrefix + a.name)
		begun := time.Now()
		if err := <-a.ended; !errors.Is(err, cluster.ErrLeaseLost) || time.Since(begun) > 10*time.Millisecond {
			r.Errorf("run: %v after %v", err, time.Since(begun))
		}
	})
}

// After an outage the allocator gives those that it has thrown out the time to come back
// before it gives their shards away; after a crash it does not wait.
func TestAllocatorSettlesAfterAnOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b, c := r.join(), r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b, c))
		revoke := func(m *member) {
			r.court.stop(m.host)
			if err := r.link.Revoke(r.Context(), r.page(nodesPrefix + m.name)[0].Lease); err != nil {
				r.Fatal(err)
			}
		}
		a.link.SetFaults(mem.Faults{Hang: true}) // the allocator's link: too short a time to be fenced
		r.await("suspicion", ttl, func() bool { return a.State().Lease == shard.LeaseSuspect })
		a.link.SetFaults(mem.Faults{})
		r.await("the renewal", ttl/4, func() bool { return a.State().Lease == shard.LeaseValid })
		revoke(c)
		r.await("failover after a crash", 100*time.Millisecond, served(a, b))
		r.store.SetOutage(true)
		pass(time.Minute)
		r.store.SetOutage(false)
		r.await("to go on", ttl/2, served(a, b))
		revoke(b)
		if took := r.await("failover after an outage", ttl+time.Second, served(a)); took < ttl/2 {
			r.Errorf("not waited: %v", took)
		}
		r.leave(a)
	})
}
