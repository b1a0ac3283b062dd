package server_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// A client whose call has begun gets its reply, and every client is told why its stream
// ends: the connection does not close before the last words are out.
func TestRepliesOfRunningClientCallsArrive(t *testing.T) {
	t.Parallel()
	const clients = 40
	for range 5 {
		f := start(t)
		var wg sync.WaitGroup
		for i := range clients {
			c := f.dial(t)
			if i%2 == 0 { // the others are idle
				wg.Go(func() {
					out, err := goverseclient.Call[*text](context.Background(), c, "Block", nil)
					if err != nil || out.GetValue() != "released" {
						t.Errorf("a call that had begun: %v, %v", out, err)
					}
				})
				f.probe.awaitEntered(t)
			}
			wg.Go(func() { wantEnd(t, c, object.ErrUnavailable, "the server is stopping") })
		}
		stopped := f.stopLater()
		close(f.probe.release)
		wg.Wait()
		if err := receive(t, stopped, "Stop"); err != nil {
			t.Errorf("stop: %v", err)
		}
		want := slices.Concat(slices.Repeat([]string{"connect"}, clients), slices.Repeat([]string{"disconnect stopping"}, clients))
		if got := f.probe.noted(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	}
}

func TestCallsOfClientsWhileStopping(t *testing.T) {
	t.Parallel()
	f := start(t)
	busy, idle, status := f.dial(t), f.dial(t), health(t, f.ClientAddr())
	if _, err := status.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	running := started(func() error {
		_, err := goverseclient.Call[*text](context.Background(), busy, "Block", nil)
		return err
	})
	f.probe.awaitEntered(t)
	stopped := f.stopLater()
	var err error
	for err == nil {
		_, err = goverseclient.Call[*text](t.Context(), idle, "Whoami", nil)
	}
	wantError(t, "a new call", err, object.ErrUnavailable, object.ExecutedNo)
	_, err = goverseclient.Dial(t.Context(), f.ClientAddr())
	if object.CodeOf(err) != object.CodeUnavailable {
		t.Errorf("a new client: %v, want unavailable", err)
	}
	res, err := status.Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || res.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v, %v", res, err)
	}
	close(f.probe.release)
	if err := receive(t, running, "the running call"); err != nil {
		t.Errorf("the running call: %v", err)
	}
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	_, err = goverseclient.Call[*text](t.Context(), idle, "Whoami", nil)
	wantError(t, "a call after the stop", err, object.ErrUnavailable, object.ExecutedNo)
}

// Whoever is connected and does nothing does not hold up a stop: idle clients, one that
// does not read, a watch of the health service, a connection that never spoke.
func TestStopBesideIdleConnections(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) { c.DrainTimeout = time.Hour })
	for range 20 {
		f.dial(t)
	}
	for range 3 {
		c := f.dial(t, goverseclient.WithPushBuffer(-1))
		for range 100 {
			if _, err := goverseclient.Call[*empty](t.Context(), c, "PushSelf", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, addr := range []string{f.Addr(), f.ClientAddr()} {
		watch, err := health(t, addr).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if res, err := watch.Recv(); err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Fatalf("watch: %v, %v", res, err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	begun := time.Now()
	if err := receive(t, f.stopLater(), "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	t.Logf("stopped in %v", time.Since(begun))
}

// A client's call that does not hear is named like any other.
func TestStopBesideADeafClientCall(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *server.Config) { c.DrainTimeout = 50 * time.Millisecond })
	c, idle := f.dial(t), f.dial(t)
	running := started(func() error {
		_, err := goverseclient.Call[*empty](context.Background(), c, "Deaf", nil)
		return err
	})
	id := f.probe.awaitEntered(t)
	err := receive(t, f.stopLater(), "Stop to return")
	if !errors.Is(err, object.ErrDeadlineExceeded) || !strings.Contains(err.Error(), id) || strings.Contains(err.Error(), "\n") {
		t.Errorf("stop: %v, want one line that names %s", err, id)
	}
	err = receive(t, running, "the call")
	if object.CodeOf(err) != object.CodeUnavailable || object.Executed(err) == object.ExecutedNo {
		t.Errorf("the call: %v, executed %v", err, object.Executed(err))
	}
	receive(t, c.Done(), "the end of the stream")
	receive(t, idle.Done(), "the end of the stream")
	close(f.probe.release)
}

// What a running call still does has its effect: calls of other objects, pushes. And so
// has what a client's object does at its end.
func TestWorkThatGoesOnWhileStopping(t *testing.T) {
	t.Parallel()
	f := start(t)
	c := f.dial(t)
	if _, err := goverseclient.Call[*empty](t.Context(), c, "Farewell", wrapperspb.String("Box-1")); err != nil {
		t.Fatal(err)
	}
	running := started(func() error {
		_, err := goverseclient.Call[*empty](context.Background(), c, "BlockAndPush", wrapperspb.String("Box-1"))
		return err
	})
	f.probe.awaitEntered(t)
	stopped := f.stopLater()
	for err := error(nil); err == nil; { // until the stop has begun
		_, err = goverseclient.Call[*text](t.Context(), c, "Nothing", nil)
		if errors.Is(err, object.ErrUnknownMethod) {
			err = nil
		}
	}
	close(f.probe.release)
	if err := receive(t, running, "the running call"); err != nil {
		t.Errorf("the running call: %v", err)
	}
	if got := receive(t, c.Pushes(), "the push").(*text).GetValue(); got != "last words" {
		t.Errorf("pushed %q", got)
	}
	wantEnd(t, c, object.ErrUnavailable, "the server is stopping")
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got, want := f.probe.noted(), []string{"connect", "farewell 2 ok", "disconnect stopping", "deactivate Box-1 stopping"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
