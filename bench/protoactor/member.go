package protoactor

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/bench/protoactor/counterpb"
)

const (
	clusterName = "bench"
	doorName    = "door"
)

// RemoteGrain is a grain on another member of a cluster of two, called through the client that protoc-gen-go-grain writes.
func RemoteGrain() peer.Remote { return memberGrain{generated: true} }

// RemoteGrainRequest is the same by cluster.Request, without generated code.
func RemoteGrainRequest() peer.Remote { return memberGrain{} }

type memberGrain struct{ generated bool }

func (g memberGrain) Name() string   { return grain(g).Name() }
func (g memberGrain) Module() string { return modulePath }
func (memberGrain) Servers() int     { return 1 }

func (memberGrain) Serve(ctx context.Context, _ []string, _ peer.RemoteOptions) (peer.Server, error) {
	m := startMember(
		counterpb.NewTallyKind(func() counterpb.Tally { return &tallyGrain{} }, idleTimeout),
		cluster.NewKind(tallyKind, tallyProps()))
	if err := m.openDoor(); err != nil {
		_ = m.Close(ctx)
		return nil, err
	}
	return m, nil
}

// member is a member of the cluster.
type member struct {
	cluster  *cluster.Cluster
	provider *roster
}

func startMember(kinds ...*cluster.Kind) *member {
	m := &member{provider: &roster{}}
	m.cluster = cluster.New(newSystem(), cluster.Configure(clusterName, m.provider, disthash.New(), remote.Configure(loopback, 0),
		cluster.WithKinds(kinds...), cluster.WithRequestTimeout(requestTimeout)))
	m.cluster.StartMember()
	return m
}

func (m *member) Tell() string { return m.cluster.ActorSystem.Address() }

// Close stops the member at once: a graceful shutdown poisons every grain in turn.
func (m *member) Close(context.Context) error {
	m.cluster.Shutdown(false)
	return nil
}

// openDoor lets another member in, which says who it is to an actor and hears who is here.
func (m *member) openDoor() error {
	_, err := m.cluster.ActorSystem.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
		if joining, ok := ctx.Message().(*cluster.Member); ok {
			m.provider.add(joining)
			ctx.Respond(m.provider.self)
		}
	}), doorName)
	if err != nil {
		return fmt.Errorf("open the door: %w", err)
	}
	return nil
}

// join knocks at another member's door until it is answered, and then until a grain answers there.
func (m *member) join(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	const patience = time.Second
	known := false
	for {
		var err error
		if !known {
			var reply any
			reply, err = m.cluster.ActorSystem.Root.RequestFuture(actor.NewPID(address, doorName), m.provider.self, patience).Result()
			if other, ok := reply.(*cluster.Member); ok && err == nil {
				m.provider.add(other)
				known = true
			}
		}
		if known {
			if _, err = m.cluster.Request(probeName, tallyKind, &benchpb.BumpRequest{}); err == nil {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("join cluster: %w", err)
		}
	}
}

// roster is a cluster provider of members who tell each other: those of the library need a server, live in one process,
// or poll over HTTP. It has no part in a call.
type roster struct {
	cluster *cluster.Cluster
	self    *cluster.Member

	mu      sync.Mutex // guards members
	members cluster.Members
}

// StartMember implements cluster.ClusterProvider.
func (r *roster) StartMember(c *cluster.Cluster) error {
	host, port, err := c.ActorSystem.GetHostPort()
	if err != nil {
		return fmt.Errorf("read own address: %w", err)
	}
	r.cluster = c
	r.self = &cluster.Member{Id: c.ActorSystem.ID, Host: host, Port: int32(port), Kinds: c.GetClusterKinds()}
	r.add(r.self)
	return nil
}

// StartClient implements cluster.ClusterProvider.
func (r *roster) StartClient(c *cluster.Cluster) error { return r.StartMember(c) }

// Shutdown implements cluster.ClusterProvider.
func (*roster) Shutdown(bool) error { return nil }

func (r *roster) add(m *cluster.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.members {
		if known.GetId() == m.GetId() {
			return
		}
	}
	r.members = append(r.members, m)
	r.cluster.MemberList.UpdateClusterTopology(r.members)
}

func (g memberGrain) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	m := startMember() // it has no kind of its own, so that every grain is the other member's
	if err := m.join(ctx, before[0]); err != nil {
		_ = m.Close(ctx)
		return nil, err
	}
	base := memberDriver{member: m, tallies: newTallies(opt)}
	for i := range opt.Objects {
		base.names = append(base.names, "tally"+strconv.Itoa(i))
	}
	if g.generated {
		d := &generatedDriver{base}
		return d, d.activate(ctx, d.Call)
	}
	d := &requestDriver{base}
	return d, d.activate(ctx, d.Call)
}

// memberDriver is what the two ways to call a grain share.
type memberDriver struct {
	*member
	tallies

	names []string
}

type requestDriver struct{ memberDriver }

func (d *requestDriver) Call(_ context.Context, caller, object int) (int64, error) {
	reply, err := d.cluster.Request(d.names[object], tallyKind, &benchpb.BumpRequest{Payload: d.stamps.Next(caller)})
	return d.answer(caller, reply, err)
}

// Audit implements [peer.Auditor].
func (d *requestDriver) Audit(ctx context.Context, made int64) error {
	return d.audit(ctx, made, d.Call)
}

type generatedDriver struct{ memberDriver }

func (d *generatedDriver) Call(_ context.Context, caller, object int) (int64, error) {
	client := counterpb.GetTallyGrainClient(d.cluster, d.names[object])
	resp, err := client.Bump(&benchpb.BumpRequest{Payload: d.stamps.Next(caller)})
	if err != nil {
		return 0, fmt.Errorf("request tally: %w", err)
	}
	return resp.GetValue(), d.stamps.Check(caller, resp.GetPayload())
}

// Audit implements [peer.Auditor].
func (d *generatedDriver) Audit(ctx context.Context, made int64) error {
	return d.audit(ctx, made, d.Call)
}

// tallyGrain is the grain that the generated code drives.
type tallyGrain struct{ tally peer.Tally }

func (g *tallyGrain) Init(cluster.GrainContext)           {}
func (g *tallyGrain) Terminate(cluster.GrainContext)      {}
func (g *tallyGrain) ReceiveDefault(cluster.GrainContext) {}

func (g *tallyGrain) Bump(req *benchpb.BumpRequest, _ cluster.GrainContext) (*benchpb.BumpResponse, error) {
	return g.tally.Bump(req), nil
}
