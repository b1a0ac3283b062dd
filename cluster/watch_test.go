package cluster_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/shard"
)

// What somebody has written into the records is replaced, and nobody serves by it.
func TestGarbageInTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		for i, garbage := range []string{"", "{", "null", `{"owner":"x"}`, `{"owner":"x","owner_rev":1,"epoch":18446744073709551615}`, "\xff\xfe"} {
			r.put(fmt.Sprintf("%s%04d", shardsPrefix, i), garbage)
		}
		r.put(shardsPrefix+"9999", "{}")
		r.put(shardsPrefix+"x", "{}")
		r.put(prefix+"moves/0001", "nobody")
		r.put(prefix+"stray", "?")
		r.await("repair", 5*time.Second, balanced(a, b))
		r.del(shardsPrefix + "0007")
		r.await("repair of a deletion", 5*time.Second, balanced(a, b))
		if n := len(r.page(shardsPrefix)); n != shards+2 {
			r.Errorf("%d records", n)
		}
		r.leave(a, b)
	})
}

// History that is compacted away under a watch is no loss, nor is a broken watch.
func TestCompactionUnderTheWatch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		for range 5 {
			a.link.SetFaults(mem.Faults{Unavailable: true})
			c := r.join()
			r.put(prefix+"stray", "compaction keeps the last revision, which is to be another")
			if err := r.link.Compact(r.Context(), r.store.Rev()); err != nil {
				r.Fatal(err)
			}
			a.link.SetFaults(mem.Faults{})
			r.await("balance of three", 20*time.Second, balanced(a, b, c))
			b.link.DropWatches()
			r.leave(c)
			r.await("balance of two", 20*time.Second, balanced(a, b))
		}
		if d := a.State().Divergences + b.State().Divergences; d != 0 {
			r.Errorf("%d divergences", d)
		}
		r.leave(a, b)
	})
}

// The test above could find it: who goes on after the gap never hears of the third member.
func TestResumingAfterCompactionIsFound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		r.flaws = shard.Flaws{ResumeCompacted: true}
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		b.link.SetFaults(mem.Faults{Unavailable: true})
		c := r.join()
		r.put(prefix+"stray", "")
		if err := r.link.Compact(r.Context(), r.store.Rev()); err != nil {
			r.Fatal(err)
		}
		b.link.SetFaults(mem.Faults{})
		pass(time.Minute)
		if _, known := b.Node(c.Incarnation()); known {
			r.Error("it knows the third")
		}
		r.leave(a, b, c)
	})
}

// A change that the watch swallows is found by comparison, and counted.
func TestSwallowedEventsAreFound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join()
		forgetful := &swallowing{}
		b := r.join(func(c *cluster.Config) { forgetful.Store = c.Store; c.Store = forgetful; c.Relist = time.Minute })
		r.await("balance", 5*time.Second, balanced(a, b))
		forgetful.swallow.Store(true)
		c := r.join()
		r.await("the comparison", 2*time.Minute, func() bool { return b.State().Divergences > 0 })
		forgetful.swallow.Store(false)
		r.await("b to know all", 3*time.Minute, balanced(a, b, c))
		if b.State().Divergences == 0 || a.State().Divergences != 0 {
			r.Errorf("divergences: a %d, b %d", a.State().Divergences, b.State().Divergences)
		}
		r.leave(a, b, c)
	})
}

// Hints are taken if newer; nonsense is healed by reading.
func TestLearn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		var s uint32
		for !b.host.serves(s) {
			s++
		}
		was, _ := a.Route(s)
		a.Learn(s, cluster.Route{Incarnation: "old", Address: "x", Epoch: was.Epoch + 1, Revision: was.Revision})
		if now, _ := a.Route(s); now != was {
			r.Errorf("an old hint was taken: %+v", now)
		}
		hint := cluster.Route{Incarnation: "new", Address: "x", Epoch: was.Epoch + 1, Revision: was.Revision + 100}
		a.Learn(s, hint)
		if now, _ := a.Route(s); now != hint {
			r.Errorf("a newer hint was not taken: %+v", now)
		}
		if now, err := a.Refresh(r.Context(), s); err != nil || now != was {
			r.Errorf("refresh: %+v, %v", now, err)
		}
		a.Learn(s, cluster.Route{Incarnation: "mad", Address: "x", Epoch: 1 << 63, Revision: 1 << 62})
		if now, _ := a.Route(s); now != was {
			r.Errorf("nonsense was taken: %+v", now)
		}
		a.Learn(shards, hint)
		if _, ok := a.Route(shards); ok {
			r.Error("a route to a shard that is none")
		}
		if n, ok := a.Node(b.Incarnation()); !ok || n.Address != "m2:47000" {
			r.Errorf("node %+v, %v", n, ok)
		}
		r.leave(a, b)
		if _, err := a.Refresh(r.Context(), s); !errors.Is(err, cluster.ErrNotRunning) {
			r.Errorf("refresh after the end: %v", err)
		}
	})
}

