package cluster_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestLeaseIsKeptAlive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.join()
		rev := r.store.Rev()
		pass(24 * time.Hour)
		if !m.lives() || len(r.page(nodesPrefix)) != 1 {
			t.Error("no longer a member")
		}
		if r.store.Rev() != rev {
			t.Error("a member that does nothing writes")
		}
		r.leave(m)
	})
}

// A member that stops gives its lease back: nobody has to wait for it to expire.
func TestLeaseIsRevokedAtTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.join()
		begun := time.Now()
		r.leave(m)
		if nodes := r.page(nodesPrefix); len(nodes) != 0 || time.Since(begun) != 0 {
			t.Errorf("nodes %+v after %v", nodes, time.Since(begun))
		}
		if len(r.records()) != shards {
			t.Error("the shards' records are gone: their epochs could fall back")
		}
		if log := m.log.String(); log != "" {
			t.Errorf("a clean end is nothing to warn of: %s", log)
		}
	})
}

// A store that does not answer does not hold up the end for long.
func TestEndWithoutAStore(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]mem.Faults{
		"refuses": {Unavailable: true}, "hangs": {Hang: true}, "answers late": {RequestDelay: time.Hour},
	} {
		inBubble(t, func(r *rig) {
			m := r.join()
			m.link.SetFaults(faults)
			begun := time.Now()
			r.leave(m)
			if took := time.Since(begun); took > time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
			if log := m.log.String(); !strings.Contains(log, "lease not revoked") {
				t.Errorf("%s: nothing was logged: %q", name, log)
			}
		})
	}
}

func TestLostLeaseEndsTheMember(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.join()
		pass(time.Minute)
		if err := r.link.Revoke(t.Context(), r.page(nodesPrefix)[0].Lease); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err := <-m.ended
		if !errors.Is(err, coord.ErrLeaseNotFound) || !errors.Is(err, cluster.ErrLeaseLost) {
			t.Errorf("run: %v", err)
		}
		if took := time.Since(begun); took > ttl/4 {
			t.Errorf("it took %v to be found out", took)
		}
		if log := m.log.String(); log != "" {
			t.Errorf("there is nothing to revoke: %s", log)
		}
	})
}

// outages are ways in which a store is away.
var outages = map[string]func(r *rig, m *member, away bool){
	"refuses":       func(_ *rig, m *member, away bool) { m.link.SetFaults(mem.Faults{Unavailable: away}) },
	"hangs":         func(_ *rig, m *member, away bool) { m.link.SetFaults(mem.Faults{Hang: away}) },
	"has no quorum": func(r *rig, _ *member, away bool) { r.store.SetOutage(away) },
	"loses replies": func(_ *rig, m *member, away bool) { m.link.SetFaults(mem.Faults{LoseReplies: away}) },
}

// A store that is away for less than the lease's time is nothing to a member, also
// again and again.
func TestShortOutageIsSurvived(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		inBubble(t, func(r *rig) {
			m := r.join()
			for i := range 20 {
				pass(time.Minute + time.Duration(i)*77*time.Millisecond)
				outage(r, m, true)
				pass(ttl/2 - time.Millisecond)
				outage(r, m, false)
				if !m.lives() {
					t.Fatalf("%s: outage %d: %v", name, i, <-m.ended)
				}
			}
			pass(time.Minute)
			if !m.lives() || len(r.page(nodesPrefix)) != 1 {
				t.Errorf("%s: no longer a member", name)
			}
			r.leave(m)
		})
	}
}

// One that is away for longer ends the member when its lease's time is over, counted
// from before the last renewal: not earlier and not later.
func TestLongOutageEndsTheMember(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		inBubble(t, func(r *rig) {
			m := r.join()
			pass(time.Minute + 123*time.Millisecond) // the last renewal was at 60 s
			outage(r, m, true)
			begun := time.Now()
			err := <-m.ended
			if !errors.Is(err, cluster.ErrLeaseLost) || !strings.Contains(err.Error(), "not renewed within its 6s") {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begun) + 123*time.Millisecond; took != ttl {
				t.Errorf("%s: ended %v after the last renewal, the lease is %v", name, took, ttl)
			}
		})
	}
}

// What the clock of suspends says counts: a machine that slept too long has lost its
// lease, though its timers did not run.
func TestSuspend(t *testing.T) {
	t.Parallel()
	for slept, survives := range map[time.Duration]bool{2 * time.Second: true, time.Hour: false} {
		inBubble(t, func(r *rig) {
			c := &suspended{Clock: r.clock}
			m := r.join(func(cfg *cluster.Config) { cfg.Clock = c })
			pass(time.Minute)
			m.link.SetFaults(mem.Faults{Unavailable: true})
			c.slept.Store(int64(slept))
			pass(ttl / 4) // one try
			m.link.SetFaults(mem.Faults{})
			if got := m.lives(); got != survives {
				t.Errorf("slept %v: a member: %v", slept, got)
			}
			if survives {
				r.leave(m)
			} else if err := <-m.ended; !strings.Contains(err.Error(), "lease lost: not renewed within its 6s") {
				t.Errorf("run: %v", err)
			}
		})
	}
}

// suspended is a clock of a machine that slept.
type suspended struct {
	clock.Clock

	slept atomic.Int64
}

func (c *suspended) Boot() time.Duration { return c.Clock.Boot() + time.Duration(c.slept.Load()) }

// The time of a lease begins before it is granted, however long joining takes.
func TestLeaseCountsFromItsGrant(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		begun := time.Now()
		m := r.join(before(2, func() { pass(ttl - time.Second) }),
			func(c *cluster.Config) { c.Store = &deafToKeepAlives{c.Store} })
		err := <-m.ended
		if took := time.Since(begun); took != ttl || !errors.Is(err, coord.ErrUnavailable) {
			t.Errorf("ended after %v with %v, want the %v of the lease", took, err, ttl)
		}
	})
}

type deafToKeepAlives struct{ coord.Store }

func (deafToKeepAlives) KeepAliveOnce(context.Context, coord.LeaseID) (time.Duration, error) {
	return 0, coord.ErrUnavailable
}

// A renewal counts from when it was asked for: that is when the store may have counted.
func TestSlowRenewalCountsFromItsRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.join()
		begun := time.Now()
		m.link.SetFaults(mem.Faults{ReplyDelay: time.Second})
		pass(5100 * time.Millisecond) // asked at 1.5 s and at 4 s, answered a second later
		m.link.SetFaults(mem.Faults{Unavailable: true})
		err := <-m.ended
		if took, want := time.Since(begun), 4*time.Second+ttl; took != want || !errors.Is(err, cluster.ErrLeaseLost) {
			t.Errorf("ended after %v with %v, want %v", took, err, want)
		}
	})
}
