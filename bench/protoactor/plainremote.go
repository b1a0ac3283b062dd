package protoactor

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

const (
	loopback     = "127.0.0.1"
	tallyKind    = "PlainTally"
	spawnTimeout = 20 * time.Second
)

// Remote is an actor of another process, asked with RequestFuture over the library's remote package, with its defaults:
// one gRPC stream in each direction, with batches of up to 1000 messages.
func Remote() peer.Remote { return plainRemote{} }

type plainRemote struct{}

func (plainRemote) Name() string   { return "protoactor remote" }
func (plainRemote) Module() string { return modulePath }
func (plainRemote) Servers() int   { return 1 }

func (plainRemote) Serve(context.Context, []string, peer.RemoteOptions) (peer.Server, error) {
	return openRemote(remote.WithKinds(remote.NewKind(tallyKind, tallyProps()))), nil
}

// openRemote starts an actor system that others can reach.
func openRemote(options ...remote.ConfigOption) *remoteSystem {
	system := newSystem()
	r := remote.NewRemote(system, remote.Configure(loopback, 0, options...))
	r.Start()
	return &remoteSystem{system: system, remote: r}
}

func tallyProps() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &tallyActor{} })
}

type remoteSystem struct {
	system *actor.ActorSystem
	remote *remote.Remote
}

func (s *remoteSystem) Tell() string { return s.system.Address() }

// Close stops at once: a graceful shutdown waits ten seconds for streams that do not end.
func (s *remoteSystem) Close(context.Context) error {
	s.remote.Shutdown(false)
	s.system.Shutdown()
	return nil
}

// tallyActor answers BumpRequest.
type tallyActor struct{ tally peer.Tally }

// Receive is called by the library with one message at a time.
func (a *tallyActor) Receive(ctx actor.Context) {
	if req, ok := ctx.Message().(*benchpb.BumpRequest); ok {
		ctx.Respond(a.tally.Bump(req))
	}
}

func (plainRemote) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	d := &remoteDriver{remoteSystem: openRemote(), tallies: newTallies(opt)}
	for i := range opt.Objects {
		resp, err := d.remote.SpawnNamed(before[0], "tally"+strconv.Itoa(i), tallyKind, spawnTimeout)
		if err != nil {
			_ = d.Close(ctx)
			return nil, fmt.Errorf("spawn actor %d: %w", i, err)
		}
		d.pids = append(d.pids, resp.GetPid())
	}
	return d, nil
}

type remoteDriver struct {
	*remoteSystem
	tallies

	pids []*actor.PID
}

func (d *remoteDriver) Call(_ context.Context, caller, object int) (int64, error) {
	req := &benchpb.BumpRequest{Payload: d.stamps.Next(caller)}
	reply, err := d.system.Root.RequestFuture(d.pids[object], req, requestTimeout).Result()
	return d.answer(caller, reply, err)
}

// Audit implements [peer.Auditor].
func (d *remoteDriver) Audit(ctx context.Context, made int64) error {
	return d.audit(ctx, made, d.Call)
}
