package client

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	encproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/reflection"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// endpoint is where gRPC and its statuses end and the service begins.
type endpoint struct {
	client_pb.UnimplementedClientServiceServer

	service  *Service
	requests requests
	callInfo grpc.UnaryServerInfo // of Call
}

func newEndpoint(s *Service) *endpoint {
	e := &endpoint{service: s}
	e.callInfo = grpc.UnaryServerInfo{Server: e, FullMethod: client_pb.ClientService_Call_FullMethodName}
	return e
}

// Register implements the rpc.
func (e *endpoint) Register(_ *client_pb.Empty, str stream) error {
	return grpcerr.ToStatus(e.service.register(str)).Err()
}

// Session implements the rpc.
func (e *endpoint) Session(str grpc.BidiStreamingServer[client_pb.SessionRequest, client_pb.SessionResponse]) error {
	return grpcerr.ToStatus(e.service.session(str)).Err()
}

// ServerOptions are the options of the gRPC server that the service is registered
// with: its [Limits], the interceptors that turn a panic into Internal, and the
// transport's credentials, nil for plaintext. Without them the service works, but
// does not tell lost connections from closed ones, and calls in flight at the same
// time have no order. With them, what unary interceptors and stats handlers of the server's own see of a Call is no
// message of protobuf, and is used again when it is over: they pass it on as it is, once, and do not keep it.
func (s *Service) ServerOptions(creds credentials.TransportCredentials) []grpc.ServerOption {
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	readBuffer := heldBufferBytes
	if readsWhenReady && creds.Info().SecurityProtocol == insecure.NewCredentials().Info().SecurityProtocol {
		readBuffer = readyBufferBytes
	}
	l := s.limits
	return []grpc.ServerOption{
		grpc.Creds(watching{creds}),
		grpc.InTapHandle(lineUp),
		grpc.MaxRecvMsgSize(l.MessageBytes),
		grpc.MaxSendMsgSize(l.MessageBytes),
		grpc.MaxConcurrentStreams(l.Streams),
		grpc.MaxHeaderListSize(l.HeaderBytes),
		grpc.ReadBufferSize(readBuffer),
		grpc.ConnectionTimeout(l.Handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: l.Ping, Timeout: l.PingTimeout, MaxConnectionIdle: l.Idle}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.MinPing, PermitWithoutStream: true}),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(encproto.Name)}),
		grpc.ChainUnaryInterceptor(s.recoverUnary),
		grpc.ChainStreamInterceptor(s.recoverStream),
	}
}

// RegisterStandard adds to a gRPC server what every gRPC client may expect of it:
// reflection, and the standard health service, which it returns. The caller shuts the
// health service down when the server begins to stop. It is to be called when all
// services are registered.
func RegisterStandard(server *grpc.Server) *health.Server {
	h := health.NewServer()
	healthpb.RegisterHealthServer(server, h)
	for name := range server.GetServiceInfo() {
		h.SetServingStatus(name, healthpb.HealthCheckResponse_SERVING)
	}
	reflection.Register(server)
	return h
}

func (s *Service) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.crashed(ctx, info.FullMethod, r)
		}
	}()
	return next(ctx, req)
}

func (s *Service) recoverStream(srv any, str grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.crashed(str.Context(), info.FullMethod, r)
		}
	}()
	return next(srv, str)
}

// crashed is the error of an rpc that panicked.
func (s *Service) crashed(ctx context.Context, method string, reason any) error {
	s.log.ErrorContext(ctx, "rpc panicked", "rpc", method, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
	return grpcerr.ToStatus(object.NewError(object.CodeInternal, "the server failed")).Err()
}

// codec is gRPC's protobuf codec, beside which messages of sessions and calls go as they are. A CallRequest
// that does not decode is not an internal error: it is refused by its client_id or, if that is good, as an
// invalid argument. (Of a server that is reached by ServeHTTP it is one: the generated code reads it.)
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if out, ok := v.(*outbound); ok {
		return out.data, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch in := v.(type) {
	case *callRequest:
		in.read(data)
		return nil
	case *inbound:
		in.data = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}
