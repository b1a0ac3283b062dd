package goverseclient_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/client/goverseclient"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

type stream = grpc.BidiStreamingServer[client_pb.SessionRequest, client_pb.SessionResponse]

func TestCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, _ := f.dial()
	ctx := t.Context()
	got, err := goverseclient.Call[*wrapperspb.StringValue](ctx, c, "Echo", word("hello"))
	if err != nil || !isWord(got, "hello") {
		t.Errorf("typed: %v, %v", got, err)
	}
	msg, err := c.Call(ctx, "Echo", word("hello"))
	if err != nil || !isWord(msg, "hello") {
		t.Errorf("untyped: %v, %v", msg, err)
	}
	if msg, err := c.Call(ctx, "Echo", nil); err != nil || !isWord(msg, "") {
		t.Errorf("nil request: %v, %v", msg, err)
	}
	_, err = goverseclient.Call[*wrapperspb.StringValue](ctx, c, "Echo", durationpb.New(1))
	expect(t, err, object.ErrInternal, object.ExecutedYes) // a reply of another type
	_, err = c.Call(ctx, "Mystery", nil)
	expect(t, err, object.ErrInternal, object.ExecutedYes) // a reply of a type not linked in
	_, err = c.Call(ctx, "NoSuch", nil)
	expect(t, err, object.ErrUnknownMethod, object.ExecutedNo)
	if e := object.FromError(err); e.Method != "NoSuch" || e.Op != "call" {
		t.Errorf("the error does not say which call: %v", err)
	}
	_, err = c.Call(ctx, "Echo", word("\xff"))
	expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
	_, err = c.Call(ctx, "Echo", word(strings.Repeat("x", client.DefaultMessageBytes)))
	expect(t, err, object.ErrResourceExhausted, object.ExecutedNo)
	if c.Err() != nil {
		t.Errorf("a living client has the error %v", c.Err())
	}
}

// What of the context goes with a call.
func TestWhatGoesWithACall(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, _ := f.dial()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	ctx = metadata.AppendToOutgoingContext(ctx, "client-user", "ann", "other", "x", "client-user", "bob")
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	got, err := goverseclient.Call[*wrapperspb.StringValue](ctx, c, "Context", nil)
	if want := "map[client-user:bob] 01000000000000000000000000000000 true"; err != nil || got.GetValue() != want {
		t.Errorf("got %q, %v, want %q", got.GetValue(), err, want)
	}
	_, err = c.Call(metadata.AppendToOutgoingContext(t.Context(), "client-user", "\xff"), "Context", nil)
	expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
	_, err = c.Call(t.Context(), "\xff", nil)
	expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
	if _, err := c.Call(t.Context(), "Echo", nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, id := f.dial(goverseclient.WithPushBuffer(-1))
	go func() {
		for i := range 100 {
			if err := f.svc.Push(t.Context(), id, word(strconv.Itoa(i))); err != nil {
				t.Errorf("push: %v", err)
			}
		}
		if err := f.svc.Push(t.Context(), id, dynamicpb.NewMessage(unknownType(t))); err != nil {
			t.Errorf("push: %v", err)
		}
	}()
	for i := range 100 {
		if msg := <-c.Pushes(); !isWord(msg, strconv.Itoa(i)) {
			t.Fatalf("message %d is %v", i, msg)
		}
	}
	if msg, ok := (<-c.Pushes()).(*anypb.Any); !ok || msg.MessageName() != "far.Away" {
		t.Errorf("a message of an unknown type is %v", msg)
	}
}

// unknownType is a message type that is not linked into the program.
func unknownType(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("far.proto"), Package: new("far"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Away")}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().Get(0)
}

func TestClose(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, id := f.dial(goverseclient.WithPushBuffer(1))
	for range 10 { // nobody reads them: the reader waits for one who does
		if err := f.svc.Push(t.Context(), id, word("x")); err != nil {
			t.Fatal(err)
		}
	}
	called := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "Block", nil)
		called <- err
	}()
	<-f.node.blocked
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	wg.Wait()
	<-c.Done()
	if err := c.Err(); err != nil {
		t.Errorf("a closed client has the error %v", err)
	}
	expect(t, <-called, object.ErrCanceled, object.ExecutedUnknown)
	_, err := c.Call(t.Context(), "Echo", nil)
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	if reason := <-f.node.detached; reason != object.DisconnectClosed {
		t.Errorf("left as %v", reason)
	}
	for range c.Pushes() { // is closed
	}
}

func TestTheServerEndsTheStream(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end      func(f *fixture, id string)
		want     *object.Error
		executed object.Execution
	}{
		"stop": {func(f *fixture, _ string) { _ = f.svc.Stop(t.Context()) }, object.ErrUnavailable, object.ExecutedNo},
		"kick": {func(f *fixture, id string) { _ = f.svc.Kick(t.Context(), id) }, object.ErrAborted, object.ExecutedUnknown},
		"too slow": {func(f *fixture, id string) {
			for f.svc.Push(t.Context(), id, word(strings.Repeat("x", 10<<10))) == nil {
			}
		}, object.ErrResourceExhausted, object.ExecutedUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			c, id := f.dial()
			test.end(f, id)
			for range c.Pushes() { // to the end
			}
			expect(t, c.Err(), test.want, test.executed) // at once, without waiting for Done
			<-c.Done()
			_, err := c.Call(t.Context(), "Echo", nil)
			expect(t, err, object.ErrUnavailable, object.ExecutedNo)
			if err := c.Close(); err != nil || c.Err() == nil {
				t.Errorf("close: %v; then the reason is %v", err, c.Err())
			}
		})
	}
}

