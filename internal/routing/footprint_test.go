package routing_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/xiaonanln/goverse/cluster"
	coord "github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// All that a node keeps about shards (the member's table, its own shards, the routes, the node's gates, the router) is at
// most 2 MB, also where it owns every one of them.
func TestMemoryOfOwnedShards(t *testing.T) { //nolint:paralleltest // measures the heap
	inBubble(t, func(w *world) {
		store := coord.New(w.clock, coord.Options{Retain: 1}) // and no past
		defer store.Close()
		link := store.Connect()
		own := func(name string) (leave func()) {
			p := &peer{world: w, name: name}
			registry := object.NewRegistry()
			p.node = node.New(node.Config{
				Registry: registry, Clock: w.clock, Logger: quiet, Runtime: p, Shards: shard.DefaultCount,
				Fence: func(context.Context, uint32, uint64) error { return nil },
			})
			p.Router = routing.New(routing.Config{Node: p.node, Registry: registry, Clock: w.clock, Logger: quiet, Cluster: "test"})
			m := cluster.NewMember(cluster.Config{
				Store: link, Clock: w.clock, Logger: quiet, Name: "test", Address: address(name), Shards: shard.DefaultCount,
				LeaseTTL: ttl, Host: p.Host(), Incarnation: name,
			})
			p.serve(m)
			ctx, cancel := context.WithCancel(context.Background())
			ready, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- m.Run(ctx, func() { close(ready) }) }()
			<-ready
			if s := m.State(); s.Open != shard.DefaultCount {
				t.Fatalf("%d shards are open", s.Open)
			}
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("leave: %v", err)
				}
				p.close()
			}
		}
		own("first")() // from here on the store has all it ever keeps
		before := heap()
		leave := own("second")
		grown := heap() - before
		t.Logf("%d kB", grown>>10)
		if grown > 2<<20 {
			t.Errorf("%d kB for the %d shards of one node", grown>>10, shard.DefaultCount)
		}
		leave()
	})
}

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
