package routing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coord "github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// scissors are a way over TCP that can be cut: a node dials through a proxy in between, so that what has left the one side
// may still arrive at the other, whose answers go nowhere.
type scissors struct {
	wg sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]struct{}
	made  int
}

func newScissors() *scissors { return &scissors{conns: make(map[net.Conn]struct{})} }

// dial connects, for a [grpc.Config].
func (s *scissors) dial(ctx context.Context, address string) (net.Conn, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer lis.Close()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	mine, err := (&net.Dialer{}).DialContext(ctx, "tcp", lis.Addr().String())
	if err != nil {
		return nil, errors.Join(err, far.Close())
	}
	near, err := lis.Accept()
	if err != nil {
		return nil, errors.Join(err, far.Close(), mine.Close())
	}
	s.mu.Lock()
	s.made++
	s.conns[near], s.conns[far] = struct{}{}, struct{}{}
	s.mu.Unlock()
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = near.Close(), far.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, to)
	}
	s.wg.Go(func() { carry(near, far) })
	s.wg.Go(func() { carry(far, near) })
	return mine, nil
}

// cut closes all connections. What is on its way to the far side still arrives there.
func (s *scissors) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// ownAll waits until each node owns its share of the shards, and returns objects that each one owns.
func ownAll(t *testing.T, nodes []*online, each int) (ids [][]string) {
	t.Helper()
	limit, again := time.After(time.Minute), time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		owned := make([]int, len(nodes))
		for n := range uint32(shards) {
			for i, x := range nodes {
				if rt, ok := nodes[0].member.Route(n); ok && rt.Incarnation == x.name && x.node.Epoch(n) == rt.Epoch {
					owned[i]++
				}
			}
		}
		if owned[0] == shards/2 && owned[1] == shards/2 {
			break
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("the nodes own %v shards", owned)
		}
	}
	ids = make([][]string, len(nodes))
	for k := 0; len(ids[0]) < each || len(ids[1]) < each; k++ {
		id := fmt.Sprint("cell-", k)
		for i, x := range nodes {
			if x.node.Epoch(x.node.ShardOf(id)) != 0 && len(ids[i]) < each {
				ids[i] = append(ids[i], id)
			}
		}
	}
	return ids
}

// tally is what callers were told of the calls of one object.
type tally struct{ done, unknown atomic.Int64 }

// Over TCP connections that are cut again and again each call runs exactly once: what was sent again is answered from
// what is remembered of the first sending. A call whose outcome is told to be unknown has run once or not at all.
func TestResentCallsRunOnceOverTCP(t *testing.T) {
	t.Parallel()
	const callers, objects, cuts = 16, 4, 60
	w := &world{T: t, clock: clock.System(), actions: make(map[string]action)}
	w.standard()
	w.on("count", func(_ context.Context, o *cell, _ string) (string, error) { // is cut off in the middle, whoever waits
		for range 20 {
			runtime.Gosched()
		}
		o.n++
		return fmt.Sprint(o.n), nil
	})
	store := coord.New(w.clock, coord.Options{})
	defer store.Close()
	way := newScissors()
	defer way.wg.Wait()
	cuttable := func(c *grpc.Config) { c.Dial = way.dial }
	nodes := []*online{w.connect(store, "a", cuttable), w.connect(store, "b", cuttable)}
	defer func() {
		for _, x := range nodes {
			x.leave()
		}
	}()
	ids := ownAll(t, nodes, objects)
	tallies := make(map[string]*tally)
	for _, id := range append(ids[0], ids[1]...) {
		tallies[id] = new(tally)
	}
	answered := make(chan struct{})
	over, enough := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for k := range callers {
		from, to := nodes[k%2], ids[1-k%2] // all calls cross
		dice := rand.New(rand.NewPCG(uint64(k), 1))
		wg.Go(func() {
			for over.Err() == nil {
				id := to[dice.IntN(objects)]
				_, err := from.do(t.Context(), id, "count")
				switch {
				case err == nil:
					tallies[id].done.Add(1)
				case object.Executed(err) == object.ExecutedUnknown:
					tallies[id].unknown.Add(1)
				default:
					t.Errorf("%s: %s: %v", from.name, id, err)
				}
				select {
				case answered <- struct{}{}:
				case <-over.Done():
				}
			}
		})
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range cuts {
		for range callers + dice.IntN(10*callers) { // somewhere in the middle of calls
			<-answered
		}
		way.cut()
	}
	enough()
	wg.Wait()
	total, unknown := 0, 0
	for i, x := range nodes {
		for _, id := range ids[i] {
			done, maybe := int(tallies[id].done.Load()), int(tallies[id].unknown.Load())
			total, unknown = total+done, unknown+maybe
			if got := w.ran(id); got < done || got > done+maybe {
				t.Errorf("%s: %d calls were answered and %d may have run, but %d have", id, done, maybe, got)
			}
			if got, want := x.must(id, "add"), fmt.Sprint(w.ran(id)); got != want {
				t.Errorf("%s: the count is %s after %s turns", id, got, want)
			}
		}
	}
	way.mu.Lock()
	defer way.mu.Unlock()
	if way.made < cuts/2 || total < cuts*callers || unknown > total/100 {
		t.Errorf("%d connections, %d calls answered, %d unknown: that proves little", way.made, total, unknown)
	}
	t.Logf("%d connections, %d calls answered, %d unknown", way.made, total, unknown)
}
