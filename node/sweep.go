package node

import (
	"context"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// The sweep looks at least and at most this often.
const (
	minQuantum = 10 * time.Millisecond
	maxQuantum = time.Minute
)

// Run sweeps for idle objects until ctx ends. An object is let go between its idle
// timeout and two sweeps later; a sweep comes every eighth of the shortest idle
// timeout in use, at most once in 10 ms and at least once a minute.
func (n *Node) Run(ctx context.Context, ready func()) error {
	n.quantum = n.sweepEvery()
	tick := n.cfg.Clock.NewTimer(n.quantum)
	defer tick.Stop()
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			n.sweep()
			tick.Reset(n.quantum)
		}
	}
}

func (n *Node) sweepEvery() time.Duration {
	shortest := 8 * maxQuantum
	for _, typ := range n.cfg.Registry.Types() {
		if d := n.idleTimeout(typ); d < shortest {
			shortest = d
		}
	}
	return max(minQuantum, shortest/8)
}

// never is an idle timeout that does not come; small enough to be added to a time.
const never = time.Duration(1 << 61)

func (n *Node) idleTimeout(typ *object.Type) time.Duration {
	d := typ.IdleTimeout
	if d == 0 {
		d = n.cfg.IdleTimeout
	}
	if d < 0 {
		return never
	}
	return d
}

func (n *Node) sweep() {
	now := n.elapsed()
	n.coarse.Store(int64(now))
	for i := range n.shards {
		for _, a := range n.idleIn(&n.shards[i], int64(now)) {
			if !a.typ.Hooks.Deactivate {
				n.end(a, nil, ending{reason: object.ReasonIdle})
				continue
			}
			n.tasks.run(func() { n.endWithHook(a, ending{reason: object.ReasonIdle}) })
		}
	}
}

// endWithHook ends an activation; only so many hooks run at a time.
func (n *Node) endWithHook(a *activation, why ending) {
	n.hooks <- struct{}{}
	defer func() { <-n.hooks }()
	n.end(a, nil, why)
}

// idleIn closes the idle activations of a shard and returns them.
func (n *Node) idleIn(s *shardState, now int64) (idle []*activation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.live) == 0 || s.due > now {
		return nil
	}
	s.due = int64(never)
	for _, a := range s.live {
		if a.pinned {
			continue
		}
		timeout := int64(n.idleTimeout(a.typ) + n.quantum) // used is up to a quantum too early
		a.lock()
		switch {
		case a.phase == live && a.quiet() && a.queue.len() == 0 && a.used.Load()+timeout <= now:
			a.phase, a.writer = closing, true
			idle = append(idle, a)
		case a.phase == live && !a.quiet():
			s.due = min(s.due, now+timeout) // it will have been used
		default:
			s.due = min(s.due, a.used.Load()+timeout)
		}
		a.unlock()
	}
	return idle
}
