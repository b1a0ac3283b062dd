package echo

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

const (
	unaryService = "goverse.bench.Unary"
	unaryMethod  = "/" + unaryService + "/Bump"
)

// Unary is the echo by unary gRPC calls over one connection, with gRPC's defaults on both sides.
func Unary() peer.Remote { return unary{} }

type unary struct{}

func (unary) Name() string   { return "gRPC unary echo" }
func (unary) Module() string { return grpcModule }
func (unary) Servers() int   { return 1 }

func (unary) Serve(ctx context.Context, _ []string, _ peer.RemoteOptions) (peer.Server, error) {
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: unaryService, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Bump", Handler: bump}},
	}, new(atomic.Int64))
	return listen(ctx, s)
}

// bump is what generated code does for a service without interceptors, and the service: one counter for all.
//
//nolint:revive // gRPC fixes the order of the arguments
func bump(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var req benchpb.BumpRequest
	if err := decode(&req); err != nil {
		return nil, err
	}
	counter, ok := srv.(*atomic.Int64)
	if !ok {
		return nil, fmt.Errorf("%T is not a counter", srv)
	}
	return &benchpb.BumpResponse{Value: counter.Add(1), Payload: req.GetPayload()}, nil
}

func (unary) Drive(_ context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	conn, err := grpc.NewClient(before[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("dial server: %w", err)
	}
	return &unaryDriver{conn: conn, stamps: peer.NewStamps(opt.Callers)}, nil
}

type unaryDriver struct {
	conn   *grpc.ClientConn
	stamps *peer.Stamps
}

func (d *unaryDriver) Context(ctx context.Context) context.Context { return ctx }

func (d *unaryDriver) Call(ctx context.Context, caller, _ int) (int64, error) {
	resp := new(benchpb.BumpResponse)
	if err := d.conn.Invoke(ctx, unaryMethod, &benchpb.BumpRequest{Payload: d.stamps.Next(caller)}, resp); err != nil {
		return 0, err
	}
	return resp.GetValue(), d.stamps.Check(caller, resp.GetPayload())
}

func (d *unaryDriver) Resize(payload int) { d.stamps.Resize(payload) }

// Audit reads the counter by one more call.
func (d *unaryDriver) Audit(ctx context.Context, made int64) error {
	v, err := d.Call(ctx, 0, 0)
	if err == nil && v != made+1 {
		err = fmt.Errorf("the counter shows %d calls, but %d were made", v-1, made)
	}
	return err
}

func (d *unaryDriver) Close(context.Context) error { return d.conn.Close() }
