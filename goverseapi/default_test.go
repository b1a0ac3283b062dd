package goverseapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
)

// The tests of this file share the process's defaults, so none of them is parallel. All
// other tests of the package either are, and run when these have ended, or make no
// server with goverseapi.NewServer.

// ChatRoom and ChatClient belong to the process's registry.
type ChatRoom struct{ Room }

type ChatClient struct{ goverseapi.BaseClient }

// Ask counts its calls in a room.
func (c *ChatClient) Ask(ctx context.Context, room *text) (*number, error) {
	return goverseapi.Call[*number](ctx, room.GetValue(), "Add", wrapperspb.Int64(1))
}

// Late is registered too late.
type Late struct{ goverseapi.BaseObject }

// NoMethods cannot be registered.
type NoMethods struct{ goverseapi.BaseObject }

func (*NoMethods) Broken(context.Context, string) error { return nil }

// panicked is what f panicked with, as an error.
func panicked(f func()) (err error) {
	defer func() { err, _ = recover().(error) }()
	f()
	return nil
}

func wantNoServer(t *testing.T) {
	t.Helper()
	_, err := goverseapi.CallObject(t.Context(), "ChatRoom-1", "Add", nil)
	if err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("%v does not say that there is no server", err)
	}
	wantError(t, "call", err, goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	_, err = goverseapi.Call[*number](t.Context(), "ChatRoom-1", "Add", nil)
	wantError(t, "typed call", err, goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	_, err = goverseapi.Invoke(t.Context(), "ChatRoom-1", (*Room).Add, nil)
	wantError(t, "invoke", err, goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	_, err = goverseapi.CreateObject(t.Context(), "ChatRoom", "ChatRoom-1", nil)
	wantError(t, "create", err, goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	wantError(t, "delete", goverseapi.DeleteObject(t.Context(), "ChatRoom-1"), goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	wantError(t, "push", goverseapi.PushMessage(t.Context(), "ChatClient-1", nil), goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
}

// The contract's own example, word for word but for free ports and the log.
func TestTheExampleOfTheContract(t *testing.T) {
	wantNoServer(t)
	ctx := t.Context()
	log, ready := io.Pipe()
	config := &goverseapi.ServerConfig{ListenAddress: "localhost:0", AdvertiseAddress: "localhost:47000", ClientListenAddress: "localhost:0"}
	config.Etcd = []string{"embedded:localhost:0"}
	config.Logger = slog.New(slog.NewTextHandler(ready, nil))
	server := goverseapi.NewServer(config)
	goverseapi.RegisterClientType((*ChatClient)(nil))
	goverseapi.RegisterObjectType((*ChatRoom)(nil))
	id, err := goverseapi.CreateObject(ctx, "ChatRoom", "ChatRoom-General", nil)
	if id != "ChatRoom-General" || err != nil {
		t.Fatalf("create before Run: %q, %v", id, err)
	}
	if _, err := goverseapi.CallObject(ctx, "ChatRoom-General", "Add", nil); !errors.Is(err, goverseapi.ErrFailedPrecondition) {
		t.Errorf("call before Run: %v", err)
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run() }()
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "server ready") {
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()

	resp, err := goverseapi.CallObject(ctx, "ChatRoom-General", "Add", wrapperspb.Int64(2))
	if err != nil || resp.(*number).GetValue() != 2 {
		t.Errorf("call: %v, %v", resp, err)
	}
	if _, err := goverseapi.CreateObject(ctx, "ChatRoom", "ChatRoom-General", nil); !errors.Is(err, goverseapi.ErrAlreadyExists) {
		t.Errorf("create again: %v", err)
	}
	n, err := goverseclient.Call[*number](ctx, dial(t, server), "Ask", wrapperspb.String("ChatRoom-General"))
	if err != nil || n.GetValue() != 3 {
		t.Errorf("call of a client: %v, %v", n, err)
	}
	err = panicked(func() { goverseapi.RegisterObjectType((*Late)(nil)) })
	wantError(t, "registration while running", err, goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	if err := panicked(func() { goverseapi.RegisterObjectType((*ChatRoom)(nil)) }); err != nil {
		t.Errorf("the same registration while running: %v", err)
	}

	stop(t, server)
	if err := receive(t, ran, "Run to return"); err != nil {
		t.Errorf("run: %v", err)
	}
	_ = ready.Close()
	wantNoServer(t)
}

func TestRegistrationMistakesPanic(t *testing.T) {
	goverseapi.RegisterObjectType((*ChatRoom)(nil))
	goverseapi.RegisterClientType((*ChatClient)(nil))
	for what, c := range map[string]struct {
		register func()
		want     *goverseapi.Error
	}{
		"differently": {func() { goverseapi.RegisterObjectType((*ChatRoom)(nil), goverseapi.Reentrant()) }, goverseapi.ErrAlreadyExists},
		"name taken":  {func() { goverseapi.RegisterObjectType((*Late)(nil), goverseapi.TypeName("ChatRoom")) }, goverseapi.ErrAlreadyExists},
		"two clients": {func() { goverseapi.RegisterClientType((*Guest)(nil)) }, goverseapi.ErrAlreadyExists},
		"near miss":   {func() { goverseapi.RegisterObjectType((*NoMethods)(nil)) }, goverseapi.ErrInvalidArgument},
		"a client":    {func() { goverseapi.RegisterObjectType((*Guest)(nil)) }, goverseapi.ErrInvalidArgument},
		"no method":   {func() { goverseapi.RegisterObjectType((*Late)(nil), goverseapi.Concurrency(goverseapi.ReadOnly, "X")) }, goverseapi.ErrInvalidArgument},
	} {
		wantError(t, what, panicked(c.register), c.want, goverseapi.ExecutedNo)
	}
	own := goverseapi.NewRegistry()
	if err := own.RegisterObjectType((*ChatRoom)(nil), goverseapi.Reentrant()); err != nil {
		t.Errorf("another registry: %v", err)
	}
	wantError(t, "differently, as an error", own.RegisterObjectType((*ChatRoom)(nil)), goverseapi.ErrAlreadyExists, goverseapi.ExecutedNo)
}

// wantDefault finds out which server the package functions act on.
func wantDefault(t *testing.T, what string, want *goverseapi.Server) {
	t.Helper()
	before := sum(want.Context(t.Context()), t, "Room-1")
	if _, err := goverseapi.Invoke(t.Context(), "Room-1", (*Room).Add, wrapperspb.Int64(1)); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if got := sum(want.Context(t.Context()), t, "Room-1"); got != before+1 {
		t.Errorf("%s: another server is the default", what)
	}
}

func TestDefaultServer(t *testing.T) {
	first, second := goverseapi.NewServer(config(t)), goverseapi.NewServer(config(t))
	begin(t, second)
	_, err := goverseapi.Invoke(t.Context(), "Room-1", (*Room).Add, nil)
	wantError(t, "the first has not started", err, goverseapi.ErrFailedPrecondition, goverseapi.ExecutedNo)
	begin(t, first)
	wantDefault(t, "the first", first)
	// In a method the default does not matter.
	out, err := second.CallObject(t.Context(), "Room-2", "Relay", wrapperspb.String("Room-3"))
	if err != nil || out.(*number).GetValue() != 1 || sum(second.Context(t.Context()), t, "Room-3") != 1 {
		t.Errorf("relay inside the second: %v, %v", out, err)
	}
	third := goverseapi.NewServer(config(t))
	begin(t, third)
	wantDefault(t, "the first still", first)
	stop(t, first)
	wantDefault(t, "the second", second)
	stop(t, third)
	wantDefault(t, "the second still", second)
	fourth := goverseapi.NewServer(config(t))
	begin(t, fourth)
	stop(t, second)
	wantDefault(t, "the fourth", fourth)
	stop(t, fourth)
	wantNoServer(t)
}

// A server whose start failed, or that was stopped before it, is no default.
func TestDefaultServerThatNeverRan(t *testing.T) {
	bad := config(t)
	bad.Shards = -1
	failed := goverseapi.NewServer(bad)
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	taken := config(t)
	taken.ListenAddress = port.Addr().String()
	unbound, idle := goverseapi.NewServer(taken), goverseapi.NewServer(config(t))
	last := goverseapi.NewServer(config(t))
	begin(t, last)

	if err := failed.Start(t.Context()); !errors.Is(err, goverseapi.ErrInvalidArgument) {
		t.Errorf("start: %v", err)
	}
	if err := unbound.Start(t.Context()); err == nil {
		t.Error("started on a port that was taken")
	}
	stop(t, idle)
	wantDefault(t, "after servers that stopped before they ran", last)
	stop(t, last)
	wantNoServer(t)
}

func TestServersMadeAtTheSameTime(t *testing.T) {
	made := make([]*goverseapi.Server, 20)
	together(len(made), func(i int) {
		made[i] = goverseapi.NewServer(&goverseapi.ServerConfig{Logger: slog.New(slog.DiscardHandler), Registry: goverseapi.NewRegistry()})
		_, err := goverseapi.CallObject(t.Context(), "Room-1", "Add", nil)
		if !errors.Is(err, goverseapi.ErrFailedPrecondition) {
			t.Errorf("call: %v", err)
		}
	})
	together(len(made), func(i int) { stop(t, made[i]) })
	wantNoServer(t)
}

func TestNewServerWithoutConfiguration(t *testing.T) {
	s := goverseapi.NewServer(nil) // the process's registry, the default ports
	if s.Addr() != "" || s.ClientAddr() != "" {
		t.Errorf("it listens on %q and %q", s.Addr(), s.ClientAddr())
	}
	stop(t, s)
	cfg := &goverseapi.ServerConfig{ListenAddress: "127.0.0.1:0", Etcd: []string{"memory:"}, Logger: slog.New(slog.DiscardHandler)}
	own := goverseapi.NewServer(cfg)
	if cfg.Registry != nil {
		t.Error("NewServer changed the program's configuration")
	}
	goverseapi.RegisterObjectType((*ChatRoom)(nil))
	begin(t, own)
	if got := sum(t.Context(), t, "ChatRoom-1"); got != 0 {
		t.Errorf("the sum is %d", got)
	}
}
