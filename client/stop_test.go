package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

func TestStopLetsCallsFinish(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	busy, idle := f.connect(), f.connect()
	newcomer := f.dialBig()
	answered := make(chan error, 1)
	go func() {
		got, err := busy.call(t.Context(), "Block", nil)
		if err == nil && got != "released" {
			err = errors.New(got)
		}
		answered <- err
	}()
	<-running
	stopped := make(chan error, 1)
	go func() { stopped <- f.svc.Stop(t.Context()) }()

	until(t, "new calls are refused", func() bool {
		_, err := idle.call(t.Context(), "Who", nil)
		if err != nil {
			expect(t, err, object.ErrUnavailable, object.ExecutedNo)
		}
		return err != nil
	})
	_, err := busy.call(t.Context(), "Who", nil)
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	_, err = newcomer.Call(t.Context(), &client_pb.CallRequest{ClientId: "nobody"})
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	stream, err := newcomer.Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	select {
	case err := <-stopped:
		t.Fatalf("stopped while a call runs: %v", err)
	case err := <-answered:
		t.Fatalf("answered before it was released: %v", err)
	default:
	}
	// The stream lives as long as a call runs, and what was pushed arrives.
	if err := f.svc.Push(t.Context(), busy.object, wrapperspb.String("last words")); err != nil {
		t.Errorf("push while stopping: %v", err)
	}
	release()
	if err := <-answered; err != nil {
		t.Errorf("the call that had begun: %v", err)
	}
	got, err := busy.drain()
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	if len(got) != 1 || text(t, got[0]) != "last words" {
		t.Errorf("read %v", got)
	}
	_, err = idle.drain()
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	for _, p := range []*peer{busy, idle} {
		if reason := f.node.awaitLeft(p.object); reason != object.DisconnectStopping {
			t.Errorf("left as %v", reason)
		}
	}
	_, err = idle.call(t.Context(), "Who", nil)
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	if err := f.svc.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

// Stop's context bounds it: what then still runs is cancelled.
func TestStopGivesUp(t *testing.T) {
	t.Parallel()
	f := start(t)
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	p := f.connect()
	answered := make(chan error, 1)
	go func() {
		_, err := p.call(t.Context(), "Block", nil)
		answered <- err
	}()
	<-running
	cause := errors.New("out of patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := f.svc.Stop(ctx); !errors.Is(err, cause) || err.Error() != "stop client service, 1 clients left: out of patience" {
		t.Errorf("stop: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the call was not cancelled")
	}
	if err := f.svc.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

// The hooks are bounded by Stop's context as well.
func TestStopCancelsHooks(t *testing.T) {
	t.Parallel()
	f := start(t)
	cause := errors.New("out of patience")
	entered, heard := make(chan struct{}, 2), make(chan error, 2)
	hang := func(ctx context.Context) {
		entered <- struct{}{}
		<-ctx.Done()
		heard <- context.Cause(ctx)
	}
	p := f.connect()
	f.node.onConnect = func(ctx context.Context, _ string) error { hang(ctx); return nil }
	f.node.onDisconnect = func(ctx context.Context, id string, _ object.DisconnectReason) {
		if id == p.object {
			hang(ctx)
		}
	}
	stream, err := f.dialBig().Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	p.hangUp()
	<-entered
	<-entered
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := f.svc.Stop(ctx); !errors.Is(err, cause) {
		t.Errorf("stop: %v", err)
	}
	for range 2 {
		if err := <-heard; !errors.Is(err, cause) {
			t.Errorf("the hook heard %v", err)
		}
	}
	for err == nil { // the RegisterResponse may have come before
		_, err = stream.Recv()
	}
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
}

// A client that does not read does not hold up a stop for longer than Flush.
func TestStopDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Flush: time.Millisecond, QueueBytes: 1 << 30}))
	p := f.connect()
	for range 100 {
		if err := f.svc.Push(t.Context(), p.object, wrapperspb.String(string(make([]byte, 64<<10)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.svc.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	got, err := p.drain()
	expect(t, err, object.ErrUnavailable, object.ExecutedNo)
	if len(got) == 100 {
		t.Error("all was sent: the client's window took it, and the test tests nothing")
	}
}

func TestClientLimit(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Clients: 2}))
	first := f.connect()
	f.connect()
	refused, err := f.dialBig().Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = refused.Recv()
	expect(t, err, object.ErrOverloaded, object.ExecutedNo)
	if after := grpcerr.FromError(err).RetryAfter; after != time.Second {
		t.Errorf("try again after %v", after)
	}
	first.hangUp()
	f.node.awaitLeft(first.object)
	until(t, "there is room again", func() bool { return f.svc.Clients() == 1 })
	f.connect()
}

func TestWithoutClientType(t *testing.T) {
	t.Parallel()
	f := start(t, func(cfg *client.Config, _ *fixture) (none noCreds) { cfg.ClientType = ""; return })
	stream, err := f.dialBig().Register(t.Context(), &client_pb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	expect(t, err, object.ErrFailedPrecondition, object.ExecutedNo)
}
