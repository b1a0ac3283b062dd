package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
)

// observe runs an observer of the rig's cluster over a link of its own.
func observe(r *rig, link *mem.Client) (o *cluster.Observer, stop func() error) {
	o = cluster.NewObserver(cluster.ObserverConfig{Store: link, Clock: r.clock, Name: "test"})
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	return o, func() error { cancel(); return <-ended }
}

// agrees says whether an observer sees what a member sees.
func agrees(o *cluster.Observer, m *member) func() bool {
	return func() bool {
		v, shards, members := o.View(), m.Shards(), m.Members()
		if len(v.Shards) != len(shards) || len(v.Members) != len(members) || v.Allocator != m.State().Allocator || v.UUID != m.State().Cluster {
			return false
		}
		for i := range shards {
			if v.Shards[i] != shards[i] {
				return false
			}
		}
		for i := range members {
			if v.Members[i] != members[i] {
				return false
			}
		}
		return v.Trouble == nil
	}
}

// An observer sees what members see, through outages and compactions, and is none itself.
func TestObserverSeesWhatMembersSee(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		link := r.store.Connect()
		defer link.Close()
		o, stop := observe(r, link)
		if v := o.View(); v.UUID != "" || len(v.Shards) != 0 {
			r.Errorf("a cluster before any: %+v", v)
		}
		a, b := r.join(), r.join()
		r.await("balance", 5*time.Second, balanced(a, b))
		r.await("agreement", 5*time.Second, agrees(o, a))
		link.SetFaults(mem.Faults{Unavailable: true})
		link.DropWatches()
		r.await("trouble", 5*time.Second, func() bool { return errors.Is(o.View().Trouble, coord.ErrUnavailable) })
		c := r.join()
		r.put(prefix+"stray", "compaction keeps the last revision, which is to be another")
		if err := r.link.Compact(r.Context(), r.store.Rev()); err != nil {
			r.Fatal(err)
		}
		link.SetFaults(mem.Faults{})
		r.await("agreement of three", 20*time.Second, agrees(o, a))
		if err := a.Drain(r.Context(), c.Incarnation()); err != nil {
			r.Fatal(err)
		}
		r.await("agreement on a drain", 5*time.Second, agrees(o, a))
		r.leave(c)
		link.DropWatches()
		r.await("agreement of two", 20*time.Second, agrees(o, a))
		r.leave(b, a)
		r.await("nobody", 20*time.Second, func() bool { return len(o.View().Members) == 0 })
		if err := stop(); err != nil {
			r.Error(err)
		}
	})
}

// A store that has gone back in time ends an observer: what it knows means nothing.
func TestObserverOfARestoredStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		link := r.store.Connect()
		defer link.Close()
		old := r.store.Snapshot()
		o, stop := observe(r, link)
		for range 3 {
			r.put(prefix+"stray", "")
		}
		pass(time.Second)
		r.store.Restore(old)
		pass(5 * time.Second)
		if err := stop(); !errors.Is(err, coord.ErrRestored) {
			r.Errorf("it ended with %v, view %+v", err, o.View())
		}
	})
}
