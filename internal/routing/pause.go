package routing

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/xiaonanln/goverse/cluster"
)

func (t *trip) askStore(ctx context.Context, v *view) bool {
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := v.table.Refresh(limited, t.shard); err != nil {
		t.router.cfg.Logger.DebugContext(ctx, "route not refreshed", "shard", t.shard, "error", err.Error())
	}
	return ctx.Err() == nil
}

func (t *trip) pause(ctx context.Context, v *view, tried cluster.Route) outcome {
	timer := t.router.backOff(t.tries)
	defer timer.Stop()
	t.tries++
	guessing := t.wrong > 1 // the first hint is followed at once, others are no reason to hurry
	for {
		var changed <-chan struct{}
		if !guessing {
			changed = v.table.Changed()
			if p := t.find(v); p.kind != there || p.route != tried {
				return outcome{}
			}
		}
		select {
		case <-changed:
		case <-timer.C:
			return outcome{}
		case <-v.over:
			return outcome{}
		case <-ctx.Done():
			return outcome{final: true, err: t.expired(ctx)}
		}
	}
}

func (r *Router) backOff(n int) *time.Timer {
	d := min(firstPause<<min(n, 10), maxPause)
	if n >= hurried {
		d = longPause
	}
	return r.cfg.Clock.NewTimer(d/2 + rand.N(d/2+1)) //nolint:gosec // G404: jitter
}

func (r *Router) pause(ctx context.Context, v *view, n int) bool {
	timer := r.backOff(n)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-v.over:
	case <-ctx.Done():
	}
	return false
}