func TestDialFails(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.refuse = object.NewError(object.CodePermissionDenied, "not you")
	_, err := goverseclient.Dial(t.Context(), f.addr)
	expect(t, err, object.ErrPermissionDenied, object.ExecutedYes)
	if err.Error() != "register: not you (permission_denied)" {
		t.Errorf("error reads %q", err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String() // it accepts and stays silent
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		conn, err := listener.Accept()
		cancel(context.DeadlineExceeded)
		if err == nil {
			conn.Close()
		}
	}()
	_, err = goverseclient.Dial(ctx, addr)
	expect(t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
	listener.Close()
	_, err = goverseclient.Dial(t.Context(), addr)
	expect(t, err, object.ErrUnavailable, object.ExecutedUnknown)
	_, err = goverseclient.Dial(t.Context(), addr, nil, goverseclient.WithDialOptions(grpc.WithTransportCredentials(nil)))
	expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
}

// The context of Dial ends nothing but the dialling.
func TestDialsContextMayEnd(t *testing.T) {
	t.Parallel()
	f := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := goverseclient.Dial(ctx, f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if _, err := c.Call(t.Context(), "Echo", nil); err != nil {
		t.Errorf("call: %v", err)
	}
	if err := f.svc.Push(t.Context(), <-f.node.attached, word("still here")); err != nil {
		t.Errorf("push: %v", err)
	}
	if msg := <-c.Pushes(); !isWord(msg, "still here") {
		t.Errorf("pushed %v", msg)
	}
}

func TestOddServers(t *testing.T) {
	t.Parallel()
	welcome := &client_pb.SessionResponse{Welcome: &client_pb.SessionWelcome{ClientId: "id", MaxCalls: 10}}
	answer := func(replies ...*client_pb.SessionReply) func(stream) error {
		return func(s stream) error {
			if err := s.Send(welcome); err != nil {
				return err
			}
			for {
				in, err := s.Recv()
				if err != nil {
					return err
				}
				for range in.GetCalls() {
					if err := s.Send(&client_pb.SessionResponse{Replies: replies}); err != nil {
						return err
					}
				}
			}
		}
	}
	push := func(offset uint64) *client_pb.SessionResponse {
		return &client_pb.SessionResponse{Pushes: []*client_pb.SessionPush{{Offset: offset}}}
	}
	for name, test := range map[string]struct {
		serve    func(stream) error
		dial     *object.Error // Dial fails; nil: a call does, and the session ends so
		call     *object.Error
		executed object.Execution
	}{
		"silent":     {func(stream) error { return nil }, object.ErrInternal, nil, object.ExecutedUnknown},
		"no welcome": {func(s stream) error { return s.Send(&client_pb.SessionResponse{CallsReceived: 1}) }, object.ErrInternal, nil, object.ExecutedUnknown},
		"resumed": {func(s stream) error {
			return s.Send(&client_pb.SessionResponse{Welcome: &client_pb.SessionWelcome{CallsReceived: 1}})
		}, object.ErrInternal, nil, object.ExecutedUnknown},
		"ends":         {func(s stream) error { return s.Send(welcome) }, nil, object.ErrUnavailable, object.ExecutedNo},
		"no outcome":   {answer(&client_pb.SessionReply{Call: 1}), nil, object.ErrInternal, object.ExecutedYes},
		"no code":      {answer(&client_pb.SessionReply{Call: 1, Outcome: &client_pb.SessionReply_Error{Error: &client_pb.SessionError{}}}), nil, object.ErrInternal, object.ExecutedUnknown},
		"other call":   {answer(&client_pb.SessionReply{Call: 2}), nil, object.ErrUnavailable, object.ExecutedUnknown},
		"twice":        {answer(&client_pb.SessionReply{Call: 2}, &client_pb.SessionReply{Call: 2}), nil, object.ErrUnavailable, object.ExecutedUnknown},
		"lost push":    {func(s stream) error { return errors.Join(s.Send(welcome), s.Send(push(2)), answer()(s)) }, nil, object.ErrUnavailable, object.ExecutedUnknown},
		"numberless":   {func(s stream) error { return errors.Join(s.Send(welcome), s.Send(push(0)), answer()(s)) }, nil, object.ErrUnavailable, object.ExecutedUnknown},
		"without rpc":  {nil, object.ErrUnimplemented, nil, object.ExecutedNo},
		"second thing": {answer(&client_pb.SessionReply{Call: 1, Outcome: &client_pb.SessionReply_Response{Response: &anypb.Any{TypeUrl: "x/y.Z"}}}), nil, object.ErrInternal, object.ExecutedYes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := goverseclient.Dial(t.Context(), (&odd{session: test.serve}).start(t))
			if test.dial != nil {
				expect(t, err, test.dial, test.executed)
				if test.serve == nil && !strings.Contains(err.Error(), "which this client needs") {
					t.Errorf("it is not clear what is missing: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if name == "ends" {
				<-c.Done()
				expect(t, c.Err(), object.ErrUnavailable, object.ExecutedUnknown)
			}
			_, err = goverseclient.Call[*wrapperspb.StringValue](t.Context(), c, "Echo", nil)
			if name == "lost push" || name == "numberless" { // it may have ended before
				test.executed = object.Executed(err)
			}
			expect(t, err, test.call, test.executed)
		})
	}
}
