// Package goverse benchmarks GoVerse through its public API, as an application embeds it: one server with an
// in-process coordinator, nothing kept on disk, every object on that server.
//
// The server owns its goroutines and ends them in Close.
package goverse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
	"github.com/xiaonanln/goverse/goverseapi"
)

const modulePath = "github.com/xiaonanln/goverse"

var errReply = errors.New("the object did not answer with an AddResponse")

// Default is GoVerse without any option: methods found by reflection and called by name, messages isolated.
func Default() peer.Peer { return choice{} }

// Shared is GoVerse with a typed thunk for the method and messages shared between caller and object, called
// by method expression.
func Shared() peer.Peer { return choice{shared: true} }

type choice struct{ shared bool }

func (c choice) Name() string {
	if c.shared {
		return "goverse shared+thunks"
	}
	return "goverse"
}

func (choice) Module() string { return modulePath }

func (c choice) Open(ctx context.Context, opt peer.Options) (peer.Target, error) {
	registry := goverseapi.NewRegistry()
	if err := c.register(registry); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	server := goverseapi.NewServer(&goverseapi.ServerConfig{
		ListenAddress: "localhost:0", Registry: registry, Logger: slog.New(slog.DiscardHandler),
		Etcd: []string{"memory:"}, Cluster: rand.Text(), // it meets no other
	})
	if err := server.Start(ctx); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	base := target{server: server}
	if c.shared {
		base.names = peer.NewNames("SharedCounter-", opt)
		return &sharedTarget{target: base}, nil
	}
	base.names = peer.NewNames("Counter-", opt)
	return &defaultTarget{target: base}, nil
}

func (c choice) register(registry *goverseapi.Registry) error {
	if c.shared {
		return registry.RegisterObjectType((*SharedCounter)(nil), goverseapi.ShareMessages(),
			goverseapi.Methods(goverseapi.Method((*SharedCounter).Add), goverseapi.Method((*SharedCounter).Hold)))
	}
	return registry.RegisterObjectType((*Counter)(nil))
}

// Counter is the object, as a user writes it.
type Counter struct {
	goverseapi.BaseObject

	counter peer.Counter
}

// Add adds to the counter.
func (c *Counter) Add(_ context.Context, req *benchpb.AddRequest) (*benchpb.AddResponse, error) {
	return c.counter.Add(req)
}

// Hold keeps the turn until the call is given up.
func (c *Counter) Hold(ctx context.Context, _ *benchpb.AddRequest) (*benchpb.AddResponse, error) {
	<-ctx.Done()
	return &benchpb.AddResponse{}, nil
}

// SharedCounter is the same object under another type name, registered with options.
type SharedCounter struct {
	goverseapi.BaseObject

	counter peer.Counter
}

// Add adds to the counter.
func (c *SharedCounter) Add(_ context.Context, req *benchpb.AddRequest) (*benchpb.AddResponse, error) {
	return c.counter.Add(req)
}

// Hold keeps the turn until the call is given up.
func (c *SharedCounter) Hold(ctx context.Context, _ *benchpb.AddRequest) (*benchpb.AddResponse, error) {
	<-ctx.Done()
	return &benchpb.AddResponse{}, nil
}

// target is what both choices share.
type target struct {
	server *goverseapi.Server
	names  peer.Names
}

// Context points the package functions of goverseapi at the target's server.
func (t *target) Context(ctx context.Context) context.Context { return t.server.Context(ctx) }

// Close stops the server.
func (t *target) Close(ctx context.Context) error {
	return t.server.Stop(ctx)
}

type defaultTarget struct{ target }

func (t *defaultTarget) Call(ctx context.Context, _, object int) (int64, error) {
	reply, err := goverseapi.CallObject(ctx, t.names.At(object), "Add", peer.NewRequest())
	if err != nil {
		return 0, err
	}
	resp, ok := reply.(*benchpb.AddResponse)
	if !ok {
		return 0, errReply
	}
	return resp.GetValue(), nil
}

// Hold occupies object 0 until ctx ends. Its error is that ctx has ended.
func (t *defaultTarget) Hold(ctx context.Context) {
	_, _ = goverseapi.CallObject(ctx, t.names.At(0), "Hold", peer.NewRequest())
}

type sharedTarget struct{ target }

func (t *sharedTarget) Call(ctx context.Context, _, object int) (int64, error) {
	resp, err := goverseapi.Invoke(ctx, t.names.At(object), (*SharedCounter).Add, peer.NewRequest())
	return resp.GetValue(), err
}

// Hold occupies object 0 until ctx ends. Its error is that ctx has ended.
func (t *sharedTarget) Hold(ctx context.Context) {
	_, _ = goverseapi.Invoke(ctx, t.names.At(0), (*SharedCounter).Hold, peer.NewRequest())
}
