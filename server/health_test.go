package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/server"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// pulse follows the health of one service at one address.
type pulse struct {
	grpc.ServerStreamingClient[healthpb.HealthCheckResponse]

	what string
}

func feel(t *testing.T, addr, service string) pulse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := health(t, addr).Watch(ctx, &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	return pulse{stream, addr + " " + service}
}

// await returns when the health is as wanted.
func (p pulse) await(t *testing.T, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for {
		res, err := p.Recv()
		if err != nil {
			t.Fatalf("%s: waited in vain for %v: %v", p.what, want, err)
		}
		if res.GetStatus() == want {
			return
		}
	}
}

// A server that is fenced is not healthy, at both its ports, and is again when its lease
// is renewed, or it has joined again.
func TestHealthShowsTheFence(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"and it goes on": false, "and it joins again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, func(c *server.Config) { c.LeaseTTL = 2 * time.Second })
			before := f.Member()
			clients := []pulse{feel(t, f.ClientAddr(), ""), feel(t, f.ClientAddr(), client_pb.ClientService_ServiceDesc.ServiceName)}
			node := feel(t, f.Addr(), "")
			for _, p := range append(clients, node) {
				p.await(t, serving)
			}
			if lost {
				if err := f.Member().Evict(t.Context(), f.Member().Incarnation()); err != nil {
					t.Fatal(err)
				}
			} else {
				f.Coordinator().SetOutage(true) // leases stand still
			}
			if !lost { // else it stops listening for a moment, and says so or not
				node.await(t, notServing)
			}
			for _, p := range clients {
				p.await(t, notServing)
			}
			f.Coordinator().SetOutage(false)
			for _, p := range clients {
				p.await(t, serving)
			}
			if lost {
				node = feel(t, f.Addr(), "") // it listens anew
			}
			node.await(t, serving)
			if again := f.Member() != before; again != lost {
				t.Errorf("it joined again: %v, want %v", again, lost)
			}
		})
	}
}

// A server that still creates the objects it was asked for is not ready.
func TestHealthWhileStarting(t *testing.T) {
	t.Parallel()
	f := create(t)
	f.record(t, "Box-1", "deaf")
	ran := started(func() error { return f.Start(t.Context()) })
	f.probe.awaitEntered(t)
	node := feel(t, f.Addr(), "")
	if res, err := node.Recv(); err != nil || res.GetStatus() != notServing {
		t.Errorf("while it starts: %v, %v", res, err)
	}
	close(f.probe.release)
	node.await(t, serving)
	if err := receive(t, ran, "the start"); err != nil {
		t.Errorf("start: %v", err)
	}
}

// A server that stops is not healthy while it waits for the calls that run.
func TestHealthWhileStopping(t *testing.T) {
	t.Parallel()
	f := start(t)
	ports := []pulse{feel(t, f.Addr(), ""), feel(t, f.ClientAddr(), "")}
	running := f.callLater(context.Background(), "Box-1", "Block")
	f.probe.awaitEntered(t)
	stopped := f.stopLater()
	for _, p := range ports {
		p.await(t, notServing)
	}
	close(f.probe.release)
	if out := receive(t, running, "the running call"); out.err != nil {
		t.Errorf("the running call: %v", out.err)
	}
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// From when one of its parts has failed a server is not healthy and not ready, though the others have not stopped yet and
// its lease is valid; Stop tells why.
func TestHealthWhenAPartHasFailed(t *testing.T) {
	t.Parallel()
	f := create(t, withAdmin)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ports := []pulse{feel(t, f.Addr(), ""), feel(t, f.ClientAddr(), ""), feel(t, f.ClientAddr(), client_pb.ClientService_ServiceDesc.ServiceName)}
	for _, p := range ports {
		p.await(t, serving)
	}
	f.Fail(errors.New("it broke"))
	for _, p := range ports {
		p.await(t, notServing)
	}
	awaitReadiness(t, f.Server, "stopping")
	if !f.Member().Valid() {
		t.Error("the lease has ended too")
	}
	if err := f.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Errorf("stop: %v", err)
	}
}
