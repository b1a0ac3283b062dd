package measure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// Activation is one repetition of the first call to many objects.
type Activation struct {
	Peer    string
	Objects int
	Callers int
	// Wall and CPU (0: unknown) are the time until every object had answered its first call.
	Wall time.Duration
	CPU  time.Duration
	// HeapBytes and StackBytes are what was live after garbage collection more than before the first call,
	// for each object, its name and its state included. ResidentBytes is the same of the process as the
	// operating system sees it, after freed memory was returned (0: unknown).
	HeapBytes, StackBytes, ResidentBytes float64
	// Goroutines are how many more there were, altogether.
	Goroutines int
}

// Activations opens a target, lets the callers make the first call to every object, and weighs what remains.
func (b Bench) Activations(ctx context.Context, p peer.Peer, callers, objects int) (a Activation, err error) {
	target, err := p.Open(ctx, peer.Options{Objects: objects, Callers: callers, Transient: true})
	if err != nil {
		return Activation{}, fmt.Errorf("open %s: %w", p.Name(), err)
	}
	defer func() { err = errors.Join(err, target.Close(ctx)) }()
	weight := Weigh()
	before, from := ReadUsage(), b.Now()
	if err := activate(ctx, target, callers, objects); err != nil {
		return Activation{}, fmt.Errorf("activate objects of %s: %w", p.Name(), err)
	}
	wall, after := b.Now().Sub(from), ReadUsage()
	grown := Weigh()
	each := func(after, before int64) float64 { return float64(after-before) / float64(objects) }
	return Activation{
		Peer: p.Name(), Objects: objects, Callers: callers, Wall: wall, CPU: after.CPU - before.CPU,
		HeapBytes:     each(grown.Heap, weight.Heap),
		StackBytes:    each(grown.Stacks, weight.Stacks),
		ResidentBytes: each(grown.Resident, weight.Resident),
		Goroutines:    grown.Goroutines - weight.Goroutines,
	}, nil
}

// activate makes the first call to every object: callers share them out, and each answer must be 1.
func activate(ctx context.Context, target peer.Target, callers, objects int) error {
	var done sync.WaitGroup
	errs := make([]error, callers)
	for i := range callers {
		done.Go(func() {
			ctx := target.Context(ctx)
			for object := i; object < objects && errs[i] == nil; object += callers {
				errs[i] = first(ctx, target, i, object)
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

func first(ctx context.Context, target peer.Target, caller, object int) error {
	v, err := target.Call(ctx, caller, object)
	if err != nil {
		return fmt.Errorf("call object %d: %w", object, err)
	}
	if v != 1 {
		return fmt.Errorf("object %d answered its first call with %d", object, v)
	}
	return nil
}
