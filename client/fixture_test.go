package client_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a client service, on a real TCP port unless a test says otherwise, over
// a fake node.
type fixture struct {
	t     *testing.T
	node  *fakeNode
	svc   *client.Service
	addr  string
	log   *logBook
	creds credentials.TransportCredentials // the clients' side

	listener net.Listener // where it listens; default: TCP
}

// noCreds is the result of an option that leaves the server's credentials alone.
type noCreds = credentials.TransportCredentials

type fixtureOption func(*client.Config, *fixture) credentials.TransportCredentials

func withLimits(l client.Limits) fixtureOption {
	return func(cfg *client.Config, _ *fixture) credentials.TransportCredentials {
		cfg.Limits = l
		return nil
	}
}

func start(t *testing.T, opts ...fixtureOption) *fixture {
	t.Helper()
	f := &fixture{t: t, node: newFakeNode(t), log: &logBook{}, creds: insecure.NewCredentials()}
	others := company.New(clock.System())
	cfg := client.Config{
		Node: f.node, ClientType: "Tester", Company: others,
		Logger: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	var creds credentials.TransportCredentials
	for _, o := range opts {
		if c := o(&cfg, f); c != nil {
			creds = c
		}
	}
	f.svc = client.NewService(cfg)
	f.node.svc = f.svc
	server := grpc.NewServer(f.svc.ServerOptions(creds)...)
	f.svc.Register(server)
	client.RegisterStandard(server)
	if f.listener == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f.listener = listener
	}
	f.addr = f.listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(f.listener) }()
	t.Cleanup(func() {
		if err := f.svc.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if n, m := f.svc.Clients(), f.svc.Secrets(); n != 0 || m != 0 {
			t.Errorf("%d clients and %d secrets are left", n, m)
		}
		if n := others.Expected(); n != 0 {
			t.Errorf("%d calls are expected in the end", n)
		}
		f.node.checkEmpty()
	})
	return f
}

// dial is a plain gRPC connection to the fixture, or to another address.
func (f *fixture) dial(addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	f.t.Helper()
	conn, err := grpc.NewClient(addr, append([]grpc.DialOption{grpc.WithTransportCredentials(f.creds)}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	return conn
}

// peer is a client made with nothing but the generated code.
type peer struct {
	t      *testing.T
	rpc    client_pb.ClientServiceClient
	stream grpc.ServerStreamingClient[anypb.Any]
	hangUp context.CancelFunc
	id     string // secret
	object string // public
}

func (f *fixture) connect() *peer {
	f.t.Helper()
	return f.register(f.dial(f.addr))
}

// register opens a Register stream on a connection.
func (f *fixture) register(conn *grpc.ClientConn) *peer {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	f.t.Cleanup(cancel)
	p := &peer{t: f.t, rpc: client_pb.NewClientServiceClient(conn), hangUp: cancel}
	var err error
	if p.stream, err = p.rpc.Register(ctx, &client_pb.Empty{}); err != nil {
		f.t.Fatal(err)
	}
	first, err := p.stream.Recv()
	if err != nil {
		f.t.Fatalf("register: %v", err)
	}
	var hello client_pb.RegisterResponse
	if err := first.UnmarshalTo(&hello); err != nil {
		f.t.Fatalf("first message: %v", err)
	}
	p.id = hello.GetClientId()
	who, err := p.call(f.t.Context(), "Who", nil)
	if err != nil {
		f.t.Fatalf("who am I: %v", err)
	}
	p.object = who
	return p
}

// call runs a method that takes and returns a StringValue.
func (p *peer) call(ctx context.Context, method string, req proto.Message) (string, error) {
	p.t.Helper()
	in := &client_pb.CallRequest{ClientId: p.id, Method: method}
	if req != nil {
		in.Request = pack(p.t, req)
	}
	out, err := p.rpc.Call(ctx, in)
	if err != nil {
		return "", err
	}
	return text(p.t, out.GetResponse()), nil
}

// drain reads the stream to its end.
func (p *peer) drain() (got []*anypb.Any, err error) {
	for {
		msg, err := p.stream.Recv()
		if err != nil {
			return got, err
		}
		got = append(got, msg)
	}
}

func pack(t *testing.T, msg proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(msg)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// expect checks what an rpc's error tells a client.
func expect(t *testing.T, err error, want *object.Error, executed object.Execution) {
	t.Helper()
	e := grpcerr.FromError(err)
	if e == nil || !e.Is(want) {
		t.Errorf("error is %v, want %v", err, want)
	}
	if got := object.Executed(e); got != executed {
		t.Errorf("executed is %v, want %v, of %v", got, executed, err)
	}
}

// until waits for a condition that has no event to wait for.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a hang, with a name
	defer cancel()
	for !cond() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("still waiting until %s", what)
		}
	}
}

// logBook is where the service logs to.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
