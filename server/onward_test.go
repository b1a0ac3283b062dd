package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/goverseapi"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
	"github.com/xiaonanln/goverse/util/clock"
)

// Teller tells a tally to add one, one way: at the end of a call, and at its own.
type Teller struct {
	object.BaseObject

	tally string
}

// Tell waits until it is released.
func (o *Teller) Tell(ctx context.Context, id *text) (*empty, error) {
	o.tally = id.GetValue()
	p := probeOf(ctx)
	p.entered <- o.ID()
	<-p.release
	return nil, o.addOne(ctx)
}

func (o *Teller) OnDeactivate(ctx context.Context, _ object.DeactivateReason) error {
	return o.addOne(ctx)
}

func (o *Teller) addOne(ctx context.Context) error {
	_, err := goverseapi.CallObject(ctx, o.tally, "Add", wrapperspb.Int64(1), goverseapi.OneWay())
	return err
}

func tellers(cfg *server.Config) {
	if err := cfg.Registry.RegisterObjectType((*Teller)(nil)); err != nil {
		panic(err)
	}
}

// heavy has all shards but those that are moved away from it.
func heavy(cfg *server.Config) { cfg.Weight = 1000 }

// separate moves a tally to a member, away from the teller that the server keeps.
func separate(t *testing.T, s *server.Server, incarnation string) (teller, tally string) {
	t.Helper()
	teller, tally = "Teller-1", "Tally-0"
	for i := 1; shard.Of(tally, 64) == shard.Of(teller, 64); i++ {
		tally = fmt.Sprintf("Tally-%d", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for err := s.Member().Move(ctx, shard.Of(tally, 64), incarnation); err != nil; err = s.Member().Move(ctx, shard.Of(tally, 64), incarnation) {
		if ctx.Err() != nil || !errors.Is(err, cluster.ErrNoSuchMember) { // it has not joined yet
			t.Fatalf("move: %v", err)
		}
	}
	return teller, tally
}

// awaitSum waits until a tally has got so many.
func awaitSum(t *testing.T, s *server.Server, id string, want int64) {
	t.Helper()
	sum, err := int64(0), error(nil)
	for deadline := time.Now().Add(patience / 4); time.Now().Before(deadline); {
		if sum, err = addTo(t.Context(), s, id, 0); err != nil || sum == want {
			break
		}
	}
	if err != nil || sum != want {
		t.Errorf("%s got %d one-way calls, %v, want %d", id, sum, err, want)
	}
}

// What turns tell objects of other servers arrives although their own stops meanwhile, and
// so does what they tell at their objects' end.
func TestOneWayCallsLeaveAStoppingServer(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	first, second := c.join(tellers, heavy), c.join(tellers)
	teller, tally := separate(t, first, second.Member().Incarnation())
	told := started(func() error {
		_, err := goverseapi.Invoke(second.Context(t.Context()), teller, (*Teller).Tell, wrapperspb.String(tally))
		return err
	})
	loaded, _ := probes.Load(first.Runtime())
	probe := loaded.(*probe)
	probe.awaitEntered(t)
	stopped := started(func() error { return first.Stop(context.Background()) })
	f := &fixture{Server: first}
	_ = f.awaitRefusal(t, "Box-1")
	close(probe.release)
	if err := receive(t, told, "the call"); err != nil {
		t.Errorf("the call: %v", err)
	}
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	awaitSum(t, second, tally, 2)
}

// deaf is the host of a member that takes shards and does not answer for them.
type deaf struct{ opened chan uint32 }

func (d deaf) OpenShard(_ context.Context, s uint32, _ uint64, _ int64) error {
	d.opened <- s
	return nil
}

func (deaf) DrainShard(context.Context, uint32, uint64, cluster.Route, int64) error {
	return errors.New("it keeps what it has")
}
func (deaf) ReopenShard(uint32, uint64)                         {}
func (deaf) ReleaseShard(uint32, uint64, cluster.ReleaseReason) {}
func (deaf) Suspend(error)                                      {}
func (deaf) Resume()                                            {}

// A stop does not wait for ever for an object that nobody answers for.
func TestStopDoesNotWaitForWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	s := c.join(tellers, heavy, func(cfg *server.Config) { cfg.CallTimeout, cfg.DrainTimeout = -1, time.Hour })
	store, leave := c.meeting.Join("goverse", clock.System())
	defer leave()
	host := deaf{make(chan uint32, 100)}
	member := cluster.NewMember(cluster.Config{
		Store: store, Clock: clock.System(), Logger: (&fixture{log: &logBook{}}).logger(), Host: host, Name: "goverse",
		Address: "127.0.0.1:1", Incarnation: "deaf", Shards: 64, LeaseTTL: 24 * time.Hour, LeaveTimeout: -1, Relist: -1,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := started(func() error { return member.Run(ctx, func() {}) })
	teller, tally := separate(t, s, "deaf")
	loaded, _ := probes.Load(s.Runtime())
	close(loaded.(*probe).release)
	if _, err := goverseapi.Invoke(s.Context(t.Context()), teller, (*Teller).Tell, wrapperspb.String(tally)); err != nil {
		t.Errorf("the call: %v", err)
	}
	stopped := started(func() error { return s.Stop(context.Background()) })
	if err := receive(t, stopped, "Stop"); err != nil {
		t.Errorf("stop: %v", err)
	}
	cancel()
	if err := receive(t, ended, "the end of the member"); err != nil {
		t.Errorf("member: %v", err)
	}
}
