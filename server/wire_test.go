package server_test

import (
	"context"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// peer is a client made of nothing but the generated code.
type peer struct {
	rpc    client_pb.ClientServiceClient
	id     string
	hangUp context.CancelFunc
}

func (f *fixture) connect(t *testing.T) *peer {
	t.Helper()
	conn, err := grpc.NewClient(f.ClientAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, hangUp := context.WithCancel(t.Context())
	p := &peer{rpc: client_pb.NewClientServiceClient(conn), hangUp: hangUp}
	stream, err := p.rpc.Register(ctx, &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var hello client_pb.RegisterResponse
	if err := first.UnmarshalTo(&hello); err != nil {
		t.Fatal(err)
	}
	p.id = hello.GetClientId()
	return p
}

func pack(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// info is the ErrorInfo of a status; nil without one.
func info(err error) *errdetails.ErrorInfo {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i
		}
	}
	return nil
}

const stringValue = "google.protobuf.StringValue"

// What a client of another language sees of its mistakes.
func TestMistakesOnTheWire(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect(t)
	hello := pack(t, wrapperspb.String("hello"))
	for name, c := range map[string]struct {
		method   string
		request  *anypb.Any
		code     codes.Code
		reason   string
		executed string
	}{
		"unknown method":      {"Nothing", hello, codes.Unimplemented, "UnknownMethod", "no"},
		"no method":           {"", hello, codes.Unimplemented, "UnknownMethod", "no"},
		"lower case":          {"echo", hello, codes.Unimplemented, "UnknownMethod", "no"},
		"a hook":              {"OnConnect", nil, codes.Unimplemented, "UnknownMethod", "no"},
		"the other hook":      {"OnDisconnect", nil, codes.Unimplemented, "UnknownMethod", "no"},
		"a hook of objects":   {"OnActivate", nil, codes.Unimplemented, "UnknownMethod", "no"},
		"a method of Go":      {"Push", hello, codes.Unimplemented, "UnknownMethod", "no"},
		"another type's":      {"Add", pack(t, wrapperspb.Int64(1)), codes.Unimplemented, "UnknownMethod", "no"},
		"another message":     {"Echo", pack(t, wrapperspb.Int64(1)), codes.InvalidArgument, "", "no"},
		"an unknown message":  {"Echo", &anypb.Any{TypeUrl: "type.googleapis.com/no.such.Message"}, codes.InvalidArgument, "", "no"},
		"no message":          {"Echo", &anypb.Any{TypeUrl: "type.googleapis.com/", Value: []byte{1}}, codes.InvalidArgument, "", "no"},
		"a value of no type":  {"Echo", &anypb.Any{Value: []byte{1}}, codes.InvalidArgument, "", "no"},
		"bytes that are cut":  {"Echo", &anypb.Any{TypeUrl: stringValue, Value: []byte{0x0a, 0xff}}, codes.InvalidArgument, "", "no"},
		"text that is none":   {"Echo", &anypb.Any{TypeUrl: stringValue, Value: []byte{0x0a, 1, 0xff}}, codes.InvalidArgument, "", "no"},
		"a reply too large":   {"Big", pack(t, wrapperspb.Int64(4<<20)), codes.ResourceExhausted, "", "yes"},
		"an error, cut short": {"Fail", pack(t, wrapperspb.String(string(make([]byte, 100_000)))), codes.Aborted, "", "yes"},
		"a panic":             {"Panic", nil, codes.Internal, "", "yes"},
	} {
		p := p
		if c.method == "Panic" {
			p = f.connect(t)
		}
		_, err := p.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: p.id, Method: c.method, Request: c.request})
		i := info(err)
		if status.Code(err) != c.code || i.GetDomain() != "goverse" || i.GetReason() != c.reason || i.GetMetadata()["executed"] != c.executed {
			t.Errorf("%s: %v with %v, want %v, reason %q, executed %s", name, err, i, c.code, c.reason, c.executed)
		}
	}
	out, err := p.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: p.id, Method: "Echo", Request: hello})
	if err != nil || !proto.Equal(out.GetResponse(), hello) {
		t.Errorf("afterwards: %v, %v", out, err)
	}
}

func TestRequestsThatAreFine(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect(t)
	value, err := proto.Marshal(wrapperspb.String("hello"))
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]*anypb.Any{
		"hello": {TypeUrl: "type.googleapis.com/" + stringValue, Value: value},
		// Of the type URL only what follows the last / counts.
		"hello without a slash":   {TypeUrl: stringValue, Value: value},
		"hello with many slashes": {TypeUrl: "https://example.com/a/b/" + stringValue, Value: value},
		"":                        nil,
		" empty":                  {},
		" of the type":            {TypeUrl: "/" + stringValue},
		"hello and a new field":   {TypeUrl: stringValue, Value: append(value, 0x10, 1)},
	} {
		out, err := p.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: p.id, Method: "Echo", Request: request})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		var echo text
		want := ""
		if name != "" && name[0] == 'h' {
			want = "hello"
		}
		if err := out.GetResponse().UnmarshalTo(&echo); err != nil || echo.GetValue() != want {
			t.Errorf("%q: %v, %v, want %q", name, &echo, err, want)
		}
	}
}

// A request up to 4 MiB arrives, a larger one is refused before anything runs.
func TestLargestMessages(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect(t)
	const limit = 4 << 20
	sized := func(size int) *client_pb.CallRequest {
		in := &client_pb.CallRequest{ClientId: p.id, Method: "Echo", Request: pack(t, wrapperspb.String(string(make([]byte, size-200))))}
		in.Request = pack(t, wrapperspb.String(string(make([]byte, size-200+size-proto.Size(in)))))
		if proto.Size(in) != size {
			t.Fatalf("%d bytes, want %d", proto.Size(in), size)
		}
		return in
	}
	if out, err := p.rpc.Call(t.Context(), sized(limit)); err != nil || len(out.GetResponse().GetValue()) < limit-200 {
		t.Errorf("the largest request: %v", err)
	}
	if _, err := p.rpc.Call(t.Context(), sized(limit+1)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one byte more: %v, want ResourceExhausted", status.Code(err))
	}
	if out, err := p.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: p.id, Method: "Big", Request: pack(t, wrapperspb.Int64(limit-100))}); err != nil {
		t.Errorf("a reply of %d bytes: %v", proto.Size(out), err)
	}
}

// All client_ids that are not good are told apart neither by code nor by text.
func TestClientIDsThatAreNotGood(t *testing.T) {
	t.Parallel()
	f := start(t)
	p, gone := f.connect(t), f.connect(t)
	objectID := whoami(t, f.dial(t))
	gone.hangUp()
	f.probe.await(t, "disconnect closed")
	theText := ""
	for name, id := range map[string]string{
		"empty": "", "unknown": "AAAAAAAAAAAAAAAAAAAAAAAAAA", "cut": p.id[1:], "longer": p.id + "A",
		"lower case": "a" + p.id[1:], "huge": string(make([]byte, 1<<20)), "the public one": objectID, "stale": gone.id,
	} {
		_, err := p.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: id, Method: "Echo"})
		s := status.Convert(err)
		if theText == "" {
			theText = s.Message()
		}
		if s.Code() != codes.Unauthenticated || s.Message() != theText || info(err).GetMetadata()["executed"] != "no" {
			t.Errorf("%s: %v, want %q", name, err, theText)
		}
	}
	other := f.connect(t) // good from any connection
	if _, err := other.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: p.id, Method: "Echo"}); err != nil {
		t.Errorf("from another connection: %v", err)
	}
}
