package goverse

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/goverseapi"
)

const (
	// settleTimeout bounds how long a cluster of two may take to share out its shards.
	settleTimeout = 60 * time.Second
	settlePause   = 300 * time.Millisecond
	// leaseTTL is long: on a machine that has far too much to do for a while, nobody shall be taken for dead.
	leaseTTL = time.Minute
	// sampled is how many names are looked at to see where objects are.
	sampled = 512
)

// Pair is two nodes of one cluster, each a process, with a real embedded etcd in the one that is called. Without
// sharing, methods are found by reflection and called by name; with it, as in [Shared].
func Pair(shared bool) peer.Remote { return pair{shared: shared} }

type pair struct{ shared bool }

func (p pair) Name() string {
	if p.shared {
		return "goverse shared+thunks"
	}
	return "goverse"
}

func (pair) Module() string { return modulePath }
func (pair) Servers() int   { return 1 }

// meeting is where a cluster meets, and who answers there.
type meeting struct {
	Etcd    string
	Cluster string
	Process int64
}

func (p pair) Serve(ctx context.Context, _ []string) (peer.Server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gvbench")
	if err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	m := meeting{Etcd: address, Cluster: "bench-" + rand.Text(), Process: int64(os.Getpid())}
	server, err := p.start(ctx, goverseapi.ServerConfig{Etcd: []string{"embedded:" + m.Etcd}, DataDir: dir, Cluster: m.Cluster})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("tell address: %w", err)
	}
	return &node{server: server, dir: dir, tell: string(text)}, nil
}

// start starts a server with the two types. It is the same on both nodes.
func (p pair) start(ctx context.Context, config goverseapi.ServerConfig) (*goverseapi.Server, error) {
	registry := goverseapi.NewRegistry()
	err := errors.Join(
		registry.RegisterObjectType((*Tally)(nil)),
		registry.RegisterObjectType((*SharedTally)(nil), goverseapi.ShareMessages(),
			goverseapi.Methods(goverseapi.Method((*SharedTally).Bump), goverseapi.Method((*SharedTally).Where))))
	if err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	config.ListenAddress, config.Registry, config.LeaseTTL = "localhost:0", registry, leaseTTL
	config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server := goverseapi.NewServer(&config)
	if err := server.Start(ctx); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	return server, nil
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return lis.Addr().String(), lis.Close()
}

// node is the called node.
type node struct {
	server *goverseapi.Server
	dir    string
	tell   string
}

func (n *node) Tell() string { return n.tell }

func (n *node) Close(ctx context.Context) error {
	return errors.Join(n.server.Stop(ctx), os.RemoveAll(n.dir))
}

func (p pair) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	var m meeting
	if err := json.Unmarshal([]byte(before[0]), &m); err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	server, err := p.start(ctx, goverseapi.ServerConfig{Etcd: []string{m.Etcd}, Cluster: m.Cluster})
	if err != nil {
		return nil, err
	}
	d := &driver{server: server, process: m.Process, stamps: peer.NewStamps(opt.Callers)}
	d.stamps.Resize(peer.StampBytes)
	prefix := "Tally-"
	if p.shared {
		prefix = "SharedTally-"
	}
	if err := d.find(server.Context(ctx), prefix, opt.Objects); err != nil {
		return nil, errors.Join(err, d.Close(ctx))
	}
	if p.shared {
		return &sharedDriver{d}, nil
	}
	return &defaultDriver{d}, nil
}

// Tally is the object, as a user writes it.
type Tally struct {
	goverseapi.BaseObject

	tally peer.Tally
}

// Bump adds one and sends the payload back.
func (t *Tally) Bump(_ context.Context, req *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return t.tally.Bump(req), nil
}

// Where answers with the process that the object lives in.
func (t *Tally) Where(context.Context, *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return &benchpb.BumpResponse{Value: int64(os.Getpid())}, nil
}

// SharedTally is the same object under another type name, registered with options.
type SharedTally struct {
	goverseapi.BaseObject

	tally peer.Tally
}

// Bump adds one and sends the payload back.
func (t *SharedTally) Bump(_ context.Context, req *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return t.tally.Bump(req), nil
}

// Where answers with the process that the object lives in.
func (t *SharedTally) Where(context.Context, *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return &benchpb.BumpResponse{Value: int64(os.Getpid())}, nil
}

