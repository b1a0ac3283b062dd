package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord/mem"
)

// allAtOnce lets all shards of a test move at the same time.
func allAtOnce() cluster.Limits { return cluster.Limits{InFlight: shards} }

// A store that does not write is told of once, with its words, again while it lasts, and
// when it is over; and everything that waits for it asks it once a second, not everything
// for itself. It says for certain that it has not written, so no shard stands still.
func TestAStoreThatIsFull(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		var n counts
		a := r.join(func(c *cluster.Config) {
			c.Store, c.Relist, c.Limits = &counting{Store: c.Store, n: &n}, -1, allAtOnce()
		})
		unlock := a.host.lock()
		a.host.drainTime = time.Second
		unlock()
		b := r.join()
		r.await("drains", 5*time.Second, func() bool { return a.State().Busy > 20 })
		a.link.SetFaults(mem.Faults{Refuse: true})
		b.link.SetFaults(mem.Faults{Refuse: true})
		pass(5 * time.Second)
		for n := range uint32(shards) {
			if !a.host.serves(n) && !b.host.serves(n) {
				r.Errorf("shard %d stands still while nothing is written", n)
			}
		}
		n.reset()
		pass(5 * time.Minute)
		if asked := n.others.Load(); asked > 5*60*8 {
			r.Errorf("asked %d times in 5 minutes", asked)
		}
		if s := a.State().Store; !strings.Contains(s, "cannot write: ") || !strings.Contains(s, "refuses") {
			r.Errorf("state: %q", s)
		}
		const away, back = "does not do what it is asked for", "does again what it is asked for"
		if n := strings.Count(a.log.String(), away); n < 5 || n > 7 || strings.Contains(a.log.String(), back) {
			r.Errorf("told %d times in 5 minutes:\n%s", n, a.log)
		}
		a.link.SetFaults(mem.Faults{})
		b.link.SetFaults(mem.Faults{})
		r.await("balance", time.Minute, balanced(a, b))
		if n := strings.Count(a.log.String(), back); n != 1 || a.State().Store != "" {
			r.Errorf("told %d times that it is over, state %q", n, a.State().Store)
		}
		r.leave(a, b)
	})
}

// Shards that wait for a store that is away ask it one after the other.
func TestManyShardsWaitAsOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		var n counts
		a := r.join(func(c *cluster.Config) {
			c.Store, c.Relist, c.LeaseTTL, c.Limits = &counting{Store: c.Store, n: &n}, -1, time.Hour, allAtOnce()
		})
		unlock := a.host.lock()
		a.host.drainTime = time.Second
		unlock()
		b := r.join(func(c *cluster.Config) { c.LeaseTTL, c.Relist = time.Hour, -1 })
		r.await("drains", 5*time.Second, func() bool { return a.State().Busy > 20 })
		a.link.SetFaults(mem.Faults{Unavailable: true})
		pass(5 * time.Second)
		n.reset()
		pass(time.Minute)
		if asked := n.others.Load(); asked > 60*8 {
			r.Errorf("asked %d times in a minute", asked)
		}
		a.link.SetFaults(mem.Faults{})
		r.await("balance", time.Minute, balanced(a, b))
		r.leave(a, b)
	})
}

// A start that waits says what for.
func TestAStartThatWaitsSaysSo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		m := r.run()
		r.await("the key", time.Second, func() bool { return len(r.page(nodesPrefix)) == 1 })
		m.link.SetFaults(mem.Faults{Refuse: true})
		pass(10 * time.Second)
		if log := m.log.String(); strings.Count(log, "not ready yet") != 1 || !strings.Contains(log, "without_owner=64") || !strings.Contains(log, "cannot write") {
			r.Error(log)
		}
		m.link.SetFaults(mem.Faults{})
		<-m.ready
		r.leave(m)
	})
}
