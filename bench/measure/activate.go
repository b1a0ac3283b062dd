package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
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
	weight := weigh()
	before, from := ReadUsage(), b.Now()
	if err := activate(ctx, target, callers, objects); err != nil {
		return Activation{}, fmt.Errorf("activate objects of %s: %w", p.Name(), err)
	}
	wall, after := b.Now().Sub(from), ReadUsage()
	grown := weigh()
	each := func(after, before int64) float64 { return float64(after-before) / float64(objects) }
	return Activation{
		Peer: p.Name(), Objects: objects, Callers: callers, Wall: wall, CPU: after.CPU - before.CPU,
		HeapBytes:     each(grown.heap, weight.heap),
		StackBytes:    each(grown.stacks, weight.stacks),
		ResidentBytes: each(grown.resident, weight.resident),
		Goroutines:    grown.goroutines - weight.goroutines,
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

// weight is what the process holds.
type weight struct {
	heap, stacks, resident int64
	goroutines             int
}

func weigh() weight {
	runtime.GC()
	debug.FreeOSMemory() // collects once more, so that pools are empty too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return weight{
		heap: int64(m.HeapAlloc), stacks: int64(m.StackInuse), resident: resident(),
		goroutines: runtime.NumGoroutine(),
	}
}

// resident is the process's resident set in bytes, or 0 where /proc does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
