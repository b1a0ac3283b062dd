// Package measure runs one workload on one peer and returns the numbers.
//
// What it promises: the time of throughput runs has no clock reading inside; latencies come from a run of their
// own; every answer is looked at, and afterwards the counters must add up to the calls made, so a peer that
// loses or repeats a call fails instead of being fast.
//
// The callers are goroutines of the run that starts them, which waits for all of them before it returns.
package measure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// Workload is how many callers call how many objects. Each caller picks its objects by its own fixed random
// sequence and makes its next call when the one before has been answered.
type Workload struct {
	Callers int
	Objects int
}

// String is "64 callers, 10000 objects".
func (w Workload) String() string {
	return plural(w.Callers, "caller") + ", " + plural(w.Objects, "object")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Sample is one repetition of one workload on one peer.
type Sample struct {
	Peer     string
	Workload Workload
	// Calls were answered in Wall, by CPU seconds of user and system time of the whole process (0: unknown).
	Calls int64
	Wall  time.Duration
	CPU   time.Duration
	// Mallocs and Bytes were allocated by the process while the calls were made, and GCs collections ended.
	Mallocs uint64
	Bytes   uint64
	GCs     uint32
	// LeastCalls and MostCalls are those of the caller with the fewest and the most.
	LeastCalls int64
	MostCalls  int64
	// P50, P99 and Max are latencies of the latency run, which is not the run of the numbers above.
	P50, P99, Max time.Duration
}

// Budget bounds a repetition.
type Budget struct {
	// Warm is for calls before anything counts, Throughput and Latency for the two runs.
	Warm, Throughput, Latency time.Duration
}

// Bench measures.
type Bench struct {
	// Now reads the clock.
	Now func() time.Time
	// Budget bounds each repetition.
	Budget Budget
}

// Calls opens a target, activates its objects, and measures the workloads on it, in order. An error is a call
// that failed, a wrong answer, or a target that did not open or close.
func (b Bench) Calls(ctx context.Context, p peer.Peer, workloads ...Workload) (samples []Sample, err error) {
	var opt peer.Options
	for _, w := range workloads {
		opt.Objects, opt.Callers = max(opt.Objects, w.Objects), max(opt.Callers, w.Callers)
	}
	target, err := p.Open(ctx, opt)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p.Name(), err)
	}
	defer func() { err = errors.Join(err, target.Close(ctx)) }()
	made := int64(opt.Objects)
	if err := activate(ctx, target, 1, opt.Objects); err != nil {
		return nil, fmt.Errorf("activate objects of %s: %w", p.Name(), err)
	}
	for _, w := range workloads {
		s, calls, err := b.sample(ctx, target, w)
		if err != nil {
			return nil, fmt.Errorf("measure %s with %s: %w", p.Name(), w, err)
		}
		s.Peer = p.Name()
		samples, made = append(samples, s), made+calls
	}
	if err := audit(ctx, target, opt.Objects, made); err != nil {
		return nil, fmt.Errorf("audit %s: %w", p.Name(), err)
	}
	return samples, nil
}

// sample measures one workload and returns how many calls it made altogether.
func (b Bench) sample(ctx context.Context, target peer.Target, w Workload) (Sample, int64, error) {
	warm, err := b.run(ctx, target, w, b.Budget.Warm, nil)
	if err != nil {
		return Sample{}, 0, err
	}
	s, err := b.run(ctx, target, w, b.Budget.Throughput, nil)
	if err != nil {
		return Sample{}, 0, err
	}
	var latencies Histogram
	timed, err := b.run(ctx, target, w, b.Budget.Latency, &latencies)
	if err != nil {
		return Sample{}, 0, err
	}
	s.P50, s.P99, s.Max = latencies.Quantile(0.5), latencies.Quantile(0.99), latencies.Max()
	return s, warm.Calls + s.Calls + timed.Calls, nil
}

// run lets the callers call for a time. With a histogram every call is timed.
func (b Bench) run(ctx context.Context, target peer.Target, w Workload, d time.Duration, into *Histogram) (Sample, error) {
	var (
		start   = make(chan struct{})
		stop    atomic.Bool
		ready   sync.WaitGroup
		done    sync.WaitGroup
		callers = make([]caller, w.Callers)
	)
	ready.Add(w.Callers)
	for i := range callers {
		c := &callers[i]
		*c = caller{target: target, id: i, objects: uint64(w.Objects), seed: uint64(i)*0x9e3779b97f4a7c15 + 1}
		if into != nil {
			c.latencies, c.now = &Histogram{}, b.Now
		}
		done.Go(func() {
			ctx := target.Context(ctx)
			ready.Done()
			<-start
			c.call(ctx, &stop)
		})
	}
	ready.Wait()
	before := ReadUsage()
	from := b.Now()
	close(start)
	err := sleep(ctx, d)
	stop.Store(true)
	done.Wait()
	wall := b.Now().Sub(from)
	return summarise(w, wall, before, ReadUsage(), callers, into), errors.Join(err, failure(callers))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func summarise(w Workload, wall time.Duration, before, after Usage, callers []caller, into *Histogram) Sample {
	used := after.Minus(before)
	s := Sample{
		Workload: w, Wall: wall, CPU: used.CPU, Mallocs: used.Mallocs, Bytes: used.Bytes, GCs: used.GCs,
		LeastCalls: callers[0].calls,
	}
	for i := range callers {
		c := &callers[i]
		s.Calls += c.calls
		s.LeastCalls, s.MostCalls = min(s.LeastCalls, c.calls), max(s.MostCalls, c.calls)
		if into != nil {
			into.Merge(c.latencies)
		}
	}
	return s
}

// audit reads every counter by one more call: together they must show all the calls that were made.
func audit(ctx context.Context, target peer.Target, objects int, made int64) error {
	ctx = target.Context(ctx)
	var sum int64
	for i := range objects {
		v, err := target.Call(ctx, 0, i)
		if err != nil {
			return fmt.Errorf("read object %d: %w", i, err)
		}
		sum += v - 1
	}
	if sum != made {
		return fmt.Errorf("the counters show %d calls, but %d were made", sum, made)
	}
	return nil
}
