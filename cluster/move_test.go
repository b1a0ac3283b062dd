package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
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

// A wish whose answer was lost stands, and is waited for.
func TestAWishWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		lost := &losing{nth: -1}
		a := r.join(func(c *cluster.Config) { lost.Store, c.Store = c.Store, lost })
		b := r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		pass(10 * time.Second)
		var n uint32
		for !a.host.serves(n) {
			n++
		}
		lost.nth = lost.n.Load() + 1
		if err := a.Move(r.Context(), n, b.Incarnation()); err != nil {
			r.Error(err)
		}
		if r.await("the move", time.Second, func() bool { return b.host.serves(n) }); !a.Shards()[n].Pinned {
			r.Error("not pinned")
		}
		r.leave(a, b)
	})
}
