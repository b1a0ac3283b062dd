package client

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// FuzzCallRequest compares the reader of CallRequests with the generated code, which also keeps
// what came before the damage.
func FuzzCallRequest(f *testing.F) {
	for _, m := range []*client_pb.CallRequest{
		{},
		{ClientId: "id", Method: "Say", Request: &anypb.Any{TypeUrl: "a/b.C", Value: []byte("body")}},
		{ClientId: strings.Repeat("x", 200), Request: &anypb.Any{Value: make([]byte, 300)}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, b...))                           // each field twice: the last one counts
		f.Add(append(b, "\x1a\x03\x0a\x01u"...))         // parts of two requests are one
		f.Add(append(b, "\x0a\x01\xff"...))              // no text, after one that is
		f.Add(append(b, "\x0a\x02\x12"...))              // cut short
		f.Add(append(b, "\x08\x05\x22\x01q\x0d1234"...)) // other types, an unknown field
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got callRequest
		got.read(mem.BufferSlice{mem.SliceBuffer(b)})
		var want client_pb.CallRequest
		err := proto.Unmarshal(b, &want)
		if got.damaged != (err != nil) {
			t.Fatalf("damaged: %v, the generated code: %v", got.damaged, err)
		}
		if string(got.clientID) != want.GetClientId() {
			t.Errorf("client_id %q, the generated code has %q", got.clientID, want.GetClientId())
		}
		body := want.GetRequest()
		if err == nil && (string(got.method) != want.GetMethod() || string(got.url) != body.GetTypeUrl() || !bytes.Equal(got.body, body.GetValue())) {
			t.Errorf("method %q, url %q, body %q; the generated code has %v", got.method, got.url, got.body, &want)
		}
	})
}

// What is written is, byte for byte, what the generated code writes.
func TestWrittenCallResponses(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 900, 1100, 1 << 20} {
		reply := object.Reply{Message: "a.B", Body: bytes.Repeat([]byte("x"), n)}
		want, err := proto.Marshal(&client_pb.CallResponse{Response: &anypb.Any{TypeUrl: typeURLPrefix + reply.Message, Value: reply.Body}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := codec{}.Marshal(&newAnswer(reply).outbound)
		if err != nil || !bytes.Equal(out.Materialize(), want) {
			t.Errorf("a reply of %d bytes: %v, %d bytes of which %d were expected", n, err, out.Len(), len(want))
		}
		out.Free()
	}
}

// A request takes no memory of its own for what came before.
func TestCallRequestsTakeNoMemory(t *testing.T) {
	b, err := proto.Marshal(&client_pb.CallRequest{ClientId: "id", Method: "Say", Request: &anypb.Any{TypeUrl: "a/b.C", Value: []byte("body")}})
	if err != nil {
		t.Fatal(err)
	}
	var known names
	data := mem.BufferSlice{mem.SliceBuffer(b)}
	r := new(callRequest)
	if n := testing.AllocsPerRun(100, func() {
		*r = callRequest{}
		r.read(data)
		err := r.understand("Tester-x", &known)
		if req := r.means; err != nil || req.Method != "Say" || req.Message != "b.C" || string(req.Body) != "body" {
			t.Error(req, err)
		}
		r.letGo()
	}); n != 0 {
		t.Errorf("it takes %v allocations", n)
	}
}

// bodyNode answers with what it was asked, which it looks at in Accept only.
type bodyNode struct{ idleNode }

func (bodyNode) Accept(_ context.Context, req object.Request) Accepted {
	return answered{object.Reply{Message: req.Message, Body: bytes.Clone(req.Body)}}
}

type answered struct{ reply object.Reply }

func (a answered) Run() (object.Reply, error) { return a.reply, nil }

func (answered) Spent() {}

// The memory that a request came in is the call's until it has its place, and is given back then.
func TestCallGivesItsMemoryBack(t *testing.T) {
	t.Parallel()
	s := NewService(Config{Node: bodyNode{}, ClientType: "Tester"})
	sess, err := s.admit(nil)
	if err != nil {
		t.Fatal(err)
	}
	clientID, hash := s.open(sess)
	defer s.forget(sess)
	defer s.shutOut(sess, hash)
	b, err := proto.Marshal(&client_pb.CallRequest{ClientId: clientID, Method: "Say", Request: &anypb.Any{TypeUrl: "a/b.C", Value: []byte("body")}})
	if err != nil {
		t.Fatal(err)
	}
	memory := burning{}.copyOf(b)
	in := new(callRequest)
	in.read(mem.BufferSlice{mem.NewBuffer(memory, burning{})})
	in.data.Free() // as gRPC does
	reply, _, err := s.call(t.Context(), in)
	if err != nil || string(reply.Body) != "body" || reply.Message != "b.C" {
		t.Errorf("the reply is %q, %v", reply, err)
	}
	if (*memory)[0] != 0xff {
		t.Error("the memory was not given back")
	}
}

// A gRPC server with options of its own has another codec, and no lines.
func TestCallWithoutTheServersOptions(t *testing.T) {
	t.Parallel()
	s := NewService(Config{Node: bodyNode{}, ClientType: "Tester"})
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	s.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		server.Stop()
		<-served
	}()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rpc := client_pb.NewClientServiceClient(conn)
	stream, err := rpc.Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	var hello client_pb.RegisterResponse
	if err == nil {
		err = first.UnmarshalTo(&hello)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := rpc.Call(t.Context(), &client_pb.CallRequest{
		ClientId: hello.GetClientId(), Method: "Say", Request: &anypb.Any{TypeUrl: "a/b.C", Value: []byte("body")},
	})
	if body := out.GetResponse(); err != nil || string(body.GetValue()) != "body" || body.GetTypeUrl() != typeURLPrefix+"b.C" {
		t.Errorf("the reply is %v, %v", out, err)
	}
	if _, err := rpc.Call(t.Context(), &client_pb.CallRequest{Method: "Say"}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a client_id: %v", err)
	}
}

// Who prints a request, as an interceptor or a trace may, does not print a secret.
func TestCallRequestsKeepTheirSecrets(t *testing.T) {
	t.Parallel()
	r := &callRequest{clientID: []byte("secret"), body: []byte("body")}
	for _, text := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", r)} {
		if strings.Contains(text, "115") || strings.Contains(text, "secret") || strings.Contains(text, "body") {
			t.Errorf("it prints %s", text)
		}
	}
}
