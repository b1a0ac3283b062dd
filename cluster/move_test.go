package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/shard"
)

// An operator moves a shard; it stays there although the balance is another.
func TestOperatorMovesAShard(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		var moved uint32
		for s := range uint32(shards) {
			if a.host.serves(s) {
				moved = s
				a.host.keep(s, "what it knows")
				break
			}
		}
		if err := b.Move(r.Context(), moved, b.Incarnation()); err != nil {
			r.Fatal(err)
		}
		r.await("the new owner", time.Second, served(a, b))
		if !b.host.serves(moved) || b.host.state(moved) != "what it knows" {
			r.Errorf("b serves it: %v, with %q", b.host.serves(moved), b.host.state(moved))
		}
		pass(time.Minute)
		if !b.host.serves(moved) || !b.Shards()[moved].Pinned {
			r.Error("it does not stay")
		}
		if left := r.page(prefix + "moves/"); len(left) != 0 {
			r.Errorf("wishes are left: %+v", left)
		}
		for what, err := range map[string]error{
			"unknown shard":  a.Move(r.Context(), shards, b.Incarnation()),
			"unknown member": a.Move(r.Context(), 0, "nobody"),
		} {
			if err == nil {
				r.Errorf("%s: moved", what)
			}
		}
		r.leave(a, b)
	})
}

// A drain that does not end in time is taken back, and tried again later; nothing is forced.
func TestStubbornShardStays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join()
		a.host.resist(func(s uint32) bool { return s < shards/2 })
		b := r.join()
		r.await("half of the balance", 3*time.Minute, func() bool { return b.host.count() == shards/2 })
		pass(time.Minute)
		for s := range uint32(shards / 2) {
			if !a.host.serves(s) {
				r.Errorf("shard %d was taken from a turn that runs", s)
			}
		}
		if n := strings.Count(a.host.history(), "deadline"); n < 4 || n > 4*shards {
			r.Errorf("%d drains timed out in a minute", n)
		}
		a.host.resist(nil)
		r.await("balance", 2*time.Minute, balanced(a, b))
		r.leave(a, b)
	})
}

// Drain empties a member and keeps it empty until the wish is taken back.
func TestOperatorDrainsAMember(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, b, c := r.join(), r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b, c))
		begun := time.Now()
		if err := a.Drain(r.Context(), b.Incarnation()); err != nil {
			r.Fatal(err)
		}
		r.Logf("drained after %v", time.Since(begun))
		pass(time.Minute)
		if b.host.count() != 0 || !balanced(a, c)() {
			r.Errorf("a %d, b %d, c %d", a.host.count(), b.host.count(), c.host.count())
		}
		if err := c.Undrain(r.Context(), b.Incarnation()); err != nil {
			r.Fatal(err)
		}
		r.await("balance again", 10*time.Second, balanced(a, b, c))
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		a.host.resist(func(uint32) bool { return true })
		if err := b.Drain(ctx, a.Incarnation()); !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("drain of a busy member: %v", err)
		}
		a.host.resist(nil)
		r.leave(b, c)
		r.leave(a)
		if left := r.page(prefix + "drains/"); len(left) != 0 {
			r.Errorf("wishes about who is gone are left: %+v", left)
		}
	})
}

// A member that leaves while its turns do not end gives up after its time.
func TestLeaveIsBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join(func(c *cluster.Config) { c.LeaveTimeout = 3 * time.Second })
		b := r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		a.host.resist(func(uint32) bool { return true })
		begun := time.Now()
		r.leave(a)
		if took := time.Since(begun); took < 3*time.Second || took > 4*time.Second {
			r.Errorf("it took %v", took)
		}
		r.await("failover", time.Second, served(b))
		r.leave(b)
	})
}

// All answers get lost while shards move: each outcome is read, and all moves end well.
func TestMovesWithLostAnswers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join()
		b := r.join(func(c *cluster.Config) { c.Grace = 10 * time.Second })
		for i := range 60 {
			pass(300 * time.Millisecond)
			a.link.SetFaults(mem.Faults{LoseReplies: i%2 == 0})
			b.link.SetFaults(mem.Faults{LoseReplies: i%3 == 0})
		}
		a.link.SetFaults(mem.Faults{})
		b.link.SetFaults(mem.Faults{})
		r.await("balance", 10*time.Second, balanced(a, b))
		if b.host.count() == 0 {
			r.Error("nothing moved")
		}
		r.leave(a, b)
	})
}

// Who disagrees on what all must agree on is refused with one sentence.
func TestIncompatibleMembersAreRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a := r.join(func(c *cluster.Config) { c.MinProtocol, c.MaxProtocol = 2, 3 })
		for want, set := range map[string]option{
			"it has 64 shards, this member is set to 32": func(c *cluster.Config) { c.Shards, c.MinProtocol, c.MaxProtocol = 32, 3, 4 },
			"this member belongs to other":               func(c *cluster.Config) { c.UUID, c.MinProtocol, c.MaxProtocol = "other", 3, 4 },
			"speaks protocols 2 to 3, this one 4 to 5":   func(c *cluster.Config) { c.MinProtocol, c.MaxProtocol = 4, 5 },
		} {
			m := r.run(set)
			if err := <-m.ended; !errors.Is(err, shard.ErrIncompatible) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				r.Errorf("%v, want %q", err, want)
			}
		}
		b := r.join(func(c *cluster.Config) { c.UUID, c.MinProtocol, c.MaxProtocol = a.State().Cluster, 3, 3 })
		r.leave(a, b)
	})
}

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
