package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord/mem"
)

// A member that is alone serves everything, with its lease and nothing else.
func TestOneMember(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		begun := time.Now()
		m := r.join()
		if took := time.Since(begun); took > 300*time.Millisecond || !served(m)() {
			r.Errorf("ready after %v, all served: %v", took, served(m)())
		}
		r.leave(m)
		if left := r.page(nodesPrefix); len(left) != 0 {
			r.Errorf("left in the store: %+v", left)
		}
		if n := len(r.page(shardsPrefix)); n != shards {
			r.Errorf("%d shard records, want all %d: epochs could fall back", n, shards)
		}
	})
}

// Members that start together share the shards at once; one more gets its part by planned
// moves, and state travels with them.
func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.run()
		pass(100 * time.Millisecond) // the cluster gathers
		b := r.run()
		<-a.ready
		<-b.ready
		if !balanced(a, b)() || a.host.moved+b.host.moved > 0 {
			r.Errorf("a has %d, b has %d, moved %d", a.host.count(), b.host.count(), a.host.moved+b.host.moved)
		}
		for s := range uint32(shards) {
			for _, m := range []*member{a, b} {
				if m.host.serves(s) {
					m.host.keep(s, fmt.Sprint("state of ", s))
				}
			}
		}
		if kv, _, err := r.link.Get(r.Context(), prefix+"allocator"); err != nil || kv.Version != 1 {
			r.Errorf("the allocator was replaced while it lived: %+v, %v", kv, err)
		}
		c := r.join()
		if pass(900 * time.Millisecond); c.host.count() != 0 {
			r.Error("shards move to who has only just come")
		}
		r.Logf("c joined: balanced after %v", r.await("balance with c", 10*time.Second, balanced(a, b, c)))
		if n := a.host.moved + b.host.moved; n > shards/3+1 {
			r.Errorf("%d shards moved, a third would do", n)
		}
		begun := time.Now()
		r.leave(a)
		r.Logf("a left after %v", time.Since(begun))
		r.await("b and c serve", time.Millisecond*100, served(b, c))
		for s := range uint32(shards) {
			if got := b.host.state(s) + c.host.state(s); got != fmt.Sprint("state of ", s) {
				r.Errorf("shard %d has %q", s, got)
			}
		}
		r.await("balance without a", 10*time.Second, balanced(b, c))
		begun = time.Now()
		r.leave(b, c)
		r.Logf("b and c left after %v", time.Since(begun))
	})
}

// A member that leaves has its last words when others have its shards, and its lease still.
func TestLastWords(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		b := r.join()
		var a *member
		said := 0
		a = r.join(func(cfg *cluster.Config) {
			cfg.LastWords = func(ctx context.Context) {
				<-time.After(2 * time.Second)
				if said++; !a.Valid() || a.host.count() != 0 || ctx.Err() != nil {
					r.Errorf("valid: %v, it has %d shards, %v", a.Valid(), a.host.count(), ctx.Err())
				}
			}
		})
		r.await("balance", 10*time.Second, balanced(a, b))
		r.leave(a)
		if said != 1 {
			r.Errorf("it has spoken %d times", said)
		}
		r.await("b serves", time.Second, served(b))
		r.leave(b)
	})
}

// A member that dies is replaced within its TTL and a second, the allocator like others.
func TestFailover(t *testing.T) {
	t.Parallel()
	for victim := range 3 {
		inBubble(t, func(r *rig) {
			all := []*member{r.join(), r.join(), r.join()}
			r.await("balance", 10*time.Second, balanced(all...))
			r.kill(all[victim])
			rest := append(append([]*member{}, all[:victim]...), all[victim+1:]...)
			r.Logf("m%d killed: served after %v", victim+1, r.await("failover", ttl+time.Second, served(rest...)))
			r.court.look()
			r.leave(rest...)
			all[victim].stop()
			<-all[victim].ended
		})
	}
}

// Members that all see at once that there is no allocator make one of them the allocator.
func TestOneAllocator(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		var all []*member
		for range 5 {
			m := r.run()
			m.link.SetFaults(mem.Faults{RequestDelay: 50 * time.Millisecond})
			all = append(all, m)
		}
		for range 3 {
			r.await("balance", 20*time.Second, balanced(all...))
			r.await("an allocator", time.Second, func() bool { return len(r.page(prefix+"allocator")) == 1 })
			pass(time.Second)
			kv, _, err := r.link.Get(r.Context(), prefix+"allocator")
			if err != nil || kv.Version != 1 {
				r.Errorf("the allocator was replaced while it lived: %+v, %v", kv, err)
			}
			for i, m := range all {
				if s := m.State(); s.Allocator != string(kv.Value) || s.Term != kv.CreateRev {
					r.Errorf("%s thinks of %s, term %d; it is %s", m.name, s.Allocator, s.Term, kv.Value)
				}
				if m.name == string(kv.Value) {
					r.leave(m)
					all = append(all[:i:i], all[i+1:]...)
					break
				}
			}
		}
		r.leave(all...)
	})
}

// A member is ready when all its shards are open, however long that takes and often it fails.
func TestReadyMeansOpen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.slow = time.Second
		begun := time.Now()
		m := r.join()
		if took := time.Since(begun); took < time.Second || !served(m)() {
			r.Errorf("ready after %v, all served: %v", took, served(m)())
		}
		r.leave(m)
	})
}

// An answer to the join that gets lost is looked up.
func TestJoinWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		for n := int64(1); n <= 4; n++ {
			m := r.join(func(c *cluster.Config) { c.Store = &losing{Store: c.Store, nth: n} })
			r.await("service", 5*time.Second, served(m))
			r.leave(m)
		}
	})
}

// A lease that is not as long as configured, be it that stores grant whole seconds, is logged.
func TestAnotherLeaseIsLogged(t *testing.T) {
	t.Parallel()
	for asked, logs := range map[time.Duration]bool{3 * time.Second: false, 2500 * time.Millisecond: true} {
		inBubble(t, func(r *rig) {
			m := r.join(func(c *cluster.Config) { c.LeaseTTL = asked })
			if got := strings.Contains(m.log.String(), "another lease than asked for\" incarnation=m1 asked=2.5s granted=3s"); got != logs {
				r.Errorf("asked for %v, logged: %v\n%s", asked, got, m.log)
			}
			r.leave(m)
		})
	}
}
