package routing_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/cluster"
	coord "github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// online is a node that talks over real connections, in real time.
type online struct {
	*peer

	member *cluster.Member
	leave  func()
}

func (w *world) connect(store *coord.Store, name string, opts ...func(*grpc.Config)) *online {
	w.Helper()
	x := &online{}
	var wire grpc.Config
	for _, set := range opts {
		set(&wire)
	}
	x.peer = w.build(name, func(c *routing.Config) { c.Valid = func() bool { return x.member.Valid() } })
	endpoint, err := grpc.New(wire).Listen(w.Context(), transport.Peer{Cluster: "test", Address: "127.0.0.1:0", Incarnation: name}, x.Handler())
	if err != nil {
		w.Fatal(err)
	}
	x.member = cluster.NewMember(cluster.Config{
		Store: store.Connect(), Clock: w.clock, Logger: slog.New(slog.DiscardHandler), Name: "test", Address: endpoint.Peer().Address,
		Shards: shards, Host: x.Host(), Incarnation: name, Grace: -1,
	})
	serving, stopServing := context.WithCancel(context.Background())
	running, stop := context.WithCancel(context.Background())
	served, ended, ready := make(chan error, 1), make(chan error, 1), make(chan struct{})
	go func() { served <- x.Serve(serving, x.member, endpoint) }()
	go func() { ended <- x.member.Run(running, func() { close(ready) }) }()
	<-ready
	x.leave = sync.OnceFunc(func() {
		stop()
		check := func(what string, err error) {
			if err != nil {
				w.Errorf("%s: %s: %v", name, what, err)
			}
		}
		check("Run", <-ended)
		check("Drain", endpoint.Drain(context.Background()))
		stopServing()
		check("Serve", <-served)
		check("Close", endpoint.Close(context.Background()))
		check("Stop", x.node.Stop(context.Background()))
	})
	return x
}

// Over real connections no call fails either when members join and leave.
func TestOverRealConnections(t *testing.T) {
	t.Parallel()
	w := &world{T: t, clock: clock.System(), actions: make(map[string]action)}
	w.standard()
	store := coord.New(w.clock, coord.Options{})
	defer store.Close()
	nodes := []*online{w.connect(store, "a"), w.connect(store, "b")}
	defer func() {
		for _, x := range nodes {
			x.leave()
		}
		w.wantNoClash()
	}()
	const objects = 40
	var mu sync.Mutex
	done := make(map[string]int)
	var wg sync.WaitGroup
	over := make(chan struct{})
	for _, x := range nodes {
		for k := range 4 {
			wg.Go(func() {
				for i := k; ; i++ {
					select {
					case <-over:
						if i-k >= objects { // all of them
							return
						}
					default:
					}
					id := fmt.Sprint("keeper-", i%objects)
					if _, err := x.do(t.Context(), id, "sleep 1ms", object.AtMostOnce()); err != nil {
						t.Errorf("%s: %s: %v", x.name, id, err)
						return
					}
					mu.Lock()
					done[id]++
					mu.Unlock()
				}
			})
		}
	}
	third := w.connect(store, "c")
	for s := range uint32(shards) {
		if err := nodes[0].member.Move(t.Context(), s, []string{"a", "b", "c"}[s%3]); err != nil {
			t.Errorf("Move: %v", err)
		}
	}
	third.leave()
	close(over)
	wg.Wait()
	for id, n := range done {
		if got := nodes[0].must(id, "add"); got != fmt.Sprint(n+1) || w.ran(id) != n+1 {
			t.Errorf("%s: %d calls, the count is %s, it ran %d times", id, n, got, w.ran(id))
		}
	}
}
