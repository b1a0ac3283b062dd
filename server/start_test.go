package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// Other is a type that servers do not know.
type Other struct{ object.BaseObject }

// listen takes a port.
func listen(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("listen on %s: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func health(t *testing.T, addr string) healthpb.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return healthpb.NewHealthClient(conn)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	f := create(t)
	if f.Addr() != "" || f.ClientAddr() != "" {
		t.Errorf("addresses before the start: %q, %q", f.Addr(), f.ClientAddr())
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{f.Addr(), f.ClientAddr()} {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
			t.Fatalf("%q is not a bound address", addr)
		}
		res, err := health(t, addr).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health at %s: %v, %v", addr, res, err)
		}
	}
	if f.Addr() == f.ClientAddr() {
		t.Errorf("both listen on %s", f.Addr())
	}
	if log := f.log.String(); !strings.Contains(log, f.Addr()) || !strings.Contains(log, f.ClientAddr()) {
		t.Errorf("the log does not tell the addresses:\n%s", log)
	}
	if got := start(t, withoutClients).ClientAddr(); got != "" {
		t.Errorf("client address without a client service: %q", got)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken := listen(t, "127.0.0.1:0")
	for name, set := range map[string]setting{
		"node listener":   func(c *server.Config) { c.ListenAddress = taken },
		"client listener": func(c *server.Config) { c.ClientListenAddress = taken },
	} {
		registry := newRegistry(t)
		f := create(t, set, func(c *server.Config) { c.Registry = registry })
		err := f.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), taken) {
			t.Fatalf("start: %v, want it to name the %s and %s", err, name, taken)
		}
		receive(t, f.Done(), "Done")
		if addr := f.Addr(); addr != "" {
			listen(t, addr) // given back
		}
		if err := f.Stop(t.Context()); err != nil {
			t.Errorf("stop after a start that failed: %v", err)
		}
		if err := registry.RegisterObjectType((*Other)(nil)); err != nil {
			t.Errorf("the registry is not free: %v", err)
		}
	}
}

func TestAddressOfAnotherMachine(t *testing.T) {
	t.Parallel()
	err := create(t, func(c *server.Config) { c.ListenAddress = "192.0.2.1:0" }).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1:0") {
		t.Errorf("start: %v", err)
	}
}

func TestStartOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	wantError(t, "start twice", f.Start(t.Context()), object.ErrFailedPrecondition, object.ExecutedNo)
	f.add(t, "Box-1", 1) // it did no harm
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantError(t, "start after a stop", f.Start(t.Context()), object.ErrFailedPrecondition, object.ExecutedNo)
	wantError(t, "run after a stop", f.Run(), object.ErrFailedPrecondition, object.ExecutedNo)
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop twice: %v", err)
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	f := create(t)
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	receive(t, f.Done(), "Done")
	wantError(t, "start", f.Start(t.Context()), object.ErrFailedPrecondition, object.ExecutedNo)
	_, err := f.CreateObject(t.Context(), "Box", "Box-1", nil)
	wantError(t, "create", err, object.ErrUnavailable, object.ExecutedNo)
}

func TestStartWithAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	f := create(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, want it cancelled", err)
	}
	receive(t, f.Done(), "Done")
	if f.Addr() != "" {
		t.Errorf("it listened on %s", f.Addr())
	}
}

func TestStartedServerOutlivesTheContextOfItsStart(t *testing.T) {
	t.Parallel()
	f := create(t)
	ctx, cancel := context.WithCancel(t.Context())
	if err := f.Start(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	f.add(t, "Box-1", 1)
	whoami(t, f.dial(t))
	if f.Stopped() {
		t.Error("stopped")
	}
}

func TestOperationsBeforeTheStart(t *testing.T) {
	t.Parallel()
	f := create(t)
	_, err := f.CallObject(t.Context(), "Box-1", "Add", nil)
	wantError(t, "call", err, object.ErrFailedPrecondition, object.ExecutedNo)
	_, err = f.Runtime().Invoke(t.Context(), "Box-1", object.ExprOf((*Box).Add), nil)
	wantError(t, "invoke", err, object.ErrFailedPrecondition, object.ExecutedNo)
	wantError(t, "delete", f.DeleteObject(t.Context(), "Box-1"), object.ErrFailedPrecondition, object.ExecutedNo)
	wantError(t, "push", f.PushMessage(t.Context(), "User-1", nil), object.ErrFailedPrecondition, object.ExecutedNo)
}

// The types of a running server stand still; afterwards the registry takes more.
func TestRegistrationWhileRunning(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t)
	first := start(t, func(c *server.Config) { c.Registry = registry })
	second := start(t, withoutClients, func(c *server.Config) { c.Registry = registry })
	if err := registry.RegisterObjectType((*Box)(nil)); err != nil {
		t.Errorf("the same type alike: %v", err)
	}
	err := registry.RegisterObjectType((*Box)(nil), object.IdleTimeout(time.Hour))
	wantError(t, "the same type differently", err, object.ErrAlreadyExists, object.ExecutedNo)
	for _, f := range []*fixture{first, second} {
		err := registry.RegisterObjectType((*Other)(nil))
		wantError(t, "a new type", err, object.ErrFailedPrecondition, object.ExecutedNo)
		if err := f.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := registry.RegisterObjectType((*Other)(nil)); err != nil {
		t.Errorf("a new type after the stop: %v", err)
	}
}
