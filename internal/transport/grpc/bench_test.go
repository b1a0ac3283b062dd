//go:build unix

package grpc_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// BenchmarkEcho is calls of 16 bytes over loopback TCP, both ends in this process, beside unary calls of gRPC.
func BenchmarkEcho(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("link/%d", callers), func(b *testing.B) {
			link := benchLink(b)
			request := &transport.Call{Request: object.Request{ID: "Room-1", Method: "Echo", Message: "bench.Bytes", Body: make([]byte, 16)}}
			share(b, callers, func(ctx context.Context) error {
				_, err := link.Call(ctx, request)
				return err
			})
		})
		b.Run(fmt.Sprintf("unary/%d", callers), func(b *testing.B) {
			cc := benchUnary(b)
			share(b, callers, func(ctx context.Context) error {
				in, out := wrapperspb.Bytes(make([]byte, 16)), new(wrapperspb.BytesValue)
				return cc.Invoke(ctx, "/bench.Echo/Echo", in, out)
			})
		})
	}
}

// share has so many callers make b.N calls between them.
func share(b *testing.B, callers int, call func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := call(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	var working sync.WaitGroup
	for i := range callers {
		working.Go(func() {
			for range (b.N + i) / callers {
				if err := call(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N)*1e5, "cpu-s/100k")
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func benchLink(b *testing.B) transport.Link {
	b.Helper()
	listen := func() transport.Endpoint {
		e, err := grpc.New(grpc.Config{}).Listen(b.Context(), peer("127.0.0.1:0"),
			transport.HandlerFunc(func(_ context.Context, c *transport.Call) *transport.Reply {
				return &transport.Reply{Reply: object.Reply{Message: c.Message, Body: c.Body}}
			}))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := e.Close(context.Background()); err != nil {
				b.Error(err)
			}
		})
		return e
	}
	return listen().Dial(listen().Peer())
}

func benchUnary(b *testing.B) *rpc.ClientConn {
	b.Helper()
	echo := func(_ any, ctx context.Context, decode func(any) error, _ rpc.UnaryServerInterceptor) (any, error) { //nolint:revive // gRPC's order
		in := new(wrapperspb.BytesValue)
		return in, decode(in)
	}
	s := rpc.NewServer()
	s.RegisterService(&rpc.ServiceDesc{
		ServiceName: "bench.Echo", HandlerType: (*any)(nil), Methods: []rpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
	}, s)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(lis) })
	cc, err := rpc.NewClient(lis.Addr().String(), rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		serving.Wait()
	})
	return cc
}
