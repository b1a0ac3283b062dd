package cluster_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/shard"
)

// full is a cluster as large as it gets by default, on a store that takes 5 ms.
func full(c *cluster.Config) { c.Shards = shard.DefaultCount }

// A fourth member gets its share soon, by no more moves than needed.
func TestFourthOfFullSize(t *testing.T) {
	t.Parallel()
	inBubble(t, func(r *rig) {
		var all []*member
		for range 3 {
			m := r.run(full)
			m.link.SetFaults(mem.Faults{RequestDelay: 5 * time.Millisecond})
			all = append(all, m)
		}
		for _, m := range all {
			<-m.ready
			m.host.drainTimes(20 * time.Millisecond)
		}
		fourth := r.run(full)
		fourth.link.SetFaults(mem.Faults{RequestDelay: 5 * time.Millisecond})
		share := shard.DefaultCount / 4
		mostShut := 0 // calls wait for a shard that is shut
		took := r.await("the fourth's share", 15*time.Second, func() bool {
			for _, m := range all {
				mostShut = max(mostShut, m.host.shut())
			}
			return fourth.host.count() >= share*95/100
		})
		if mostShut == 0 || mostShut > 32 {
			r.Errorf("%d shards of one member were shut at a time", mostShut)
		}
		r.Logf("%d shards were shut at a time", mostShut)
		pass(10 * time.Second)
		moved := 0
		for _, m := range all {
			moved += m.host.movedAway()
			if n := m.host.count(); n < share*95/100 || n > share*105/100 {
				r.Errorf("%s has %d shards, a fourth is %d", m.name, n, share)
			}
		}
		if moved > share+1 {
			r.Errorf("%d shards moved, %d are needed", moved, share)
		}
		r.Logf("95 %% of the share after %v; %d moved, %d needed", took, moved, share)
		begun := time.Now()
		r.leave(fourth)
		r.Logf("it left after %v", time.Since(begun))
		if took := time.Since(begun); took > 5*time.Second {
			r.Errorf("it took %v to leave", took)
		}
		r.leave(all...)
	})
}

// What a member keeps about all shards is at most 2 MB.
func TestMemoryOfShards(t *testing.T) { //nolint:paralleltest // measures the heap
	inBubble(t, func(r *rig) {
		a, b := r.run(full), r.run(full)
		<-a.ready
		<-b.ready
		pass(time.Minute)
		c := r.join(func(c *cluster.Config) { full(c); c.Grace = time.Hour })
		before := heap()
		d := r.join(func(c *cluster.Config) { full(c); c.Grace = time.Hour })
		if d.host.count() > 0 {
			r.Fatal("the member measured has shards of its own")
		}
		grown := heap() - before
		r.Logf("%d kB", grown>>10)
		if grown > 2<<20 {
			r.Errorf("%d kB for a member's knowledge of %d shards", grown>>10, shard.DefaultCount)
		}
		r.leave(a, b)
		r.leave(c, d)
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