// driver is the calling node. Its objects are those of the other node, by what they say themselves.
type driver struct {
	server  *goverseapi.Server
	process int64 // the other node's
	ids     []string
	stamps  *peer.Stamps
}

// find waits until the cluster has shared out its shards and picks objects that live on the other node.
func (d *driver) find(ctx context.Context, prefix string, objects int) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := d.settle(ctx, prefix); err != nil {
		return err
	}
	for i := 0; len(d.ids) < objects; i++ {
		id := prefix + strconv.Itoa(i)
		there, err := d.there(ctx, id)
		if err != nil {
			return fmt.Errorf("look where %s is: %w", id, err)
		}
		if there {
			d.ids = append(d.ids, id)
		}
	}
	return nil
}

// settle waits until a third of the sample lives on this node at least and nothing has moved for a while.
func (d *driver) settle(ctx context.Context, prefix string) error {
	again := time.NewTicker(settlePause)
	defer again.Stop()
	var last string
	for {
		here := 0
		places := make([]byte, sampled)
		for i := range places {
			there, err := d.there(ctx, prefix+"sample"+strconv.Itoa(i))
			if err != nil {
				return fmt.Errorf("wait for the cluster to settle: %w", err)
			}
			if !there {
				here++
				places[i] = 1
			}
		}
		if here >= sampled/3 && string(places) == last {
			return nil
		}
		last = string(places)
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the cluster to settle: %d of %d objects are here: %w", here, sampled, ctx.Err())
		}
	}
}

// there asks an object whether it lives on the other node.
func (d *driver) there(ctx context.Context, id string) (bool, error) {
	resp, err := goverseapi.Call[*benchpb.BumpResponse](ctx, id, "Where", &benchpb.BumpRequest{})
	return resp.GetValue() == d.process, err
}

func (d *driver) Context(ctx context.Context) context.Context { return d.server.Context(ctx) }

func (d *driver) Resize(payload int) { d.stamps.Resize(payload) }

func (d *driver) Close(ctx context.Context) error { return d.server.Stop(ctx) }

// audit asks every object where it lives, and its counter by one more call: an object that has moved has forgotten its
// calls, and one that was called here shows it.
func (d *driver) audit(ctx context.Context, made int64, bump func(ctx context.Context, caller, object int) (int64, error)) error {
	ctx = d.server.Context(ctx)
	var sum int64
	for i, id := range d.ids {
		there, err := d.there(ctx, id)
		if err != nil {
			return fmt.Errorf("look where %s is: %w", id, err)
		}
		if !there {
			return fmt.Errorf("%s has left the other node while it was measured", id)
		}
		v, err := bump(ctx, 0, i)
		if err != nil {
			return fmt.Errorf("read %s: %w", id, err)
		}
		sum += v - 1
	}
	if sum != made {
		return fmt.Errorf("the counters show %d calls, but %d were made", sum, made)
	}
	return nil
}

type defaultDriver struct{ *driver }

func (d *defaultDriver) Call(ctx context.Context, caller, object int) (int64, error) {
	reply, err := goverseapi.CallObject(ctx, d.ids[object], "Bump", &benchpb.BumpRequest{Payload: d.stamps.Next(caller)})
	if err != nil {
		return 0, err
	}
	resp, ok := reply.(*benchpb.BumpResponse)
	if !ok {
		return 0, errReply
	}
	return resp.GetValue(), d.stamps.Check(caller, resp.GetPayload())
}

// Audit implements [peer.Auditor].
func (d *defaultDriver) Audit(ctx context.Context, made int64) error {
	return d.audit(ctx, made, d.Call)
}

type sharedDriver struct{ *driver }

func (d *sharedDriver) Call(ctx context.Context, caller, object int) (int64, error) {
	resp, err := goverseapi.Invoke(ctx, d.ids[object], (*SharedTally).Bump, &benchpb.BumpRequest{Payload: d.stamps.Next(caller)})
	if err != nil {
		return 0, err
	}
	return resp.GetValue(), d.stamps.Check(caller, resp.GetPayload())
}

// Audit implements [peer.Auditor].
func (d *sharedDriver) Audit(ctx context.Context, made int64) error {
	return d.audit(ctx, made, d.Call)
}
