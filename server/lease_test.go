package server_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// skewed is the system's clock, some time on: as after a suspend.
type skewed struct {
	clock.Clock

	ahead atomic.Int64
}

func (c *skewed) Monotonic() time.Duration {
	return c.Clock.Monotonic() + time.Duration(c.ahead.Load())
}

func (c *skewed) Boot() time.Duration { return c.Clock.Boot() + time.Duration(c.ahead.Load()) }

// A server that has lost its lease stops by itself, all of it, and says why.
func TestLostLeaseStopsTheServer(t *testing.T) {
	t.Parallel()
	clock := &skewed{Clock: clock.System()}
	registry := newRegistry(t)
	f := create(t, func(c *server.Config) { c.LeaseTTL, c.Registry = 2*time.Second, registry })
	f.SetClock(clock)
	ran := started(f.Run)
	c := f.whenReady(t)
	f.add(t, "Box-1", 1)

	clock.ahead.Store(int64(time.Minute))

	err := receive(t, ran, "Run to return")
	if err == nil || !strings.Contains(err.Error(), "membership") || !strings.Contains(err.Error(), "not renewed within its 2s") {
		t.Errorf("run: %v, want the lost lease", err)
	}
	receive(t, f.Done(), "Done")
	wantEnd(t, c, object.ErrUnavailable, "")
	f.probe.await(t, "deactivate Box-1 stopping")
	f.probe.await(t, "disconnect stopping")
	_, err = f.CallObject(t.Context(), "Box-1", "Add", nil)
	wantError(t, "call", err, object.ErrUnavailable, object.ExecutedNo)
	if err := f.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "not renewed within its 2s") {
		t.Errorf("stop: %v, want the lost lease", err)
	}
	if err := registry.RegisterObjectType((*Other)(nil)); err != nil {
		t.Errorf("the registry is not free: %v", err)
	}
}

// Who embeds a server learns of its end by Done, without having called Stop.
func TestLostLeaseIsDone(t *testing.T) {
	t.Parallel()
	clock := &skewed{Clock: clock.System()}
	f := create(t, withoutClients, func(c *server.Config) { c.LeaseTTL = 2 * time.Second })
	f.SetClock(clock)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.ahead.Store(int64(time.Minute))
	receive(t, f.Done(), "Done")
	if !f.Stopped() {
		t.Error("not stopped")
	}
	if err := f.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "not renewed within its 2s") {
		t.Errorf("stop: %v, want the lost lease", err)
	}
}
