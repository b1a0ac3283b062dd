// Package limits holds what no runtime can beat: a method call, a mutex, a goroutine behind a channel, and
// what a call by reflection costs. They have no names, no registry, no deadlines and no errors of their own.
//
// The goroutines belong to the channel targets, which stop and wait for them in Close.
package limits

import (
	"context"
	"sync"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

// adder is called through an interface so that the compiler cannot put the messages on the stack: the limit
// allocates what every other side allocates.
type adder interface {
	Add(req *benchpb.AddRequest) (*benchpb.AddResponse, error)
}

type direct struct{}

// Direct is a method call on a struct: one caller only.
func Direct() peer.Peer { return direct{} }

func (direct) Name() string   { return "method call" }
func (direct) Module() string { return "" }

func (direct) Open(_ context.Context, opt peer.Options) (peer.Target, error) {
	t := &directTarget{objects: make([]adder, opt.Objects)}
	for i := range t.objects {
		t.objects[i] = &peer.Counter{}
	}
	return t, nil
}

type directTarget struct{ objects []adder }

func (t *directTarget) Context(ctx context.Context) context.Context { return ctx }

func (t *directTarget) Call(_ context.Context, _, object int) (int64, error) {
	resp, err := t.objects[object].Add(peer.NewRequest())
	return resp.GetValue(), err
}

func (t *directTarget) Close(context.Context) error { return nil }

type mutex struct{}

// Mutex is a struct with a mutex around its method.
func Mutex() peer.Peer { return mutex{} }

func (mutex) Name() string   { return "mutex" }
func (mutex) Module() string { return "" }

func (mutex) Open(_ context.Context, opt peer.Options) (peer.Target, error) {
	t := &mutexTarget{objects: make([]adder, opt.Objects)}
	for i := range t.objects {
		t.objects[i] = &lockedCounter{}
	}
	return t, nil
}

type lockedCounter struct {
	mu      sync.Mutex
	counter peer.Counter // guarded by mu
}

// Add is Counter.Add with the lock held.
func (c *lockedCounter) Add(req *benchpb.AddRequest) (*benchpb.AddResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counter.Add(req)
}

type mutexTarget struct{ objects []adder }

func (t *mutexTarget) Context(ctx context.Context) context.Context { return ctx }

func (t *mutexTarget) Call(_ context.Context, _, object int) (int64, error) {
	resp, err := t.objects[object].Add(peer.NewRequest())
	return resp.GetValue(), err
}

func (t *mutexTarget) Close(context.Context) error { return nil }
