package routing

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/util/clock"
)

// askStore brings the table up to date; false: ctx ended.
func (t *trip) askStore(ctx context.Context, v *view) bool {
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := v.table.Refresh(limited, t.shard); err != nil {
		t.router.cfg.Logger.DebugContext(ctx, "route not refreshed", "shard", t.shard, "error", err.Error())
	}
	return ctx.Err() == nil
}

// pause waits before the next attempt: for longer each time, but not when the object is elsewhere by then.
func (t *trip) pause(ctx context.Context, v *view, tried cluster.Route) outcome {
	timer := backOff(t.router.cfg.Clock, t.tries)
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

// backOff is the pause after the nth failed attempt.
func backOff(c clock.Clock, n int) *time.Timer {
	d := min(firstPause<<min(n, 10), maxPause)
	if n >= hurried {
		d = longPause
	}
	return c.NewTimer(d/2 + rand.N(d/2+1)) //nolint:gosec // G404: jitter
}

// pause lets that time pass; false: ctx or the view ended.
func (r *Router) pause(ctx context.Context, v *view, n int) bool {
	timer := backOff(r.cfg.Clock, n)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-v.over:
	case <-ctx.Done():
	}
	return false
}
