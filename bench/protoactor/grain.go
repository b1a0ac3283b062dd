package protoactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/cluster/clusterproviders/test"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/bench/protoactor/counterpb"
)

const (
	// idleTimeout is GoVerse's default; the generator's own is 60 s.
	idleTimeout = 15 * time.Minute
	// plainKind is the grain without generated code, generatedKind the name that the generator gives its own.
	plainKind     = "PlainCounter"
	generatedKind = "Counter"
	probeName     = "probe"
	joinTimeout   = 20 * time.Second
)

// Grain is a grain of a one-member cluster, called through the client that protoc-gen-go-grain writes. The
// request crosses as bytes, the reply is shared.
func Grain() peer.Peer { return grain{generated: true} }

// GrainRequest is the same grain by cluster.Request, without generated code: both messages are shared.
func GrainRequest() peer.Peer { return grain{} }

type grain struct{ generated bool }

func (g grain) Name() string {
	if g.generated {
		return "protoactor grain"
	}
	return "protoactor cluster.Request"
}

func (grain) Module() string { return modulePath }

func (g grain) Open(ctx context.Context, opt peer.Options) (peer.Target, error) {
	release := make(chan struct{})
	generated := counterpb.NewCounterKind(func() counterpb.Counter { return &counterGrain{release: release} }, idleTimeout)
	plain := cluster.NewKind(plainKind, actor.PropsFromProducer(func() actor.Actor { return &counterActor{} }))
	provider := test.NewTestProvider(test.NewInMemAgent())
	c := cluster.New(newSystem(), cluster.Configure("bench", provider, disthash.New(), remote.Configure("localhost", 0),
		cluster.WithKinds(generated, plain), cluster.WithRequestTimeout(requestTimeout)))
	c.StartMember()
	base := grainTarget{cluster: c, provider: provider, names: peer.NewNames("Counter-", opt)}
	if err := base.join(ctx); err != nil {
		return nil, errors.Join(err, base.Close(ctx))
	}
	if g.generated {
		return &generatedTarget{grainTarget: base, release: release}, nil
	}
	return &requestTarget{grainTarget: base}, nil
}

// grainTarget is what the two ways to call a grain share.
type grainTarget struct {
	cluster  *cluster.Cluster
	provider *test.Provider
	names    peer.Names
}

// join waits until the member answers: until its own topology has arrived, it knows no owner for any grain.
func (t *grainTarget) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := value(t.cluster.Request(probeName, plainKind, peer.NewRequest()))
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("join cluster: %w", err)
		}
	}
}

// Context returns ctx: a grain call takes none.
func (t *grainTarget) Context(ctx context.Context) context.Context { return ctx }

// Close stops the member at once: a graceful shutdown poisons every grain in turn.
func (t *grainTarget) Close(context.Context) error {
	err := t.provider.Shutdown(false)
	t.cluster.Shutdown(false)
	return err
}

type requestTarget struct{ grainTarget }

func (t *requestTarget) Call(_ context.Context, _, object int) (int64, error) {
	return value(t.cluster.Request(t.names.At(object), plainKind, peer.NewRequest()))
}

// Hold occupies object 0 until ctx ends.
func (t *requestTarget) Hold(ctx context.Context) {
	_, _ = t.cluster.Request(t.names.At(0), plainKind, &holdRequest{release: ctx.Done()})
}

type generatedTarget struct {
	grainTarget

	release chan struct{}
}

func (t *generatedTarget) Call(_ context.Context, _, object int) (int64, error) {
	resp, err := counterpb.GetCounterGrainClient(t.cluster, t.names.At(object)).Add(peer.NewRequest())
	return resp.GetValue(), err
}

// Hold occupies object 0 until ctx ends.
func (t *generatedTarget) Hold(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { close(t.release) })
	defer stop()
	_, _ = counterpb.GetCounterGrainClient(t.cluster, t.names.At(0)).Hold(peer.NewRequest())
}

// counterGrain is the grain that the generated code drives.
type counterGrain struct {
	counter peer.Counter
	release <-chan struct{}
}

func (g *counterGrain) Init(cluster.GrainContext)           {}
func (g *counterGrain) Terminate(cluster.GrainContext)      {}
func (g *counterGrain) ReceiveDefault(cluster.GrainContext) {}

func (g *counterGrain) Add(req *benchpb.AddRequest, _ cluster.GrainContext) (*benchpb.AddResponse, error) {
	return g.counter.Add(req)
}

func (g *counterGrain) Hold(*benchpb.AddRequest, cluster.GrainContext) (*benchpb.AddResponse, error) {
	<-g.release
	return &benchpb.AddResponse{}, nil
}
