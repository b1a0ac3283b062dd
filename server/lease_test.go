package server_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

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

// joins is a log that tells how often the server has joined its cluster.
type joins struct {
	slog.Handler

	joined chan struct{}
}

func (j *joins) Enabled(context.Context, slog.Level) bool { return true }

func (j *joins) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "joined the cluster" {
		j.joined <- struct{}{}
	}
	return nil
}

// A server that stood still for longer than its lease (Ctrl-Z, a debugger, a closed
// laptop) goes on: with its objects, its clients and a newer epoch.
func TestServerGoesOnAfterItStoodStill(t *testing.T) {
	t.Parallel()
	slept := &skewed{Clock: clock.System()}
	log := &joins{Handler: slog.DiscardHandler, joined: make(chan struct{}, 10)}
	f := create(t, func(c *server.Config) { c.LeaseTTL, c.Logger = 2*time.Second, slog.New(log) })
	f.SetClock(slept)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	receive(t, log.joined, "the first join")
	c := f.dial(t)
	f.add(t, "Box-1", 1)
	for range 2 { // and again
		slept.ahead.Add(int64(time.Minute))
		receive(t, log.joined, "the next join")
	}
	if sum := f.add(t, "Box-1", 1); sum != 2 {
		t.Errorf("Box-1 has %d, want 2: it has lost its state", sum)
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
