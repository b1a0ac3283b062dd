package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcpeer "google.golang.org/grpc/peer"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// rapidReset begins a Register stream and cancels it in some state of its beginning.
func rapidReset(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := client_pb.NewClientServiceClient(conn).Register(ctx, &client_pb.Empty{}); err != nil {
		t.Errorf("register: %v", err)
	}
}

// The bytes on the wire are the contract: this client is written from the .proto by
// hand.
func TestRawBytes(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.dial(f.addr)
	desc := &grpc.StreamDesc{ServerStreams: true}
	stream, err := conn.NewStream(t.Context(), desc, "/client.ClientService/Register", grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	if err := stream.SendMsg([]byte{}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&first); err != nil {
		t.Fatal(err)
	}
	hello := fields(t, first)
	if hello[1] != "type.googleapis.com/client.RegisterResponse" {
		t.Fatalf("first message is %q", hello[1])
	}
	clientID := fields(t, []byte(hello[2]))[1]
	body := string(field(nil, 1, "grüezi"))
	packed := field(field(nil, 1, "type.googleapis.com/google.protobuf.StringValue"), 2, body)
	reply, err := rawCall(t.Context(), conn, field(field(field(nil, 1, clientID), 2, "Echo"), 3, string(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fields(t, reply)[1]; got != string(packed) {
		t.Errorf("reply %q, want %q", got, packed)
	}
}

// fields are the length-delimited fields of an encoded message.
func fields(t *testing.T, b []byte) map[protowire.Number]string {
	t.Helper()
	out := map[protowire.Number]string{}
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 || typ != protowire.BytesType {
			t.Fatalf("field %d of type %d", number, typ)
		}
		value, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			t.Fatal("truncated")
		}
		out[number] = string(value)
		b = b[n+m:]
	}
	return out
}

// A client that knows nothing learns the service by reflection and calls it.
func TestReflectionIsEnough(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.dial(f.addr)
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(req *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
		t.Helper()
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	var names []string
	list := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	for _, s := range list.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	if !slices.Contains(names, "client.ClientService") || !slices.Contains(names, "grpc.health.v1.Health") {
		t.Errorf("services %v", names)
	}
	symbol := ask(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "client.ClientService"},
	})
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	for _, b := range symbol.GetFileDescriptorResponse().GetFileDescriptorProto() {
		var file descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		}
		set.File = append(set.File, &file)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	p := f.register(conn)
	in, out := dynamic(t, files, "client.CallRequest"), dynamic(t, files, "client.CallResponse")
	set1 := func(name string, v any) {
		in.Set(in.Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOf(v))
	}
	set1("client_id", p.id)
	set1("method", "Who")
	if err := conn.Invoke(t.Context(), "/client.ClientService/Call", in, out); err != nil {
		t.Fatal(err)
	}
	reply := out.Get(out.Descriptor().Fields().ByName("response")).Message()
	body := reply.Get(reply.Descriptor().Fields().ByName("value")).Bytes()
	var who wrapperspb.StringValue
	if err := proto.Unmarshal(body, &who); err != nil || who.GetValue() != p.object {
		t.Errorf("reply %q, %v", who.GetValue(), err)
	}
}

func dynamic(t *testing.T, files *protoregistry.Files, name protoreflect.FullName) *dynamicpb.Message {
	t.Helper()
	d, err := files.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
}

func TestHealth(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, service := range []string{"", "client.ClientService"} {
		resp, err := healthpb.NewHealthClient(f.dial(f.addr)).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v, %v", service, resp, err)
		}
	}
}

// The connections are watched under TLS as well, and TLS stays visible.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	f := start(t, func(_ *client.Config, f *fixture) credentials.TransportCredentials {
		f.creds = credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})
		return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	})
	f.node.onConnect = func(ctx context.Context, _ string) error {
		p, ok := grpcpeer.FromContext(ctx)
		if _, tls := p.AuthInfo.(credentials.TLSInfo); !ok || !tls {
			t.Errorf("the peer is %v", p)
		}
		return nil
	}
	via := newProxy(t, f.addr)
	lost, closed := f.register(f.dial(via.listener.Addr().String())), f.connect()
	via.cut()
	if got := f.node.awaitLeft(lost.object); got != object.DisconnectLost {
		t.Errorf("left as %v", got)
	}
	closed.hangUp()
	if got := f.node.awaitLeft(closed.object); got != object.DisconnectClosed {
		t.Errorf("left as %v", got)
	}
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
