package client_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

func TestPushesArriveInOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	const n = 500 // fewer than may wait
	go func() {
		msg := wrapperspb.String("")
		for i := range n {
			msg.Value = strconv.Itoa(i) // encoded before Push returns, so it may change
			if err := f.svc.Push(t.Context(), p.object, msg); err != nil {
				t.Errorf("push %d: %v", i, err)
			}
		}
	}()
	for i := range n {
		msg, err := p.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, msg); got != strconv.Itoa(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

func TestPushInOnConnectComesAfterTheResponse(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.onConnect = func(ctx context.Context, id string) error {
		for _, word := range []string{"welcome", "home"} {
			if err := f.svc.Push(ctx, id, wrapperspb.String(word)); err != nil {
				t.Errorf("push in OnConnect: %v", err)
			}
		}
		return nil
	}
	p := f.connect() // which demands a RegisterResponse first
	for _, want := range []string{"welcome", "home"} {
		msg, err := p.stream.Recv()
		if err != nil || text(t, msg) != want {
			t.Fatalf("got %v, %v, want %q", msg, err, want)
		}
	}
}

func TestOnConnectRefuses(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.onConnect = func(ctx context.Context, id string) error {
		_ = f.svc.Push(ctx, id, wrapperspb.String("never seen"))
		return object.NewError(object.CodePermissionDenied, "not you")
	}
	stream, err := client_pb.NewClientServiceClient(f.dial(f.addr)).Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.Recv()
	if msg != nil || status.Convert(err).Message() != "not you" {
		t.Errorf("got %v, %v", msg, err)
	}
	expect(t, err, object.ErrPermissionDenied, object.ExecutedYes)
	until(t, "nothing is left", func() bool { return f.svc.Clients() == 0 })
}

func TestPushRefusals(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	var none *wrapperspb.StringValue
	push := func(id string, msg *wrapperspb.StringValue) error { return f.svc.Push(t.Context(), id, msg) }
	expect(t, push(p.object, none), object.ErrInvalidArgument, object.ExecutedNo)
	expect(t, f.svc.Push(t.Context(), p.object, nil), object.ErrInvalidArgument, object.ExecutedNo)
	expect(t, push(p.object, wrapperspb.String("\xff")), object.ErrInvalidArgument, object.ExecutedNo)
	expect(t, push("Tester-nobody", wrapperspb.String("x")), object.ErrNotFound, object.ExecutedNo)
	expect(t, push(p.id, wrapperspb.String("x")), object.ErrNotFound, object.ExecutedNo)
	expect(t, push(p.object, wrapperspb.String(strings.Repeat("x", client.DefaultMessageBytes))), object.ErrInvalidArgument, object.ExecutedNo)

	// The largest message allowed, and what was refused has left no trace.
	overhead := len("type.googleapis.com/google.protobuf.StringValue") + 2 + 5 + 5 // the Any's fields
	big := strings.Repeat("x", client.DefaultMessageBytes-overhead)
	if err := push(p.object, wrapperspb.String(big)); err != nil {
		t.Fatalf("push of %d bytes: %v", len(big), err)
	}
	stream, err := f.dialBig().Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if msg, err := p.stream.Recv(); err != nil || text(t, msg) != big {
		t.Errorf("the big message: %v", err)
	}

	p.hangUp()
	f.node.awaitLeft(p.object)
	until(t, "the session is forgotten", func() bool {
		return errors.Is(push(p.object, wrapperspb.String("x")), object.ErrNotFound) && f.svc.Clients() == 1
	})
}

// dialBig is a client whose own limits do not get in the way.
func (f *fixture) dialBig() client_pb.ClientServiceClient {
	return client_pb.NewClientServiceClient(f.dial(f.addr))
}

// A client that never reads: what waits for it is bounded, its stream ends although
// the server is caught in a send, and nobody else notices.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"many small": 1, "some of 10 KiB": 10 << 10, "huge": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			slow, other := f.connect(), f.connect()
			block, running, release := blocking()
			defer release()
			f.node.methods["Block"] = block
			called := make(chan error, 1)
			go func() {
				_, err := slow.call(t.Context(), "Block", nil)
				called <- err
			}()
			<-running

			msg := wrapperspb.String(strings.Repeat("x", size))
			pushed, err := 0, error(nil)
			for err == nil && pushed < 1_000_000 {
				if err = f.svc.Push(t.Context(), slow.object, msg); err == nil {
					pushed++
				}
			}
			expect(t, err, object.ErrResourceExhausted, object.ExecutedNo)
			if reason := f.node.awaitLeft(slow.object); reason != object.DisconnectTooSlow {
				t.Errorf("left as %v", reason)
			}
			expect(t, <-called, object.ErrCanceled, object.ExecutedYes) // what it did with its context's end
			_, err = slow.call(t.Context(), "Who", nil)
			expect(t, err, object.ErrUnauthenticated, object.ExecutedNo)

			// All that was accepted and not sent is dropped; then comes the reason.
			got, err := slow.drain()
			expect(t, err, object.ErrResourceExhausted, object.ExecutedUnknown)
			if st := status.Convert(err); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "does not read") {
				t.Errorf("the stream ended with %v", err)
			}
			// One was being sent, and one may wait whatever its size.
			if waited := pushed - len(got) - 1; waited > client.DefaultQueueMessages || (waited-1)*size > client.DefaultQueueBytes {
				t.Errorf("%d messages of %d bytes waited", waited, size)
			}
			if err := f.svc.Push(t.Context(), other.object, msg); err != nil {
				t.Errorf("push to another: %v", err)
			}
			if m, err := other.stream.Recv(); err != nil || text(t, m) != msg.GetValue() {
				t.Errorf("the other client: %v", err)
			}
		})
	}
}

// A client too slow already while OnConnect pushes never gets through.
func TestOverflowInOnConnect(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{QueueMessages: 3}))
	var refused error
	f.node.onConnect = func(ctx context.Context, id string) error {
		for range 4 {
			refused = f.svc.Push(ctx, id, wrapperspb.String("x"))
		}
		return nil
	}
	stream, err := f.dialBig().Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	expect(t, err, object.ErrResourceExhausted, object.ExecutedUnknown)
	until(t, "the client is gone", func() bool { return f.svc.Clients() == 0 })
	expect(t, refused, object.ErrResourceExhausted, object.ExecutedNo)
}

func TestMessageSizes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.methods["Blow"] = func(_ context.Context, _, req string) (string, error) {
		n, err := strconv.Atoi(req)
		return strings.Repeat("x", n), err
	}
	p := f.connect()
	const limit = client.DefaultMessageBytes
	fits := strings.Repeat("x", limit-200)
	if got, err := p.call(t.Context(), "Blow", wrapperspb.String(strconv.Itoa(len(fits)))); err != nil || got != fits {
		t.Errorf("a reply of %d bytes: %v", len(fits), err)
	}
	if _, err := p.call(t.Context(), "Who", wrapperspb.String(fits)); err != nil {
		t.Errorf("a request of %d bytes: %v", len(fits), err)
	}
	_, err := p.call(t.Context(), "Blow", wrapperspb.String(strconv.Itoa(limit)))
	expect(t, err, object.ErrResourceExhausted, object.ExecutedYes)
	_, err = p.call(t.Context(), "Who", wrapperspb.String(strings.Repeat("x", limit)))
	expect(t, err, object.ErrResourceExhausted, object.ExecutedUnknown) // gRPC's own refusal
	if got, err := p.call(t.Context(), "Who", nil); err != nil || got != p.object {
		t.Errorf("after too large messages: %q, %v", got, err)
	}
}
