package goverse

import (
	"context"
	"errors"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/goverseapi"
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

func (pair) Serve(ctx context.Context, _ []string, opt peer.RemoteOptions) (peer.Server, error) {
	return firstNode(ctx, opt.Short, false)
}

func (p pair) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	m, err := readMeeting(before[0])
	if err != nil {
		return nil, err
	}
	server, err := startNode(ctx, goverseapi.ServerConfig{Etcd: []string{m.Etcd}, Cluster: m.Cluster, Shards: m.Shards})
	if err != nil {
		return nil, err
	}
	d := &driver{server: server, process: m.Process, stamps: peer.NewStamps(opt.Callers)}
	d.stamps.Resize(peer.StampBytes)
	prefix := "Tally-"
	if p.shared {
		prefix = "SharedTally-"
	}
	there := func(ctx context.Context, id string) (bool, error) { return d.there(server.Context(ctx), id) }
	if d.ids, err = findThere(ctx, prefix, opt.Objects, there); err != nil {
		return nil, errors.Join(err, d.Close(ctx))
	}
	if p.shared {
		return &sharedDriver{d}, nil
	}
	return &defaultDriver{d}, nil
}

// driver is the calling node. Its objects are those of the other node, by what they say themselves.
type driver struct {
	server  *goverseapi.Server
	process int64 // the other node's
	ids     []string
	stamps  *peer.Stamps
}

// there asks an object whether it lives on the other node.
func (d *driver) there(ctx context.Context, id string) (bool, error) {
	resp, err := goverseapi.Call[*benchpb.BumpResponse](ctx, id, "Where", &benchpb.BumpRequest{})
	return resp.GetValue() == d.process, err
}

func (d *driver) Context(ctx context.Context) context.Context { return d.server.Context(ctx) }

func (d *driver) Resize(payload int) { d.stamps.Resize(payload) }

func (d *driver) Close(ctx context.Context) error { return d.server.Stop(ctx) }

// audit asks the objects where they are and what they have counted.
func (d *driver) audit(ctx context.Context, made int64, bump func(ctx context.Context, caller, object int) (int64, error)) error {
	return auditThere(d.server.Context(ctx), d.ids, made, d.there, bump)
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
