// Package protoactor benchmarks github.com/asynkron/protoactor-go, used as its documentation advises: a local
// actor asked by RequestFuture, and a grain of a cluster of one member, through the client that its code
// generator writes and through cluster.Request.
//
// The library owns the goroutines. Its in-memory cluster provider leaves some behind after Close, and the
// generated code has a package variable, so a process opens one cluster target only.
package protoactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

const (
	modulePath = "github.com/asynkron/protoactor-go"
	// requestTimeout is long enough for 1024 waiting callers on a busy machine; no call of the benchmark times out.
	requestTimeout = time.Minute
)

var errReply = errors.New("the actor did not answer with an AddResponse")

// holdRequest occupies an actor until the channel is closed.
type holdRequest struct{ release <-chan struct{} }

// Actor is a local actor per object, asked with RequestFuture: protoactor-go without names, cluster or copies.
func Actor() peer.Peer { return localActor{} }

type localActor struct{}

func (localActor) Name() string   { return "protoactor actor" }
func (localActor) Module() string { return modulePath }

func (localActor) Open(_ context.Context, opt peer.Options) (peer.Target, error) {
	system := newSystem()
	return &actorTarget{
		system: system,
		props:  actor.PropsFromProducer(func() actor.Actor { return &counterActor{} }),
		pids:   make([]*actor.PID, opt.Objects),
	}, nil
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// counterActor answers AddRequest. It serves the local actor and the grain without generated code.
type counterActor struct{ counter peer.Counter }

// Receive is called by the library with one message at a time.
func (a *counterActor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *benchpb.AddRequest:
		resp, err := a.counter.Add(msg)
		if err != nil {
			ctx.Respond(err)
			return
		}
		ctx.Respond(resp)
	case *holdRequest:
		<-msg.release
		ctx.Respond(&benchpb.AddResponse{})
	}
}

type actorTarget struct {
	system *actor.ActorSystem
	props  *actor.Props
	pids   []*actor.PID // an object's entry is written by the one caller that activates it
}

func (t *actorTarget) Context(ctx context.Context) context.Context { return ctx }

func (t *actorTarget) Call(_ context.Context, _, object int) (int64, error) {
	return value(t.system.Root.RequestFuture(t.pid(object), peer.NewRequest(), requestTimeout).Result())
}

func (t *actorTarget) pid(object int) *actor.PID {
	if t.pids[object] == nil {
		t.pids[object] = t.system.Root.Spawn(t.props)
	}
	return t.pids[object]
}

// Hold occupies object 0 until ctx ends.
func (t *actorTarget) Hold(ctx context.Context) {
	_ = t.system.Root.RequestFuture(t.pid(0), &holdRequest{release: ctx.Done()}, requestTimeout).Wait()
}

func (t *actorTarget) Close(context.Context) error {
	t.system.Shutdown()
	return nil
}

// value reads a counter's answer.
func value(reply any, err error) (int64, error) {
	if err != nil {
		return 0, fmt.Errorf("request counter: %w", err)
	}
	switch r := reply.(type) {
	case *benchpb.AddResponse:
		return r.GetValue(), nil
	case error:
		return 0, fmt.Errorf("add: %w", r)
	default:
		return 0, errReply
	}
}
