package measure

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// caller is one goroutine of a run. Its fields are read by the run when the goroutine has ended.
type caller struct {
	target    peer.Target
	id        int
	objects   uint64
	seed      uint64
	latencies *Histogram       // nil: calls are not timed
	now       func() time.Time // set with latencies
	calls     int64
	err       error
}

// call calls until told to stop or until a call fails, at least once. It keeps what changes in local variables, so that
// callers do not write to each other's cache lines.
func (c *caller) call(ctx context.Context, stop *atomic.Bool) {
	var (
		calls int64
		last  int64
		next  = sequence{state: c.seed}
		err   error
	)
	for more := true; more; more = err == nil && !stop.Load() {
		var v int64
		object := next.below(c.objects)
		if c.latencies == nil {
			v, err = c.target.Call(ctx, c.id, object)
		} else {
			from := c.now()
			v, err = c.target.Call(ctx, c.id, object)
			c.latencies.Add(c.now().Sub(from))
		}
		if err == nil && v <= last {
			err = fmt.Errorf("object %d answered %d after %d", object, v, last)
		}
		if c.objects == 1 {
			last = v
		}
		calls++
	}
	c.calls, c.err = calls, err
}

// failure joins the callers' errors, the first few of them.
func failure(callers []caller) error {
	const enough = 3
	var errs []error
	for i := range callers {
		if callers[i].err != nil && len(errs) < enough {
			errs = append(errs, fmt.Errorf("caller %d: %w", i, callers[i].err))
		}
	}
	return errors.Join(errs...)
}

// sequence is xorshift64*: the same for every peer, and cheap beside a call.
type sequence struct{ state uint64 }

func (s *sequence) below(n uint64) int {
	s.state ^= s.state >> 12
	s.state ^= s.state << 25
	s.state ^= s.state >> 27
	return int((s.state * 0x2545f4914f6cdd1d) >> 33 % n)
}
