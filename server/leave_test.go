package server_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// host is a server of a company, and the test's hand inside its objects.
type host struct {
	*server.Server

	probe *probe
}

// employ is a server that its test stops.
func (c *company) employ(settings ...setting) *host {
	c.t.Helper()
	cfg := server.Config{
		ListenAddress: "127.0.0.1:0", Shards: 64, Registry: newRegistry(c.t), Etcd: []string{server.Memory},
		Logger: (&fixture{log: &logBook{}}).logger(), DrainTimeout: time.Hour,
	}
	for _, set := range settings {
		set(&cfg)
	}
	h := &host{Server: server.NewShared(&cfg, c.meeting), probe: newProbe()}
	probes.Store(h.Runtime(), h.probe)
	c.t.Cleanup(func() { probes.Delete(h.Runtime()) })
	if err := h.Start(c.t.Context()); err != nil {
		c.t.Fatalf("start: %v", err)
	}
	return h
}

// await returns when the server's view of its cluster is what cond wants.
func (h *host) await(t *testing.T, cond func() bool) {
	t.Helper()
	for timeout := time.After(patience); ; {
		changed := h.Member().Changed()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatal("the cluster does not come to that")
		}
	}
}

// boxes are IDs of two Boxes of the server's own.
func (h *host) boxes(t *testing.T) (ids []string) {
	t.Helper()
	h.await(t, func() bool {
		ids = nil
		for i := 0; i < 1000 && len(ids) < 2; i++ {
			r, ok := h.Member().Route(shard.Of(boxNo(i), 64))
			if ok && r.Incarnation == h.Member().Incarnation() {
				ids = append(ids, boxNo(i))
			}
		}
		return len(ids) == 2
	})
	return ids
}

// run has one of these run a method, and returns when that has begun; the other is idle.
func (h *host) run(t *testing.T, method string) (id, idle string, running <-chan outcome) {
	t.Helper()
	ids := h.boxes(t)
	if _, err := h.CallObject(t.Context(), ids[1], "Add", nil); err != nil {
		t.Fatal(err)
	}
	running = started(func() outcome {
		reply, err := h.CallObject(context.Background(), ids[0], method, nil)
		return outcome{reply, err}
	})
	if entered := h.probe.awaitEntered(t); entered != ids[0] {
		t.Fatalf("%s runs, not %s", entered, ids[0])
	}
	return ids[0], ids[1], running
}

// awaitEnd returns when a Box has been deactivated, for whatever reason.
func (p *probe) awaitEnd(t *testing.T, id string) {
	t.Helper()
	for timeout := time.After(patience); ; {
		p.mu.Lock()
		ended, changed := false, p.changed
		for _, event := range p.events {
			ended = ended || strings.HasPrefix(event, "deactivate "+id+" ")
		}
		p.mu.Unlock()
		if ended {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%s has not ended", id)
		}
	}
}

// Servers that are stopped together let the calls that have begun finish; nobody is fenced.
func TestServersStopTogether(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	hosts := []*host{c.employ(), c.employ()}
	var idle []string
	var running []<-chan outcome
	var stopped []<-chan error
	for _, h := range hosts {
		_, i, r := h.run(t, "Block")
		idle, running = append(idle, i), append(running, r)
	}
	for _, h := range hosts {
		stopped = append(stopped, started(func() error { return h.Stop(context.Background()) }))
	}
	for i, h := range hosts {
		h.probe.awaitEnd(t, idle[i])
	}
	for _, h := range hosts {
		close(h.probe.release)
	}
	for i, h := range hosts {
		if out := receive(t, running[i], "the running call"); out.err != nil {
			t.Errorf("server %d: the running call: %v", i, out.err)
		}
		if err := receive(t, stopped[i], "Stop"); err != nil {
			t.Errorf("server %d: stop: %v", i, err)
		}
		for _, event := range h.probe.noted() {
			if strings.HasSuffix(event, "fenced") {
				t.Errorf("server %d: %s", i, event)
			}
		}
	}
}

