package goverse

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// line is a client's connection.
type line interface {
	call(ctx context.Context, method string, req proto.Message) (*benchpb.BumpResponse, error)
	close() error
}

// dial connects a client.
func dial(ctx context.Context, address string, via Via) (line, error) {
	if via == ViaCall {
		return dialUnary(ctx, address)
	}
	c, err := goverseclient.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return &sessionLine{c}, nil
}

type sessionLine struct{ client *goverseclient.Client }

func (l *sessionLine) call(ctx context.Context, method string, req proto.Message) (*benchpb.BumpResponse, error) {
	return goverseclient.Call[*benchpb.BumpResponse](ctx, l.client, method, req)
}

func (l *sessionLine) close() error { return l.client.Close() }

// unaryLine does what client.proto asks of any client: it keeps a Register stream open, and calls beside it.
type unaryLine struct {
	conn   *grpc.ClientConn
	rpc    client_pb.ClientServiceClient
	id     string
	cancel context.CancelFunc // ends the stream
}

func dialUnary(ctx context.Context, address string) (*unaryLine, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("dial server: %w", err)
	}
	l := &unaryLine{conn: conn, rpc: client_pb.NewClientServiceClient(conn)}
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if _, l.id, err = register(ctx, l.rpc); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// register opens a Register stream and returns it with the client's secret.
func register(ctx context.Context, rpc client_pb.ClientServiceClient) (grpc.ServerStreamingClient[anypb.Any], string, error) {
	stream, err := rpc.Register(ctx, &client_pb.Empty{})
	if err != nil {
		return nil, "", fmt.Errorf("register client: %w", err)
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, "", fmt.Errorf("register client: %w", err)
	}
	var hello client_pb.RegisterResponse
	if err := first.UnmarshalTo(&hello); err != nil {
		return nil, "", fmt.Errorf("register client: %w", err)
	}
	return stream, hello.GetClientId(), nil
}

func (l *unaryLine) call(ctx context.Context, method string, req proto.Message) (*benchpb.BumpResponse, error) {
	packed, err := anypb.New(req)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	out, err := l.rpc.Call(ctx, &client_pb.CallRequest{ClientId: l.id, Method: method, Request: packed})
	if err != nil {
		return nil, err
	}
	resp := new(benchpb.BumpResponse)
	return resp, out.GetResponse().UnmarshalTo(resp)
}

func (l *unaryLine) close() error {
	l.cancel()
	return l.conn.Close()
}
