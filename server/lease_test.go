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

	ahead   atomic.Int64
	suspend bool // only the clock that counts suspends is ahead
}

func (c *skewed) Monotonic() time.Duration {
	if c.suspend {
		return c.Clock.Monotonic()
	}
	return c.Clock.Monotonic() + time.Duration(c.ahead.Load())
}

// Now is ahead as well: the clock on the wall shows a sleep.
func (c *skewed) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.ahead.Load())) }

func (c *skewed) Boot() time.Duration { return c.Clock.Boot() + time.Duration(c.ahead.Load()) }

// A server that meets others inside its process only, and stood still for longer than its
// lease (Ctrl-Z, a debugger, a closed laptop), goes on with its objects and clients.
func TestServerGoesOnAfterItStoodStill(t *testing.T) {
	t.Parallel()
	for name, suspend := range map[string]bool{"stopped": false, "suspended": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			standStill(t, &skewed{Clock: clock.System(), suspend: suspend})
		})
	}
}

func standStill(t *testing.T, slept *skewed) {
	t.Helper()
	f := create(t)
	f.SetClock(slept)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := f.dial(t)
	f.add(t, "Box-1", 1)
	for i := range int64(2) { // and again
		slept.ahead.Add(int64(time.Minute))
		if sum := f.add(t, "Box-1", 1); sum != 2+i {
			t.Errorf("Box-1 has %d, want %d: it has lost its state", sum, 2+i)
		}
	}
	select {
	case <-c.Done():
		t.Errorf("the client was disconnected: %v", c.Err())
	default:
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// broken is the system's clock until it breaks: then the part that reads it panics.
type broken struct {
	clock.Clock

	now atomic.Bool
}

func (c *broken) Boot() time.Duration {
	if c.now.Load() {
		panic("the clock is broken")
	}
	return c.Clock.Boot()
}

// A part that fails stops the server, all of it, and Run says why.
func TestFailedPartStopsTheServer(t *testing.T) {
	t.Parallel()
	clock, registry := &broken{Clock: clock.System()}, newRegistry(t)
	f := create(t, func(c *server.Config) { c.LeaseTTL, c.Registry = 2*time.Second, registry })
	f.SetClock(clock)
	ran := started(f.Run)
	receive(t, f.log.awaited("server ready"), "the server to be ready")
	c := f.dial(t)
	f.add(t, "Box-1", 1)
	clock.now.Store(true)
	err := receive(t, ran, "Run to return")
	if err == nil || !strings.Contains(err.Error(), "membership: panic: the clock is broken") {
		t.Errorf("run: %v, want what the clock said", err)
	}
	receive(t, f.Done(), "Done")
	wantEnd(t, c, object.ErrUnavailable, "")
	f.probe.await(t, "disconnect stopping")
	f.probe.await(t, "deactivate Box-1 fenced")
	_, err = f.CallObject(t.Context(), "Box-1", "Add", nil)
	wantError(t, "call", err, object.ErrUnavailable, object.ExecutedNo)
	if again := f.Stop(t.Context()); again == nil || !strings.Contains(again.Error(), "the clock is broken") {
		t.Errorf("stop: %v, want what the clock said", again)
	}
	if err := registry.RegisterObjectType((*Other)(nil)); err != nil {
		t.Errorf("the registry is not free: %v", err)
	}
}

// Who embeds a server learns of its end by Done, without having called Stop.
func TestFailedPartIsDone(t *testing.T) {
	t.Parallel()
	clock := &broken{Clock: clock.System()}
	f := create(t, withoutClients, func(c *server.Config) { c.LeaseTTL = 2 * time.Second })
	f.SetClock(clock)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.now.Store(true)
	receive(t, f.Done(), "Done")
	if !f.Stopped() {
		t.Error("not stopped")
	}
}