// The context of Stop bounds the hand-over to servers that go on; what runs is cancelled, and
// named where it does not hear.
func TestStopGivesUpHandingOver(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Block", "Deaf"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c := &company{t, &server.Coordinators{}}
			first, second := c.employ(), c.employ()
			id, _, running := first.run(t, method)
			first.await(t, func() bool { return len(first.Member().Members()) == 2 }) // else it has nobody to hand over to
			ctx, cancel := context.WithCancel(t.Context())
			stopped := started(func() error { return first.Stop(ctx) })
			second.await(t, func() bool {
				for _, m := range second.Member().Members() {
					if m.Leaving {
						return true
					}
				}
				return false
			})
			cancel()
			err := receive(t, stopped, "Stop to return")
			if method == "Block" && err != nil {
				t.Errorf("stop: %v: the call has heard", err)
			}
			if method == "Deaf" && (!errors.Is(err, object.ErrDeadlineExceeded) || !strings.Contains(err.Error(), id)) {
				t.Errorf("stop: %v, want it to name %s", err, id)
			}
			close(first.probe.release)
			if out := receive(t, running, "the call to return"); object.Executed(out.err) != object.ExecutedUnknown {
				t.Errorf("the call: %v, executed %v", out.err, object.Executed(out.err))
			}
			if _, err := second.CallObject(t.Context(), id, "Add", nil); err != nil {
				t.Errorf("the next owner: %v", err)
			}
			if err := second.Stop(t.Context()); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
}

// late is the system's clock, some time behind.
type late struct {
	clock.Clock

	behind atomic.Int64
}

func (c *late) Now() time.Time { return c.Clock.Now().Add(-time.Duration(c.behind.Load())) }

// A server that has lost its lease and joined again has all its time when it is stopped,
// however much later.
func TestStopAfterALostLeaseHasItsTime(t *testing.T) {
	t.Parallel()
	slow := &late{Clock: clock.System()}
	slow.behind.Store(int64(time.Hour))
	f := create(t, withoutClients, func(c *server.Config) { c.LeaseTTL = 2 * time.Second })
	f.SetClock(slow)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.loseLease(t)
	slow.behind.Store(0)                                      // an hour later
	ctx, cancel := context.WithTimeout(t.Context(), patience) // the server was made with the other time
	defer cancel()
	if _, err := f.CallObject(ctx, "Box-2", "Add", nil); err != nil {
		t.Fatal(err)
	}
	running := f.callLater(ctx, "Box-1", "Block")
	f.probe.awaitEntered(t)
	stopped := f.stopLater()
	f.probe.await(t, "deactivate Box-2 stopping")
	select {
	case out := <-running:
		t.Fatalf("the running call was cut off: %v", out.err)
	case <-time.After(100 * time.Millisecond): // a cut comes before Box-2's end
	}
	close(f.probe.release)
	if out := receive(t, running, "the running call"); out.err != nil {
		t.Errorf("the running call: %v", out.err)
	}
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// loseLease ends the server's membership; it has joined again when loseLease returns.
func (f *fixture) loseLease(t *testing.T) {
	t.Helper()
	lost := f.Member()
	// The member may know of it, and a store of the test's be out, before the store's answer is there.
	if err := lost.Evict(t.Context(), lost.Incarnation()); err != nil && !errors.Is(err, coord.ErrUnavailable) {
		t.Fatal(err)
	}
	receive(t, f.log.awaited("joins again"), "the lease to be lost")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := f.CallObject(ctx, "Box-0", "Add", nil); err != nil {
		t.Fatalf("after the lease was lost: %v", err)
	}
	if f.Member() == lost {
		t.Fatal("it is the same member")
	}
}

// meddler is a log that does something when a line has been written.
type meddler struct {
	*logBook

	meddle func(line string)
}

func (m meddler) Write(p []byte) (int, error) {
	defer m.meddle(string(p))
	return m.logBook.Write(p)
}

// A server that was ready tries to join again until it can, whatever the store answers.
func TestJoinsAgainWhenTheStoreIsBack(t *testing.T) {
	t.Parallel()
	meeting := &server.Coordinators{}
	tries := 0
	var mu sync.Mutex // guards tries
	log := meddler{&logBook{}, func(line string) {
		if !strings.Contains(line, "joins again") {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		tries++
		meeting.Outage(tries < 4)
	}}
	f := &fixture{probe: newProbe(), log: log.logBook}
	cfg := server.Config{
		ListenAddress: "127.0.0.1:0", Shards: 64, Registry: newRegistry(t), Etcd: []string{server.Memory},
		LeaseTTL: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	f.Server = server.NewShared(&cfg, meeting)
	probes.Store(f.Runtime(), f.probe)
	t.Cleanup(func() { probes.Delete(f.Runtime()) })
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.loseLease(t)
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if tries != 4 {
		t.Errorf("joined at try %d", tries)
	}
}
