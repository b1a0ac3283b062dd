package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

func TestTwoStreamsAreTwoClients(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.dial(f.addr)
	a, b := f.register(conn), f.register(conn)
	if a.object == b.object || a.id == b.id {
		t.Fatalf("two streams share %q or their secret", a.object)
	}
	a.hangUp()
	f.node.awaitLeft(a.object)
	if got, err := b.call(t.Context(), "Who", nil); err != nil || got != b.object {
		t.Errorf("after the other has gone: %q, %v", got, err)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	typ, name, err := object.ParseID(p.object)
	if err != nil || typ != "Tester" {
		t.Errorf("object %q: type %q, %v", p.object, typ, err)
	}
	if len(p.id) < 26 || len(name) < 26 { // base32: 130 bits
		t.Errorf("%d characters of secret, %d of name", len(p.id), len(name))
	}
	if strings.Contains(p.object, p.id) || strings.Contains(p.id, name) {
		t.Error("secret and name depend on each other")
	}
	// The secret is good from any connection.
	other := &peer{t: t, rpc: client_pb.NewClientServiceClient(f.dial(f.addr)), id: p.id}
	if got, err := other.call(t.Context(), "Who", nil); err != nil || got != p.object {
		t.Errorf("from another connection: %q, %v", got, err)
	}
	p.hangUp()
	f.node.awaitLeft(p.object)
	if log := f.log.String(); strings.Contains(log, p.id) || !strings.Contains(log, p.object) {
		t.Errorf("the log must name the object and never the secret:\n%s", log)
	}
}

// rawCodec sends and receives bytes, to say what generated code would not.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
func (rawCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = rawCodec{}

func rawCall(ctx context.Context, conn *grpc.ClientConn, request []byte) ([]byte, error) {
	var reply []byte
	err := conn.Invoke(ctx, "/client.ClientService/Call", request, &reply, grpc.ForceCodecV2(rawCodec{}))
	return reply, err
}

func field(b []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// All ids but a connected client's own get one and the same answer.
func TestBadIDsAreAllAlike(t *testing.T) {
	t.Parallel()
	f := start(t)
	p, gone := f.connect(), f.connect()
	conn := f.dial(f.addr)
	rpc := client_pb.NewClientServiceClient(conn)
	_, before := rpc.Call(t.Context(), &client_pb.CallRequest{Method: "Who"})
	want := status.Convert(before).Proto()
	if codes.Code(want.GetCode()) != codes.Unauthenticated {
		t.Fatalf("a call without an id: %v", before)
	}
	expect(t, before, object.ErrUnauthenticated, object.ExecutedNo)
	gone.hangUp()
	f.node.awaitLeft(gone.object)
	until(t, "the session is forgotten", func() bool { return f.svc.Clients() == 1 })
	for name, id := range map[string]string{
		"stale": gone.id, "its object": p.object, "its name": strings.TrimPrefix(p.object, "Tester-"),
		"lower case": strings.ToLower(p.id), "cut": p.id[:len(p.id)-1], "longer": p.id + "A", "with space": p.id + " ",
		"NUL": p.id + "\x00", "empty": "", "huge": strings.Repeat("A", 1<<20), "UTF-8 broken": "\xff" + p.id[1:],
	} {
		for _, method := range []string{"Who", "NoSuch", ""} {
			request := field(field(nil, 1, id), 2, method)
			_, err := rawCall(t.Context(), conn, request)
			if got := status.Convert(err).Proto(); !proto.Equal(got, want) {
				t.Errorf("%s id: %v, want %v", name, got, want)
			}
		}
	}
	if got, err := p.call(t.Context(), "Who", nil); err != nil || got != p.object {
		t.Errorf("the good one: %q, %v", got, err)
	}
}

// What is broken on the wire is the client's fault, and says so only to who may call.
func TestCorruptRequests(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	conn := f.dial(f.addr)
	good := field(field(nil, 1, p.id), 2, "Who")
	for name, tail := range map[string][]byte{
		"truncated": {0x1a, 0x7f}, "bad tag": {0x07}, "bad UTF-8 method": field(nil, 2, "\xfe"), "wrong wire type": {0x0a},
		"broken any": field(nil, 3, "\x0a\xff"),
	} {
		_, err := rawCall(t.Context(), conn, append(append([]byte(nil), good...), tail...))
		if e := status.Code(err); e != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
		expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
		_, err = rawCall(t.Context(), conn, append(field(nil, 1, "nobody"), tail...))
		expect(t, err, object.ErrUnauthenticated, object.ExecutedNo)
	}
	if _, err := rawCall(t.Context(), conn, append(good, field(nil, 99, "from the future")...)); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestRequestForms(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	hello := pack(t, wrapperspb.String("hello"))
	full := hello.GetTypeUrl()
	name := full[strings.LastIndexByte(full, '/')+1:]
	for what, test := range map[string]struct {
		any  *anypb.Any
		want string
		err  *object.Error
	}{
		"unset":            {nil, "", nil},
		"set and empty":    {&anypb.Any{}, "", nil},
		"as packed":        {hello, "hello", nil},
		"any host":         {&anypb.Any{TypeUrl: "https://example.com/a/" + name, Value: hello.GetValue()}, "hello", nil},
		"no host":          {&anypb.Any{TypeUrl: name, Value: hello.GetValue()}, "hello", nil},
		"empty body":       {&anypb.Any{TypeUrl: full}, "", nil},
		"no type":          {&anypb.Any{Value: hello.GetValue()}, "", object.ErrInvalidArgument},
		"no name":          {&anypb.Any{TypeUrl: full + "/", Value: hello.GetValue()}, "", object.ErrInvalidArgument},
		"unknown type":     {&anypb.Any{TypeUrl: "x/no.Such", Value: hello.GetValue()}, "", object.ErrInvalidArgument},
		"other type":       {pack(t, durationpb.New(1)), "", object.ErrInvalidArgument},
		"corrupt":          {&anypb.Any{TypeUrl: full, Value: []byte{0x0a, 0xff}}, "", object.ErrInvalidArgument},
		"an Any in an Any": {pack(t, hello), "", object.ErrInvalidArgument},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			out, err := p.rpc.Call(t.Context(), &client_pb.CallRequest{ClientId: p.id, Method: "Echo", Request: test.any})
			if test.err != nil {
				expect(t, err, test.err, object.ExecutedNo)
				return
			}
			if err != nil || text(t, out.GetResponse()) != test.want {
				t.Errorf("got %v, %v", out, err)
			}
		})
	}
}

func TestErrorsReachTheClient(t *testing.T) {
	t.Parallel()
	f := start(t)
	reason := object.NewError(object.CodeFailedPrecondition, "not in a room")
	reason.Reason = "NotJoined"
	f.node.methods["App"] = func(context.Context, string, string) (string, error) { return "", reason }
	f.node.methods["Plain"] = func(context.Context, string, string) (string, error) { return "", errors.New("no idea") }
	f.node.methods["Panic"] = func(context.Context, string, string) (string, error) { panic("boom") }
	p := f.connect()

	_, err := p.call(t.Context(), "App", nil)
	expect(t, err, object.ErrFailedPrecondition, object.ExecutedYes)
	expect(t, err, &object.Error{Code: object.CodeFailedPrecondition, Reason: "NotJoined"}, object.ExecutedYes)
	if got := status.Convert(err).Message(); got != "not in a room" {
		t.Errorf("message %q", got)
	}
	_, err = p.call(t.Context(), "Plain", nil)
	expect(t, err, object.ErrUnknown, object.ExecutedYes)
	_, err = p.call(t.Context(), "OnConnect", nil)
	expect(t, err, object.ErrUnknownMethod, object.ExecutedNo)
	_, err = p.call(t.Context(), "", nil)
	expect(t, err, object.ErrUnknownMethod, object.ExecutedNo)
	// A node promises not to panic; if it does, the rpc fails and the server lives.
	_, err = p.call(t.Context(), "Panic", nil)
	expect(t, err, object.ErrInternal, object.ExecutedUnknown)
	if log := f.log.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "call_test.go") {
		t.Error("the panic's stack is not in the log")
	}
	if _, err := p.call(t.Context(), "Echo", nil); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	with := func(pairs ...string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), pairs...)
	}
	got, err := p.call(with("client-user", "ann", "Client-Lang", "en", "client-lang", "de", "authorization", "secret",
		"client-raw-bin", "\x00", "user", "root"), "Metadata", nil)
	if err != nil || got != "client-lang=de client-user=ann" {
		t.Errorf("metadata %q, %v", got, err)
	}
	var many []string
	for i := range client.MaxMetadataEntries + 1 {
		many = append(many, "client-k"+strings.Repeat("x", i), "v")
	}
	_, err = p.call(with(many...), "Metadata", nil)
	expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
	_, err = p.call(with("client-k", strings.Repeat("v", client.MaxMetadataBytes)), "Metadata", nil)
	expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
	got, err = p.call(with(many[2:]...), "Metadata", nil)
	if err != nil || strings.Count(got, "=v") != client.MaxMetadataEntries {
		t.Errorf("as much as is allowed: %q, %v", got, err)
	}
}

