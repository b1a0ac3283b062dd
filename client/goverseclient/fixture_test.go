package goverseclient_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(idlersVariable); addr != "" {
		beIdlers(addr) // this is the other process of a test
		return
	}
	goleak.VerifyTestMain(m)
}

// echo is a node whose objects answer with their own ID or what they were asked, and
// block until their call is cancelled.
type echo struct {
	attached  chan string // the IDs of new objects
	detached  chan object.DisconnectReason
	blocked   chan struct{} // a call blocks
	unblocked chan struct{} // it does not any more
	refuse    error
	ran       func(text string) // is told of each Echo; nil: nobody is

	mu  sync.Mutex
	log []string // guarded by mu: what Echo was asked
}

func (e *echo) AttachClient(_ context.Context, id string) error {
	if e.refuse == nil {
		e.attached <- id
	}
	return grpcOf(e.refuse)
}

func (e *echo) DetachClient(_ context.Context, _ string, reason object.DisconnectReason) error {
	e.detached <- reason
	return nil
}

// grpcOf is err as a node would return it, without a typed nil.
func grpcOf(err error) error {
	if err == nil {
		return nil
	}
	return grpcerr.FromApp(err)
}

func (e *echo) Accept(ctx context.Context, req object.Request) client.Accepted {
	req.Body = slices.Clone(req.Body) // it is the service's again
	return accepted(func() (object.Reply, error) { return e.serve(ctx, req) })
}

// accepted is a call that has its place.
type accepted func() (object.Reply, error)

func (a accepted) Run() (object.Reply, error) { return a() }

func (accepted) Spent() {}

func (e *echo) serve(ctx context.Context, req object.Request) (object.Reply, error) {
	switch req.Method {
	case "Echo":
		if req.Message == "" {
			return object.Reply{Message: wordName}, nil
		}
		var asked wrapperspb.StringValue
		if req.Message == wordName && proto.Unmarshal(req.Body, &asked) == nil {
			e.mu.Lock()
			e.log = append(e.log, asked.GetValue())
			e.mu.Unlock()
			if e.ran != nil {
				e.ran(asked.GetValue())
			}
		}
		return object.Reply{Message: req.Message, Body: req.Body}, nil
	case "Context":
		deadline, _ := ctx.Deadline()
		soon := time.Until(deadline) < time.Hour && time.Until(deadline) > time.Minute
		body, err := proto.Marshal(word(fmt.Sprintf("%v %v %v", req.Metadata, trace.SpanContextFromContext(ctx).TraceID(), soon)))
		return object.Reply{Message: wordName, Body: body}, err
	case "Mystery":
		return object.Reply{Message: "no.such.Type"}, nil
	case "Block":
		e.blocked <- struct{}{}
		<-ctx.Done()
		e.unblocked <- struct{}{}
		return object.Reply{}, context.Cause(ctx)
	}
	return object.Reply{}, object.Refuse(object.CodeUnimplemented, object.UnknownMethod, "call", req.ID, req.Method, "no such method")
}

type fixture struct {
	t    *testing.T
	node *echo
	svc  *client.Service
	addr string
}

func start(t *testing.T, limits ...client.Limits) *fixture {
	t.Helper()
	f := &fixture{t: t, node: &echo{
		attached: make(chan string, 16), detached: make(chan object.DisconnectReason, 16), blocked: make(chan struct{}, 16), unblocked: make(chan struct{}, 16),
	}}
	cfg := client.Config{Node: f.node, ClientType: "Echo"}
	for _, l := range limits {
		cfg.Limits = l
	}
	f.svc = client.NewService(cfg)
	server := grpc.NewServer(f.svc.ServerOptions(nil)...)
	f.svc.Register(server)
	f.addr = serve(t, server)
	t.Cleanup(func() {
		if err := f.svc.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return f
}

// serve runs a gRPC server until the test ends.
func serve(t *testing.T, server *grpc.Server) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

func (f *fixture) dial(opts ...goverseclient.Option) (c *goverseclient.Client, id string) {
	f.t.Helper()
	return f.dialAt(f.addr, opts...)
}

func (f *fixture) dialAt(addr string, opts ...goverseclient.Option) (c *goverseclient.Client, id string) {
	f.t.Helper()
	c, err := goverseclient.Dial(f.t.Context(), addr, opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		c.Close()
		for begun := time.Now(); c.Expected() != 0; time.Sleep(time.Millisecond) { //nolint:forbidigo // callers may be on their way back
			if time.Since(begun) > 10*time.Second {
				f.t.Errorf("%d callers are expected in the end", c.Expected())
				return
			}
		}
	})
	return c, <-f.node.attached
}

// expect checks an error's code or reason, and whether the call ran.
func expect(t *testing.T, err error, want *object.Error, executed object.Execution) {
	t.Helper()
	e, ok := err.(*object.Error) //nolint:errorlint // it must be one, not wrap one
	if !ok || !e.Is(want) {
		t.Errorf("error is %T %v, want %v", err, err, want)
	}
	if got := object.Executed(err); got != executed {
		t.Errorf("executed is %v, want %v, of %v", got, executed, err)
	}
}

const wordName = "google.protobuf.StringValue"

func word(s string) *wrapperspb.StringValue { return wrapperspb.String(s) }

func isWord(msg proto.Message, s string) bool { return proto.Equal(msg, word(s)) }

// odd is a server that does not keep to the protocol.
type odd struct {
	client_pb.UnimplementedClientServiceServer

	session func(stream) error // nil: it has no such rpc
}

func (o *odd) Session(s stream) error {
	if o.session == nil {
		return o.UnimplementedClientServiceServer.Session(s)
	}
	return o.session(s)
}

func (o *odd) start(t *testing.T) (addr string) {
	t.Helper()
	server := grpc.NewServer()
	client_pb.RegisterClientServiceServer(server, o)
	return serve(t, server)
}
