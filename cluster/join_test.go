package cluster_test

import (
	"fmt"
	"testing"
	"time"
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