// The W3C trace context of an rpc is that of its call, if there is exactly one.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f := start(t)
	f.node.methods["Trace"] = func(ctx context.Context, _, _ string) (string, error) {
		parent, state := w3c.Of(ctx)
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() != sc.IsRemote() {
			return "", errors.New("the span is not remote")
		}
		return parent + " " + state, nil
	}
	p := f.connect()
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"none", nil, " "},
		{"span", []string{"traceparent", parent}, parent + " "},
		{"span and state", []string{"Traceparent", parent, "tracestate", "a=1", "tracestate", "b=2"}, parent + " a=1,b=2"},
		{"state alone", []string{"tracestate", "a=1"}, " "},
		{"malformed", []string{"traceparent", "00-0", "tracestate", "a=1"}, " "},
		{"two spans", []string{"traceparent", parent, "traceparent", parent}, " "},
		{"malformed state", []string{"traceparent", parent, "tracestate", ",=,"}, parent + " "},
		{"long state", []string{"traceparent", parent, "tracestate", "a=" + strings.Repeat("x", 250), "tracestate", "b=" + strings.Repeat("x", 255), "tracestate", "c=1"}, parent + " "},
	} {
		got, err := p.call(metadata.AppendToOutgoingContext(t.Context(), c.pairs...), "Trace", nil)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestDeadlineOfTheRPCIsTheMethods(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	p := f.connect()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-running
		cancel()
	}()
	_, err := p.call(ctx, "Block", nil)
	expect(t, err, object.ErrCanceled, object.ExecutedUnknown)
}
