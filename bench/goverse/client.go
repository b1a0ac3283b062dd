package goverse

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/goverseapi"
)

// Relayed is a client whose object calls an object on another node: three processes. All callers are on the one client;
// its object's type is Concurrent.
func Relayed(via Via) peer.Remote { return clientPeer{via: via, relayed: true} }

// Own is a client whose object answers itself: two processes.
func Own(via Via) peer.Remote { return clientPeer{via: via} }

// Via is how a client calls.
type Via int

// The ways of clients to call.
const (
	// ViaSession is the project's Go client.
	ViaSession Via = iota
	// ViaCall is the unary rpc that clients in other languages use, called by what protoc-gen-go-grpc generates.
	ViaCall
)

type clientPeer struct {
	via     Via
	relayed bool
}

func (p clientPeer) Name() string {
	name := "client Session"
	if p.via == ViaCall {
		name = "client unary Call"
	}
	if p.relayed {
		return name + " relayed"
	}
	return name
}

func (clientPeer) Module() string { return modulePath }

func (p clientPeer) Servers() int {
	if p.relayed {
		return 2
	}
	return 1
}

// MostCallers is how many may call at once on one client.
func (clientPeer) MostCallers() int { return 512 }

func (p clientPeer) Serve(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Server, error) {
	if len(before) == 0 {
		return firstNode(ctx, opt.Short, !p.relayed)
	}
	return nextNode(ctx, before[0], true)
}

func (p clientPeer) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	first, err := readMeeting(before[0])
	if err != nil {
		return nil, err
	}
	last, err := readMeeting(before[len(before)-1])
	if err != nil {
		return nil, err
	}
	l, err := dial(ctx, last.Client, p.via)
	if err != nil {
		return nil, fmt.Errorf("connect client: %w", err)
	}
	d := &clientDriver{line: l, process: first.Process, stamps: peer.NewStamps(opt.Callers)}
	d.stamps.Resize(peer.StampBytes)
	if !p.relayed {
		return &ownDriver{d}, nil
	}
	if d.ids, err = findThere(ctx, "Tally-", opt.Objects, d.there); err != nil {
		return nil, errors.Join(err, d.Close(ctx))
	}
	return &relayDriver{d}, nil
}

// Caller is the client's object, as a user writes it.
type Caller struct {
	goverseapi.BaseClient

	calls atomic.Int64
}

// Bump answers by itself.
func (c *Caller) Bump(_ context.Context, req *benchpb.BumpRequest) (*benchpb.BumpResponse, error) {
	return &benchpb.BumpResponse{Value: c.calls.Add(1), Payload: req.GetPayload()}, nil
}

// Relay calls an object and passes its answer on.
func (c *Caller) Relay(ctx context.Context, req *benchpb.RelayRequest) (*benchpb.BumpResponse, error) {
	return goverseapi.Call[*benchpb.BumpResponse](ctx, req.GetObject(), "Bump", &benchpb.BumpRequest{Payload: req.GetPayload()})
}

// Where asks an object where it lives.
func (c *Caller) Where(ctx context.Context, req *benchpb.RelayRequest) (*benchpb.BumpResponse, error) {
	return goverseapi.Call[*benchpb.BumpResponse](ctx, req.GetObject(), "Where", &benchpb.BumpRequest{})
}

// clientDriver is a client in the driver's process.
type clientDriver struct {
	line    line
	process int64 // that the objects live in
	ids     []string
	stamps  *peer.Stamps
}

func (d *clientDriver) Context(ctx context.Context) context.Context { return ctx }

func (d *clientDriver) Resize(payload int) { d.stamps.Resize(payload) }

func (d *clientDriver) Close(context.Context) error { return d.line.close() }

func (d *clientDriver) there(ctx context.Context, id string) (bool, error) {
	resp, err := d.line.call(ctx, "Where", &benchpb.RelayRequest{Object: id})
	return resp.GetValue() == d.process, err
}

// answer checks what came back to a caller.
func (d *clientDriver) answer(caller int, resp *benchpb.BumpResponse, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return resp.GetValue(), d.stamps.Check(caller, resp.GetPayload())
}

type relayDriver struct{ *clientDriver }

func (d *relayDriver) Call(ctx context.Context, caller, object int) (int64, error) {
	resp, err := d.line.call(ctx, "Relay", &benchpb.RelayRequest{Object: d.ids[object], Payload: d.stamps.Next(caller)})
	return d.answer(caller, resp, err)
}

// Audit implements [peer.Auditor].
func (d *relayDriver) Audit(ctx context.Context, made int64) error {
	return auditThere(ctx, d.ids, made, d.there, d.Call)
}

type ownDriver struct{ *clientDriver }

func (d *ownDriver) Call(ctx context.Context, caller, _ int) (int64, error) {
	resp, err := d.line.call(ctx, "Bump", &benchpb.BumpRequest{Payload: d.stamps.Next(caller)})
	return d.answer(caller, resp, err)
}

// Audit implements [peer.Auditor].
func (d *ownDriver) Audit(ctx context.Context, made int64) error {
	v, err := d.Call(ctx, 0, 0)
	if err == nil && v != made+1 {
		err = fmt.Errorf("the client's object shows %d calls, but %d were made", v-1, made)
	}
	return err
}
