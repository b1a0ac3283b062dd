package goverseapi_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	text   = wrapperspb.StringValue
	number = wrapperspb.Int64Value
	empty  = emptypb.Empty
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// Room is an object that uses the facade from inside.
type Room struct {
	goverseapi.BaseObject

	sum     int64
	created string
}

func (r *Room) OnCreate(_ context.Context, init proto.Message) error {
	if s, ok := init.(*text); ok {
		r.created = s.GetValue()
	}
	return nil
}

// Add returns the sum of all that was added.
func (r *Room) Add(_ context.Context, n *number) (*number, error) {
	r.sum += n.GetValue()
	return wrapperspb.Int64(r.sum), nil
}

func (r *Room) Created(context.Context, *empty) (*text, error) {
	return wrapperspb.String(r.created), nil
}

// Relay adds to another Room and returns its sum.
func (r *Room) Relay(ctx context.Context, id *text) (*number, error) {
	return goverseapi.Invoke(ctx, id.GetValue(), (*Room).Add, wrapperspb.Int64(1))
}

// Detour is Relay by contexts that come from the turn's and from the activation's.
func (r *Room) Detour(ctx context.Context, id *text) (*number, error) {
	type key struct{}
	timed, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var sum *number
	for _, own := range []context.Context{timed, context.WithValue(timed, key{}, 1), context.WithoutCancel(ctx), r.Context()} {
		var err error
		if sum, err = goverseapi.Call[*number](own, id.GetValue(), "Add", wrapperspb.Int64(1)); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// Found creates a Room of the given name, adds 5 to it, deletes it, adds 7 and returns
// the sum.
func (r *Room) Found(ctx context.Context, name *text) (*number, error) {
	id, err := goverseapi.CreateObject(ctx, "Room", "Room-"+name.GetValue(), wrapperspb.String("found"))
	if err != nil {
		return nil, err
	}
	if _, err := goverseapi.CallObject(ctx, id, "Add", wrapperspb.Int64(5)); err != nil {
		return nil, err
	}
	if err := goverseapi.DeleteObject(ctx, id); err != nil {
		return nil, err
	}
	return goverseapi.Call[*number](ctx, id, "Add", wrapperspb.Int64(7))
}

// Greet pushes a greeting to a client.
func (r *Room) Greet(ctx context.Context, clientObjectID *text) (*empty, error) {
	return nil, goverseapi.PushMessage(ctx, clientObjectID.GetValue(), wrapperspb.String("hello from "+r.ID()))
}

// Call tells what came with the call.
func (r *Room) Call(ctx context.Context, n *number) (*text, error) {
	r.sum += n.GetValue()
	return wrapperspb.String(goverseapi.IdempotencyKey(ctx) + "/" + goverseapi.MetadataFrom(ctx)["who"]), nil
}

// Guest is a client object.
type Guest struct{ goverseapi.BaseClient }

func (g *Guest) Whoami(context.Context, *empty) (*text, error) {
	return wrapperspb.String(g.ID()), nil
}

// Relay adds to a Room.
func (g *Guest) Relay(ctx context.Context, id *text) (*number, error) {
	return goverseapi.Invoke(ctx, id.GetValue(), (*Room).Add, wrapperspb.Int64(1))
}

func newRegistry(t *testing.T) *goverseapi.Registry {
	t.Helper()
	r := goverseapi.NewRegistry()
	if err := r.RegisterObjectType((*Room)(nil)); err != nil {
		t.Fatal(err)
	}
	if err := r.RegisterClientType((*Guest)(nil)); err != nil {
		t.Fatal(err)
	}
	return r
}

// config is one for free ports, with types of its own and silent.
func config(t *testing.T) *goverseapi.ServerConfig {
	t.Helper()
	return &goverseapi.ServerConfig{
		ListenAddress: "127.0.0.1:0", ClientListenAddress: "127.0.0.1:0", Shards: 64,
		Registry: newRegistry(t), Logger: slog.New(slog.DiscardHandler),
		Etcd: []string{"memory:"}, Cluster: rand.Text(),
	}
}

// start runs a server that is nobody's default.
func start(t *testing.T) *goverseapi.Server {
	t.Helper()
	s := server.New(config(t))
	begin(t, s)
	return s
}

// begin starts a server and stops it at the test's end.
func begin(t *testing.T, s *goverseapi.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { stop(t, s) })
}

func stop(t *testing.T, s *goverseapi.Server) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func dial(t *testing.T, s *goverseapi.Server) *goverseclient.Client {
	t.Helper()
	c, err := goverseclient.Dial(t.Context(), s.ClientAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// sum is what a Room has added up.
func sum(ctx context.Context, t *testing.T, id string) int64 {
	t.Helper()
	n, err := goverseapi.Call[*number](ctx, id, "Add", nil)
	if err != nil {
		t.Fatalf("sum of %s: %v", id, err)
	}
	return n.GetValue()
}

func wantError(t *testing.T, what string, err error, sentinel *goverseapi.Error, executed goverseapi.Execution) {
	t.Helper()
	e := object.FromError(err)
	if goverseapi.CodeOf(err) != sentinel.Code || sentinel.Reason != "" && e.Reason != sentinel.Reason || goverseapi.Executed(err) != executed {
		t.Errorf("%s: %v, executed %v, want %v, executed %v", what, err, goverseapi.Executed(err), sentinel, executed)
	}
}

// together runs f on n goroutines and waits for them.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
