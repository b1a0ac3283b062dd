package inspection_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Box is a type with a method.
type Box struct{ object.BaseObject }

func (b *Box) Add(_ context.Context, n *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
	return n, nil
}

// Know has a message whose file imports others.
func (b *Box) Know(_ context.Context, a *apipb.Api) (*apipb.Api, error) { return a, nil }

// world is all that a service looks at, and what was asked of it.
type world struct {
	t       *testing.T
	service *inspection.Service
	journal *journal.Journal
	log     *bytes.Buffer // whose writer is slog, one at a time

	searching chan string   // told of a search that begins, if not nil
	searched  chan struct{} // lets it end

	mu       sync.Mutex
	asked    []string                  // guarded by mu
	search   *inspectpb.SearchRequest  // guarded by mu
	aims     []*inspectpb.WatchRequest // guarded by mu
	observed int                       // guarded by mu: open observations
	collects uint64                    // guarded by mu
	err      error                     // guarded by mu: what is asked fails with
	broken   bool                      // guarded by mu: what is asked panics
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*Box)(nil)); err != nil {
		t.Fatal(err)
	}
	clk := clock.Virtual()
	w := &world{t: t, journal: journal.New(clk), log: &bytes.Buffer{}}
	w.service = inspection.New(inspection.Config{
		Registry: r, Node: w, Clients: w, Cluster: w, Clock: clk, Journal: w.journal,
		Call: func(_ context.Context, id, method string, req proto.Message) (proto.Message, error) {
			n, _ := req.(*wrapperspb.Int64Value)
			return wrapperspb.Int64(2 * n.GetValue()), w.ask("call " + id + "." + method)
		},
		Vitals: func(v *inspectpb.Vitals) { v.Incarnation = "me" },
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	return w
}

func (w *world) ask(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breakLocked()
	w.asked = append(w.asked, what)
	return w.err
}

// breakLocked panics if the world is broken.
func (w *world) breakLocked() {
	if w.broken {
		panic("a secret broke it")
	}
}

// isBroken makes the world broken, or whole again.
func (w *world) isBroken(broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = broken
}

func (w *world) breaks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breakLocked()
}

func (w *world) Observe() inspection.Observation {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observed++
	return &look{w}
}

func (w *world) Search(_ context.Context, req *inspectpb.SearchRequest) *inspectpb.SearchResponse {
	if w.searching != nil {
		w.searching <- req.GetPrefix()
		<-w.searched
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breakLocked()
	w.search = req
	return &inspectpb.SearchResponse{Total: 7}
}

func (w *world) Describe(id string) *inspectpb.DescribeResponse {
	w.breaks()
	return &inspectpb.DescribeResponse{Found: true, Info: &inspectpb.ObjectInfo{Id: id}}
}

func (w *world) Deactivate(_ context.Context, id string) error { return w.ask("deactivate " + id) }

func (w *world) List(req *inspectpb.ClientsRequest) *inspectpb.ClientsResponse {
	w.breaks()
	return &inspectpb.ClientsResponse{Total: uint64(req.GetLimit())}
}

func (w *world) Kick(_ context.Context, id string) error { return w.ask("kick " + id) }

func (w *world) Drain(_ context.Context, incarnation string, undo bool) error {
	if undo {
		return w.ask("undrain " + incarnation)
	}
	return w.ask("drain " + incarnation)
}

func (w *world) Move(_ context.Context, _ uint32, to string) error { return w.ask("move to " + to) }

// looking is how many observations are open.
func (w *world) looking() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.observed
}

// look is an observation.
type look struct{ world *world }

func (l *look) Aim(req *inspectpb.WatchRequest) {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	l.world.aims = append(l.world.aims, req)
}

func (l *look) Collect() *inspectpb.WatchResponse {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	l.world.breakLocked()
	l.world.collects++
	return &inspectpb.WatchResponse{OtherCalls: l.world.collects, Sampling: 1}
}

func (l *look) Close() {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	l.world.observed--
}

// stream is a Watch stream without a network.
type stream struct {
	grpc.ServerStream

	ctx    context.Context
	in     chan *inspectpb.WatchRequest // closed: nothing follows
	out    chan *inspectpb.WatchResponse
	result chan error
}

func (w *world) watch(ctx context.Context) *stream {
	// As gRPC does: the stream's context ends with its handler.
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{
		ctx: ctx, in: make(chan *inspectpb.WatchRequest), out: make(chan *inspectpb.WatchResponse), result: make(chan error, 1),
	}
	go func() {
		defer cancel()
		s.result <- w.service.Watch(s)
	}()
	return s
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Recv() (*inspectpb.WatchRequest, error) {
	select {
	case req, ok := <-s.in:
		if !ok {
			return nil, io.EOF
		}
		return req, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

func (s *stream) Send(res *inspectpb.WatchResponse) error {
	select {
	case s.out <- res:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
