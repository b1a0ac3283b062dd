package measure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// Open makes calls at a fixed rate for d, whatever becomes of those before: each is due at a time of its own and is made
// then by a caller that has nothing to do, or else as soon as one has. Latencies count from the time at which a call was
// due, so that waiting for a slow target is part of them. Late is by how much a call was handed out after it was due.
func (b Bench) Open(ctx context.Context, target peer.Target, w Workload, rate float64, d time.Duration) (Drive, error) {
	calls := int(rate * d.Seconds())
	if calls < 1 {
		return Drive{}, fmt.Errorf("no call is due in %s at %g a second", d, rate)
	}
	p := pace{now: b.Now, interval: time.Duration(float64(time.Second) / rate), due: make(chan time.Time, calls)}
	callers := make([]openCaller, w.Callers)
	var ready, done sync.WaitGroup
	ready.Add(w.Callers)
	for i := range callers {
		c := &callers[i]
		*c = openCaller{caller: caller{
			target: target, id: i, objects: uint64(w.Objects), seed: uint64(i)*0x9e3779b97f4a7c15 + 1,
			latencies: &Histogram{}, now: b.Now,
		}}
		done.Go(func() {
			ctx := target.Context(ctx)
			ready.Done()
			c.serve(ctx, p.due)
		})
	}
	ready.Wait()
	before, from := ReadUsage(), b.Now()
	done.Go(func() { p.release(ctx, from, calls) })
	done.Wait()
	out := Drive{Wall: b.Now().Sub(from), Usage: ReadUsage().Minus(before)}
	var all Histogram
	errs := []error{ctx.Err()}
	for i := range callers {
		out.Calls += callers[i].calls
		all.Merge(callers[i].latencies)
		if len(errs) < 4 && callers[i].err != nil {
			errs = append(errs, callers[i].err)
		}
	}
	out.setLatencies(&all)
	out.Late = p.late.Quantile(0.99)
	return out, errors.Join(errs...)
}

// openCaller makes the calls that it is given.
type openCaller struct{ caller }

func (c *openCaller) serve(ctx context.Context, due <-chan time.Time) {
	next := sequence{state: c.seed}
	for at := range due {
		if c.err != nil {
			continue // let the pace go on to its end
		}
		_, c.err = c.target.Call(ctx, c.id, next.below(c.objects))
		c.latencies.Add(c.now().Sub(at))
		c.calls++
	}
}

// pace hands out calls at the times at which they are due.
type pace struct {
	now      func() time.Time
	interval time.Duration
	due      chan time.Time // room for all
	late     Histogram
}

// release hands out calls and then closes the channel. It pauses until the next one is due, and hands out all that are.
func (p *pace) release(ctx context.Context, from time.Time, calls int) {
	defer close(p.due)
	pause := pauses()
	for i := 0; i < calls && ctx.Err() == nil; {
		now := p.now()
		at := from.Add(time.Duration(i) * p.interval)
		if wait := at.Sub(now); wait > 0 {
			pause(wait)
			continue
		}
		p.late.Add(now.Sub(at))
		p.due <- at
		i++
	}
}