// A target that dies during the drain gets nothing: the owner keeps what it has.
func TestTargetDiesDuringTheDrain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		deaf := &swallowing{}
		a := r.join(func(c *cluster.Config) { deaf.Store = c.Store; c.Store, c.Relist, c.Grace = deaf, -1, time.Hour })
		b := r.join()
		a.host.keep(7, "what it knows")
		a.host.drainTimes(time.Second)
		moved := make(chan error)
		go func() { moved <- a.Move(r.Context(), 7, b.Incarnation()) }()
		pass(500 * time.Millisecond)
		r.kill(b)
		deaf.swallow.Store(true) // a does not hear that it is gone
		r.del(nodesPrefix + b.name)
		r.await("a to keep the shard", 5*time.Second, func() bool { return a.host.serves(7) })
		pass(5 * time.Second)
		if got := a.host.state(7); got != "what it knows" || a.host.movedAway() > 0 {
			r.Errorf("the shard has %q, moved %d", got, a.host.movedAway())
		}
		a.stop()
		<-moved
	})
}

// Who asks for a reading gets one that began after the question, not one that others wait for.
func TestRefreshBeginsAfterTheCall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join()
		deaf := &swallowing{}
		b := r.join(func(c *cluster.Config) { deaf.Store = c.Store; c.Store, c.Grace = deaf, time.Hour })
		c := r.join()
		r.await("balance", 20*time.Second, func() bool { return c.host.count() > 0 })
		pass(20 * time.Second)
		deaf.swallow.Store(true)
		was, _ := b.Route(3)
		to := a
		if was.Incarnation == a.Incarnation() {
			to = c
		}
		b.link.SetFaults(mem.Faults{ReplyDelay: 2 * time.Second})
		first := make(chan cluster.Route, 1)
		go func() {
			route, _ := b.Refresh(r.Context(), 3)
			first <- route
		}()
		pass(100 * time.Millisecond)
		if err := a.Move(r.Context(), 3, to.Incarnation()); err != nil {
			r.Fatal(err)
		}
		route, err := b.Refresh(r.Context(), 3)
		if err != nil || route.Incarnation != to.Incarnation() {
			r.Errorf("the second reading says %+v, %v; it is with %s", route, err, to.name)
		}
		if route := <-first; route.Incarnation == "" {
			r.Errorf("the first reading says %+v", route)
		}
		b.link.SetFaults(mem.Faults{})
		r.leave(b, c)
		r.leave(a)
	})
}

// put and del write as somebody else would.
func (r *rig) put(key, value string) {
	r.Helper()
	if _, err := r.link.Txn(r.Context(), coord.Txn{Then: []coord.Op{coord.Put(key, []byte(value))}}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) del(key string) {
	r.Helper()
	if _, err := r.link.Txn(r.Context(), coord.Txn{Then: []coord.Op{coord.Delete(key)}}); err != nil {
		r.Fatal(err)
	}
}

// The dead are remembered for as long as somebody could tell of their lives, not for ever.
func TestTheDeadAreForgotten(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join(func(c *cluster.Config) { c.Relist = time.Minute })
		for range 3 {
			r.leave(r.join())
		}
		pass(time.Second)
		if n := a.Buried(); n != 3 {
			r.Errorf("%d are remembered", n)
		}
		if pass(3 * time.Minute); a.Buried() != 0 {
			r.Errorf("%d are still remembered", a.Buried())
		}
		r.leave(a)
	})
}
