package server_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

type (
	text   = wrapperspb.StringValue
	number = wrapperspb.Int64Value
	empty  = emptypb.Empty
)

// Box is an object that does what a test wants of it.
type Box struct {
	object.BaseObject

	sum int64
}

func (b *Box) OnCreate(ctx context.Context, init proto.Message) error {
	p := probeOf(ctx)
	msg, _ := init.(*text)
	switch msg.GetValue() {
	case "fail":
		return object.NewError(object.CodeOutOfRange, "no room for "+b.ID())
	case "panic":
		panic("OnCreate of " + b.ID())
	case "block":
		p.entered <- b.ID()
		<-ctx.Done()
		return ctx.Err()
	case "deaf":
		p.entered <- b.ID()
		<-p.release
	}
	p.note("create", b.ID(), msg.GetValue())
	return nil
}

func (b *Box) OnDeactivate(ctx context.Context, reason object.DeactivateReason) error {
	probeOf(ctx).note("deactivate", b.ID(), reason.String())
	return nil
}

func (b *Box) Add(_ context.Context, n *number) (*number, error) {
	b.sum += n.GetValue()
	return wrapperspb.Int64(b.sum), nil
}

// Block waits until it is released or its context ends.
func (b *Box) Block(ctx context.Context, _ *empty) (*text, error) {
	p := probeOf(ctx)
	p.entered <- b.ID()
	select {
	case <-p.release:
		return wrapperspb.String("released"), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Deaf waits until it is released, whatever its context says.
func (b *Box) Deaf(ctx context.Context, _ *empty) (*empty, error) {
	p := probeOf(ctx)
	p.entered <- b.ID()
	<-p.release
	return nil, nil
}

// Tell pushes the Box's ID to a client.
func (b *Box) Tell(ctx context.Context, clientObjectID *text) (*empty, error) {
	rt, _ := object.FromContext(ctx)
	return nil, rt.Push(ctx, clientObjectID.GetValue(), wrapperspb.String("from "+b.ID()))
}

// User is a client object.
type User struct {
	object.BaseClient

	calls    []string
	farewell string
}

func (u *User) OnConnect(ctx context.Context) error {
	p := probeOf(ctx)
	p.note("connect")
	return p.refusal()
}

func (u *User) OnDisconnect(ctx context.Context, reason object.DisconnectReason) {
	if u.farewell != "" {
		rt, _ := object.FromContext(ctx)
		out, err := rt.Call(ctx, u.farewell, "Add", wrapperspb.Int64(1))
		n, _ := out.(*number)
		probeOf(ctx).note("farewell", strconv.FormatInt(n.GetValue(), 10), object.CodeOf(err).String())
	}
	probeOf(ctx).note("disconnect", reason.String())
}

// Farewell names a Box to call when the client is gone.
func (u *User) Farewell(_ context.Context, id *text) (*empty, error) {
	u.farewell = id.GetValue()
	return nil, nil
}

// BlockAndPush waits until it is released, calls a Box, and pushes.
func (u *User) BlockAndPush(ctx context.Context, id *text) (*empty, error) {
	p := probeOf(ctx)
	p.entered <- u.ID()
	<-p.release
	if _, err := u.AddTo(ctx, id); err != nil {
		return nil, err
	}
	return nil, u.Push(ctx, wrapperspb.String("last words"))
}

func (u *User) Whoami(context.Context, *empty) (*text, error) { return wrapperspb.String(u.ID()), nil }

func (u *User) Echo(_ context.Context, s *text) (*text, error) { return s, nil }

func (u *User) Big(_ context.Context, n *number) (*wrapperspb.BytesValue, error) {
	return wrapperspb.Bytes(make([]byte, n.GetValue())), nil
}

// Append keeps its calls in their order and returns how many there were.
func (u *User) Append(_ context.Context, s *text) (*number, error) {
	u.calls = append(u.calls, s.GetValue())
	return wrapperspb.Int64(int64(len(u.calls))), nil
}

func (u *User) Appended(_ context.Context, n *number) (*text, error) {
	return wrapperspb.String(u.calls[n.GetValue()]), nil
}

func (u *User) Panic(context.Context, *empty) (*empty, error) { panic("a client's method") }

func (u *User) Fail(_ context.Context, s *text) (*empty, error) {
	return nil, object.NewError(object.CodeAborted, s.GetValue())
}

func (u *User) Block(ctx context.Context, _ *empty) (*text, error) {
	p := probeOf(ctx)
	p.entered <- u.ID()
	select {
	case <-p.release:
		return wrapperspb.String("released"), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (u *User) Deaf(ctx context.Context, _ *empty) (*empty, error) {
	p := probeOf(ctx)
	p.entered <- u.ID()
	<-p.release
	return nil, nil
}

func (u *User) PushSelf(ctx context.Context, s *text) (*empty, error) { return nil, u.Push(ctx, s) }

// AddTo adds one to a Box.
func (u *User) AddTo(ctx context.Context, id *text) (*number, error) {
	rt, _ := object.FromContext(ctx)
	out, err := rt.Call(ctx, id.GetValue(), "Add", wrapperspb.Int64(1))
	if err != nil {
		return nil, err
	}
	return out.(*number), nil
}

// KickMe deletes the object that runs it.
func (u *User) KickMe(ctx context.Context, _ *empty) (*empty, error) {
	rt, _ := object.FromContext(ctx)
	return nil, rt.Delete(ctx, u.ID())
}

func newRegistry(t *testing.T) *object.Registry {
	t.Helper()
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*Box)(nil)); err != nil {
		t.Fatal(err)
	}
	if err := r.RegisterClientType((*User)(nil)); err != nil {
		t.Fatal(err)
	}
	return r
}

// fixture is a server on free ports of the loopback interface.
type fixture struct {
	*server.Server

	probe *probe
	log   *logBook
}

type setting func(*server.Config)

func withoutClients(c *server.Config) { c.ClientListenAddress = "" }

// create is a fixture that has not started. Its end stops it, which must succeed.
func create(t *testing.T, settings ...setting) *fixture {
	t.Helper()
	f := &fixture{probe: newProbe(), log: &logBook{}}
	cfg := server.Config{
		ListenAddress: "127.0.0.1:0", ClientListenAddress: "127.0.0.1:0", Shards: 64,
		Registry: newRegistry(t), Logger: f.logger(), Etcd: []string{server.Memory},
	}
	for _, set := range settings {
		set(&cfg)
	}
	f.Server = server.New(&cfg)
	probes.Store(f.Runtime(), f.probe)
	t.Cleanup(func() {
		if !f.Stopped() {
			if err := f.Stop(context.Background()); err != nil {
				t.Errorf("stop at the end of the test: %v", err)
			}
		}
		probes.Delete(f.Runtime())
	})
	return f
}

func (f *fixture) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start is a fixture that is ready.
func start(t *testing.T, settings ...setting) *fixture {
	t.Helper()
	f := create(t, settings...)
	if err := f.Start(t.Context()); err != nil {
		t.Fatalf("start: %v", err)
	}
	return f
}

func (f *fixture) dial(t *testing.T, opts ...goverseclient.Option) *goverseclient.Client {
	t.Helper()
	c, err := goverseclient.Dial(t.Context(), f.ClientAddr(), opts...)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// add calls a Box's Add from outside.
func (f *fixture) add(t *testing.T, id string, n int64) int64 {
	t.Helper()
	out, err := f.CallObject(t.Context(), id, "Add", wrapperspb.Int64(n))
	if err != nil {
		t.Fatalf("add to %s: %v", id, err)
	}
	return out.(*number).GetValue()
}

// whoami is the public ID of a client's object.
func whoami(t *testing.T, c *goverseclient.Client) string {
	t.Helper()
	out, err := goverseclient.Call[*text](t.Context(), c, "Whoami", nil)
	if err != nil {
		t.Fatalf("whoami: %v", err)
	}
	return out.GetValue()
}

func boxNo(i int) string { return "Box-" + strconv.Itoa(i) }

// wantError checks code and execution of an error.
func wantError(t *testing.T, what string, err error, sentinel *object.Error, executed object.Execution) {
	t.Helper()
	switch {
	case object.CodeOf(err) != sentinel.Code:
		t.Errorf("%s: %v, want code %v", what, err, sentinel.Code)
	case sentinel.Reason != "" && object.FromError(err).Reason != sentinel.Reason:
		t.Errorf("%s: %v, want reason %v", what, err, sentinel.Reason)
	case object.Executed(err) != executed:
		t.Errorf("%s: %v: executed %v, want %v", what, err, object.Executed(err), executed)
	}
}
