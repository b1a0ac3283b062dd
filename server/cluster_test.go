package server_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// Tally keeps its sum through planned moves.
type Tally struct {
	object.BaseObject

	sum int64
}

// Add adds and returns the sum.
func (o *Tally) Add(_ context.Context, req *number) (*number, error) {
	o.sum += req.GetValue()
	return wrapperspb.Int64(o.sum), nil
}

// Visit adds one to each of a hundred other tallies, wherever they are.
func (o *Tally) Visit(ctx context.Context, prefix *text) (*number, error) {
	for i := range 100 {
		if _, err := goverseapi.Invoke(ctx, tallyID(prefix.GetValue(), i), (*Tally).Add, wrapperspb.Int64(1)); err != nil {
			return nil, err
		}
	}
	return wrapperspb.Int64(100), nil
}

// Back calls the object that calls this one, by way of others.
func (o *Tally) Back(ctx context.Context, id *text) (*number, error) {
	return goverseapi.Invoke(ctx, id.GetValue(), (*Tally).Add, wrapperspb.Int64(1))
}

// Round has another object call this one back.
func (o *Tally) Round(ctx context.Context, id *text) (*number, error) {
	return goverseapi.Invoke(ctx, id.GetValue(), (*Tally).Back, wrapperspb.String(o.ID()))
}

// OnSnapshot hands the sum out.
func (o *Tally) OnSnapshot(context.Context) (proto.Message, error) {
	return wrapperspb.Int64(o.sum), nil
}

// OnRestore takes it back.
func (o *Tally) OnRestore(_ context.Context, state proto.Message) error {
	o.sum = state.(*number).GetValue()
	return nil
}

func tallyID(prefix string, i int) string { return fmt.Sprintf("Tally-%s%d", prefix, i) }

// company is servers of one cluster that meet inside the process.
type company struct {
	t       *testing.T
	meeting *server.Coordinators
}

func (c *company) join(settings ...setting) *server.Server {
	c.t.Helper()
	s := c.found(settings...)
	if err := s.Start(c.t.Context()); err != nil {
		c.t.Fatalf("start: %v", err)
	}
	return s
}

// found is a server that has not started.
func (c *company) found(settings ...setting) *server.Server {
	c.t.Helper()
	registry := newRegistry(c.t)
	if err := registry.RegisterObjectType((*Tally)(nil)); err != nil {
		c.t.Fatal(err)
	}
	cfg := server.Config{
		ListenAddress: "127.0.0.1:0", Shards: 64, Registry: registry, Etcd: []string{server.Memory},
		Logger: (&fixture{log: &logBook{}}).logger(),
	}
	for _, set := range settings {
		set(&cfg)
	}
	s := server.NewShared(&cfg, c.meeting)
	probes.Store(s.Runtime(), newProbe())
	c.t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			c.t.Errorf("stop: %v", err)
		}
		probes.Delete(s.Runtime())
	})
	return s
}

func addTo(ctx context.Context, s *server.Server, id string, n int64) (int64, error) {
	reply, err := goverseapi.Invoke(s.Context(ctx), id, (*Tally).Add, wrapperspb.Int64(n))
	return reply.GetValue(), err
}

// Servers of a cluster are one: every object is in one place, whoever calls it, also
// while servers come and go; no call fails and nothing is lost or done twice.
func TestServersComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	first := c.join()
	stayer := c.join()
	const objects = 50
	var added [objects]atomic.Int64
	load, enough := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := worker; load.Err() == nil; n++ {
				i := n % objects
				if _, err := addTo(t.Context(), stayer, tallyID("", i), 1); err != nil {
					t.Errorf("add: %v", err)
					return
				}
				added[i].Add(1)
			}
		})
	}
	third := c.join()
	for _, s := range []*server.Server{first, third} { // the first is the allocator
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	fourth := c.join()
	enough()
	wg.Wait()
	for i := range objects {
		if sum, err := addTo(t.Context(), fourth, tallyID("", i), 0); err != nil || sum != added[i].Load() {
			t.Errorf("%s has %d, %v, want %d", tallyID("", i), sum, err, added[i].Load())
		}
	}
}

// Turns call objects on other servers, and a chain that comes back to an object that
// waits for it is refused at once, with all of the cycle.
func TestChainsCrossServers(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	first, second := c.join(), c.join()
	for _, s := range []*server.Server{first, second} {
		for i := range 5 {
			if _, err := goverseapi.Invoke(s.Context(t.Context()), tallyID("visitor", i), (*Tally).Visit, wrapperspb.String("host")); err != nil {
				t.Errorf("visit: %v", err)
			}
		}
	}
	if sum, err := addTo(t.Context(), second, tallyID("host", 99), 0); err != nil || sum != 10 {
		t.Errorf("the host was visited %d times, %v", sum, err)
	}
	for i := range 10 {
		_, err := goverseapi.Invoke(first.Context(t.Context()), tallyID("a", i), (*Tally).Round, wrapperspb.String(tallyID("b", i)))
		want := fmt.Sprintf("Tally-a%d.Round → Tally-b%d.Back → Tally-a%d.Add", i, i, i)
		wantError(t, want, err, object.ErrDeadlock, object.ExecutedYes)
	}
}

// Clients are reached from every server, by calls, pushes and deletions.
func TestClientsOfAnotherServer(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	withClients := func(cfg *server.Config) { cfg.ClientListenAddress = "127.0.0.1:0" }
	near, far := c.join(withClients), c.join()
	client, err := goverseclient.Dial(t.Context(), near.ClientAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	id := whoami(t, client)
	if err := far.PushMessage(t.Context(), id, wrapperspb.String("from afar")); err != nil {
		t.Errorf("push: %v", err)
	}
	if got := receive(t, client.Pushes(), "the push"); got.(*text).GetValue() != "from afar" {
		t.Errorf("pushed %v", got)
	}
	if err := far.DeleteObject(t.Context(), id); err != nil {
		t.Errorf("delete: %v", err)
	}
	receive(t, client.Done(), "the end of the client")
	var gone error
	for timeout := time.Now().Add(patience); gone == nil && time.Now().Before(timeout); runtime.Gosched() { // the other server says so
		gone = far.PushMessage(t.Context(), id, wrapperspb.String(""))
	}
	wantError(t, "push to one who is gone", gone, object.ErrNotFound, object.ExecutedNo)
	wantError(t, "push to one who never was", far.PushMessage(t.Context(), "User-x@nobody", wrapperspb.String("")), object.ErrNotFound, object.ExecutedNo)
}
