package goverseclient_test

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// Echoer is a client type whose calls run beside each other.
type Echoer struct{ object.BaseClient }

func (*Echoer) Echo(_ context.Context, req *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return req, nil
}

// alone is a node whose calls need no lease.
type alone struct{ *node.Node }

func (a alone) Accept(ctx context.Context, req object.Request) client.Accepted {
	return accepted(a.Node.Accept(ctx, req))
}

// benchServer is a client service over a real node.
func benchServer(tb testing.TB) (addr string) {
	tb.Helper()
	reg := object.NewRegistry()
	if err := reg.RegisterClientType((*Echoer)(nil), object.Concurrency(object.Concurrent)); err != nil {
		tb.Fatal(err)
	}
	n := node.New(node.Config{Registry: reg, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler), AppError: grpcerr.FromApp})
	svc := client.NewService(client.Config{Node: alone{n}, ClientType: "Echoer"})
	server := grpc.NewServer(svc.ServerOptions(nil)...)
	svc.Register(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	tb.Cleanup(func() {
		if err := svc.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
		server.Stop()
		<-served
		if err := n.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return listener.Addr().String()
}

// share runs b.N calls from that many callers.
func share(b *testing.B, callers int, call func() error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, callers)
	for range callers {
		go func() {
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkSession is calls of one client over its session; both sides in one process.
func BenchmarkSession(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			c, err := goverseclient.Dial(b.Context(), benchServer(b))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			req := wrapperspb.String("sixteen bytes ..")
			share(b, callers, func() error {
				_, err := goverseclient.Call[*wrapperspb.StringValue](b.Context(), c, "Echo", req)
				return err
			})
		})
	}
}

// BenchmarkUnary is the same calls by the unary rpc.
func BenchmarkUnary(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			conn, err := grpc.NewClient(benchServer(b), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			rpc := client_pb.NewClientServiceClient(conn)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			str, err := rpc.Register(ctx, &client_pb.Empty{})
			if err != nil {
				b.Fatal(err)
			}
			first, err := str.Recv()
			if err != nil {
				b.Fatal(err)
			}
			var hello client_pb.RegisterResponse
			if err := first.UnmarshalTo(&hello); err != nil {
				b.Fatal(err)
			}
			req := wrapperspb.String("sixteen bytes ..")
			share(b, callers, func() error {
				body, err := anypb.New(req)
				if err != nil {
					return err
				}
				out, err := rpc.Call(ctx, &client_pb.CallRequest{ClientId: hello.GetClientId(), Method: "Echo", Request: body})
				if err != nil {
					return err
				}
				var reply wrapperspb.StringValue
				return out.GetResponse().UnmarshalTo(&reply)
			})
		})
	}
}
