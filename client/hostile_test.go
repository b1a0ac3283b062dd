package client_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// Connections that say nothing, or not enough, are closed by the server: the test
// would hang otherwise.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Handshake: 50 * time.Millisecond, Ping: time.Second, PingTimeout: time.Second}))
	for name, say := range map[string]func(net.Conn){
		"silence": func(net.Conn) {},
		"half a preface": func(c net.Conn) {
			write(t, c, http2.ClientPreface[:10])
		},
		"preface alone": func(c net.Conn) {
			write(t, c, http2.ClientPreface)
		},
		"handshake, then silence": func(c net.Conn) {
			write(t, c, http2.ClientPreface)
			if err := http2.NewFramer(c, nil).WriteSettings(); err != nil {
				t.Fatal(err)
			}
		},
		"HTTP/1": func(c net.Conn) {
			write(t, c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		},
		"noise": func(c net.Conn) {
			write(t, c, string(make([]byte, 4096)))
		},
		"GOAWAY and noise": func(c net.Conn) {
			write(t, c, http2.ClientPreface)
			fr := http2.NewFramer(c, nil)
			_ = fr.WriteSettings()
			_ = fr.WriteGoAway(0, http2.ErrCodeNo, nil)
			write(t, c, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			say(conn)
			// Whatever the server says, it says nothing for ever.
			if n, err := io.Copy(io.Discard, conn); n > 1<<16 {
				t.Errorf("the server sent %d bytes, then %v", n, err)
			}
		})
	}
	if n := f.svc.Clients(); n != 0 {
		t.Errorf("%d clients", n)
	}
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// 5 000 clients come, call, are pushed to and go, 50 at a time, half of them by Register
// and half by Session; goleak counts the goroutines after.
func TestFiveThousandClientsComeAndGo(t *testing.T) {
	t.Parallel()
	total := 5000
	if testing.Short() {
		total = 500
	}
	f := start(t, withLimits(client.Limits{Resume: 10 * time.Second})) // for whoever is unheard, see crowd
	c := &crowd{fixture: f}
	var wg sync.WaitGroup
	jobs := make(chan func())
	for range 50 {
		wg.Go(func() {
			for come := range jobs {
				come()
			}
		})
	}
	for range total / 2 {
		jobs <- c.comeBySession
		jobs <- c.comeByRegister
	}
	close(jobs)
	wg.Wait()
	until(t, "all sessions are gone", func() bool { return f.svc.Clients() == 0 })
	if n := f.node.count(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if len(f.node.left) != total {
		t.Errorf("%d clients left, %d came", len(f.node.left), total)
	}
	for id, reason := range f.node.left {
		if _, unheard := c.unheard.Load(id); reason != object.DisconnectClosed && !unheard {
			t.Errorf("%s left as %v", id, reason)
		}
	}
}

// crowd is many clients that come and go.
type crowd struct {
	*fixture

	// Who closed its session and was not answered in the time that the Go client takes for
	// it, on a machine that has too much to do: the object's names.
	unheard sync.Map
}

// comeByRegister is what a client in another language does. Its object goes with the
// stream, not with the connection, which closes afterwards.
func (f *crowd) comeByRegister() {
	t := f.t
	conn, err := grpc.NewClient(f.addr, grpc.WithTransportCredentials(f.creds))
	if err != nil {
		t.Errorf("dial: %v", err)
		return
	}
	defer conn.Close()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	rpc := client_pb.NewClientServiceClient(conn)
	stream, err := rpc.Register(ctx, &client_pb.Empty{})
	if err != nil {
		t.Errorf("register: %v", err)
		return
	}
	var hello client_pb.RegisterResponse
	if err := receiveInto(stream, &hello); err != nil {
		t.Errorf("registered: %v", err)
		return
	}
	out, err := rpc.Call(ctx, &client_pb.CallRequest{ClientId: hello.GetClientId(), Method: "Who"})
	if err != nil {
		t.Errorf("call: %v", err)
		return
	}
	var name wrapperspb.StringValue
	if err := out.GetResponse().UnmarshalTo(&name); err != nil {
		t.Errorf("who: %v", err)
		return
	}
	who := name.GetValue()
	if err := f.svc.Push(ctx, who, wrapperspb.String("for "+who)); err != nil {
		t.Errorf("push: %v", err)
		return
	}
	var pushed wrapperspb.StringValue
	if err := receiveInto(stream, &pushed); err != nil || pushed.GetValue() != "for "+who {
		t.Errorf("%s got %q, %v", who, pushed.GetValue(), err)
	}
	hangUp()
	f.node.awaitLeft(who)
}

// receiveInto takes the next message of a Register stream.
func receiveInto(stream grpc.ServerStreamingClient[anypb.Any], msg proto.Message) error {
	packed, err := stream.Recv()
	if err != nil {
		return err
	}
	return packed.UnmarshalTo(msg)
}

// comeBySession is what a client in Go does.
func (f *crowd) comeBySession() {
	t := f.t
	c, err := goverseclient.Dial(t.Context(), f.addr)
	if err != nil {
		t.Errorf("dial: %v", err)
		return
	}
	defer c.Close()
	who, err := goverseclient.Call[*wrapperspb.StringValue](t.Context(), c, "Who", nil)
	if err != nil {
		t.Errorf("call: %v", err)
		return
	}
	if err := f.svc.Push(t.Context(), who.GetValue(), who); err != nil {
		t.Errorf("push: %v", err)
		return
	}
	if msg, ok := (<-c.Pushes()).(*wrapperspb.StringValue); !ok || msg.GetValue() != who.GetValue() {
		t.Errorf("%s got %v", who.GetValue(), msg)
	}
	const closePatience = time.Second // see goverseclient
	began := time.Now()
	c.Close()
	if time.Since(began) >= closePatience {
		f.unheard.Store(who.GetValue(), true)
	}
}

// Many streams of one connection that begin and are cancelled at once.
func TestCancelledRegistersLeaveNothing(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.dial(f.addr)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				rapidReset(t, conn)
			}
		})
	}
	wg.Wait()
	f.register(conn) // the connection is still good
	until(t, "all others are gone", func() bool { return f.svc.Clients() == 1 && f.node.count() == 1 })
}
