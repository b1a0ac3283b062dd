package measure

import (
	"context"
	"time"

	"github.com/xiaonanln/goverse/bench/peer"
)

// Drive is what the callers of one process did in one run, and what that process consumed.
type Drive struct {
	Calls int64
	Wall  time.Duration
	Usage Usage
	// P50, P99, P999 and Max are latencies, where the run was timed.
	P50, P99, P999, Max time.Duration
	// Late is how late 99 % of the calls of a run at a fixed rate were handed out, at most.
	Late time.Duration
}

// Drive lets callers call an open target for d. Timed, the clock is read before and after every call. The error is a call
// that failed or a wrong answer.
func (b Bench) Drive(ctx context.Context, target peer.Target, w Workload, d time.Duration, timed bool) (Drive, error) {
	var latencies *Histogram
	if timed {
		latencies = &Histogram{}
	}
	s, err := b.run(ctx, target, w, d, latencies)
	out := Drive{Calls: s.Calls, Wall: s.Wall, Usage: Usage{CPU: s.CPU, Mallocs: s.Mallocs, Bytes: s.Bytes, GCs: s.GCs}}
	if timed {
		out.setLatencies(latencies)
	}
	return out, err
}

func (d *Drive) setLatencies(h *Histogram) {
	d.P50, d.P99, d.P999, d.Max = h.Quantile(0.5), h.Quantile(0.99), h.Quantile(0.999), h.Max()
}
