package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/lifecycle"
)

// broken is a host whose drains of one shard do not do what they promise.
type broken struct {
	cluster.Host

	shard *atomic.Int64
	drain func() error
}

func (b broken) DrainShard(ctx context.Context, s uint32, epoch uint64, target cluster.Route, handover int64) error {
	if int64(s) == b.shard.Load() {
		return b.drain()
	}
	return b.Host.DrainShard(ctx, s, epoch, target, handover)
}

// breaking joins a member whose drain of one of its shards is another once it is told which.
func (r *rig) breaking(drain func() error, opts ...option) (m *member, breakOne func() (shard uint32)) {
	r.Helper()
	which := new(atomic.Int64)
	which.Store(-1)
	m = r.join(append(opts, func(c *cluster.Config) { c.Host = broken{c.Host, which, drain} })...)
	return m, func() uint32 {
		for s := range uint32(shards) {
			if m.host.serves(s) {
				which.Store(int64(s))
				return s
			}
		}
		r.Fatal("it serves nothing")
		return 0
	}
}

// A host that breaks its promise and never returns from a drain holds up neither its member's
// end nor the others: they have all shards when the lease has ended.
func TestHostThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		gate := make(chan struct{})
		a, breakOne := r.breaking(func() error { <-gate; return errTorn }, func(c *cluster.Config) { c.LeaveTimeout = 3 * time.Second })
		b := r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		stuck := breakOne()
		begun := time.Now()
		a.stop()
		err := <-a.ended
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("does not let go of 1 shards, among them [%d]", stuck)) {
			r.Errorf("%v, want it to name shard %d", err, stuck)
		}
		if took := time.Since(begun); took > 10*time.Second {
			r.Errorf("it took %v", took)
		}
		if a.Valid() || a.host.serves(stuck) {
			r.Error("it answers still")
		}
		r.await("the lease to end", ttl+time.Second, served(b))
		close(gate)
		pass(time.Second)
		if n := a.host.count(); n != 0 {
			r.Errorf("%d shards are left after the drain", n)
		}
		r.leave(b)
	})
}

// A shard whose work has panicked is released: the host has nothing when its member ends.
func TestPanicOfAHost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		a, breakOne := r.breaking(func() error { panic("the host") })
		b := r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		s := breakOne()
		a.stop()
		var panicked *lifecycle.PanicError
		if err := <-a.ended; !errors.As(err, &panicked) {
			r.Errorf("%v, want what the host said", err)
		}
		a.host.wantEmpty(r.T)
		if !strings.Contains(a.host.history(), fmt.Sprintf("release %d: ", s)) {
			r.Errorf("shard %d was not released", s)
		}
		r.leave(b)
	})
}

// farewell is what a member that leaves does last, and when.
type farewell struct {
	said chan struct{} // closed when it begins
	end  chan struct{} // closed: it may end
}

func newFarewell() *farewell { return &farewell{make(chan struct{}), make(chan struct{})} }

func (f *farewell) option(c *cluster.Config) {
	c.Farewell = func(context.Context) { close(f.said); <-f.end }
}

// What nobody takes from a member that leaves is its own until it has said farewell: members
// that leave together end in peace.
func TestMembersLeaveTogether(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		fa, fb := newFarewell(), newFarewell()
		a, b := r.join(fa.option), r.join(fb.option)
		r.await("balance", 5*time.Second, balanced(a, b))
		slow := func(uint32) bool { return true }
		a.host.resist(slow)
		b.host.resist(slow)
		a.stop()
		b.stop()
		<-fa.said
		<-fb.said
		pass(2 * ttl)
		if !a.Valid() || !b.Valid() || a.host.count() == 0 || b.host.count() == 0 {
			r.Errorf("a %v with %d, b %v with %d shards", a.Valid(), a.host.count(), b.Valid(), b.host.count())
		}
		close(fa.end)
		close(fb.end)
		r.leave(a, b)
	})
}

// The time of a leave ends with what bounds it from outside; what runs has its last chance.
func TestLeaveIsBoundedFromOutside(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		f := newFarewell()
		close(f.end)
		a := r.join(f.option, func(c *cluster.Config) {
			c.LeaveTimeout = time.Hour
			c.Until = func(ctx context.Context) (context.Context, func()) {
				until, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				return until, cancel
			}
		})
		b := r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		a.host.resist(func(uint32) bool { return true })
		begun := time.Now()
		r.leave(a)
		if took := time.Since(begun); took > time.Second {
			r.Errorf("it took %v", took)
		}
		<-f.said
		r.leave(b)
	})
}

// Who has handed over all says no farewell.
func TestNoFarewellWithoutShards(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		f := newFarewell()
		a, b := r.join(f.option), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		r.leave(a)
		select {
		case <-f.said:
			r.Error("it was said")
		default:
		}
		r.leave(b)
	})
}

// A member that cannot tell that it leaves, as the store is away, does not wait until its
// lease has ended.
func TestLeaveWithoutAStore(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]mem.Faults{"refuses": {Unavailable: true}, "hangs": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(r *rig) {
				f := newFarewell()
				close(f.end)
				long := func(c *cluster.Config) { c.LeaseTTL = time.Minute }
				a, b := r.join(f.option, long), r.join(long)
				r.await("balance", 5*time.Second, balanced(a, b))
				a.link.SetFaults(faults)
				begun := time.Now()
				r.leave(a)
				if took := time.Since(begun); took > 4*time.Second {
					r.Errorf("it took %v", took)
				}
				<-f.said
				r.leave(b)
			})
		})
	}
}
