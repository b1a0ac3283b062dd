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
			if !n.suspended() {
				n.sweep()
			}
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

// never is a time that does not come, in some 73 years: small enough to be added to
// another. No timeout that the node counts with is longer, whatever users ask for.
const never = time.Duration(1 << 61)

// idleTimeout is how long an object of the type stays without calls; never for one that
// stays for ever.
func (n *Node) idleTimeout(typ *object.Type) time.Duration {
	d := typ.IdleTimeout
	if d == 0 {
		d = n.cfg.IdleTimeout
	}
	if d < 0 {
		return never
	}
	return min(d, never)
}

func (n *Node) sweep() {
	now, quantum := n.elapsed(), n.quantum
	n.coarse.Store(int64(now))
	var hooked []*activation
	for s := range n.sets {
		for _, a := range n.idleIn(s, int64(now)) {
			switch {
			case a.typ.Hooks.Deactivate:
				hooked = append(hooked, a)
			case a.closeIdle(int64(now), n.patience(a, quantum)):
				n.end(a, nil, ending{reason: object.ReasonIdle})
			}
		}
	}
	if len(hooked) > 0 && n.reaping.CompareAndSwap(false, true) { // else the next sweep finds them
		n.run(func() {
			defer n.reaping.Store(false)
			n.reap(hooked, quantum)
		})
	}
}

// reap ends idle activations with hooks. Only so many hooks run at a time, and an
// activation is closed when its hook can begin: until then it serves calls, also those
// that other hooks make.
func (n *Node) reap(hooked []*activation, quantum time.Duration) {
	for _, a := range hooked {
		if !n.takeHookSlot(n.killed) {
			return
		}
		switch {
		case n.suspended(): // the next sweep finds them
			<-n.hooks
			return
		case !a.closeIdle(int64(n.elapsed()), n.patience(a, quantum)):
			<-n.hooks
			continue
		}
		n.run(func() {
			defer func() { <-n.hooks }()
			n.end(a, nil, ending{reason: object.ReasonIdle})
		})
	}
}

// takeHookSlot waits for the right to run the hook of an ending activation, or for
// the end of ctx.
func (n *Node) takeHookSlot(ctx context.Context) bool {
	select {
	case n.hooks <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// patience is how long after its noted use an activation is idle, in ns: the time
// noted is up to a quantum too early.
func (n *Node) patience(a *activation, quantum time.Duration) int64 {
	return int64(n.idleTimeout(a.typ) + quantum)
}

// closeIdle closes the activation for its end if it is still idle.
func (a *activation) closeIdle(now, patience int64) bool {
	a.lock()
	defer a.unlock()
	if a.phase != live && a.phase != fresh || !a.quiet() || a.queue.len() > 0 || a.used.Load()+patience > now {
		return false
	}
	a.phase, a.writer = closing, true
	return true
}

// idleIn returns the idle activations of a shard.
func (n *Node) idleIn(s *shardState, now int64) (idle []*activation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil && s.kept == nil || s.due > now {
		return nil
	}
	s.due = int64(never)
	s.expireKept(now)
	for a := s.first; a != nil; a = a.following {
		if a.pinned {
			continue
		}
		timeout := n.patience(a, n.quantum)
		a.lock()
		if a.quiet() && a.queue.len() == 0 {
			n.dropQueue(a) // what waiting has left: an idle object owns nothing
		}
		busy := a.phase == live && !a.quiet()
		used := a.used.Load()
		up := a.phase == live || a.phase == fresh // nobody activates it: its call was refused
		if up && !busy && a.queue.len() == 0 && used+timeout <= now {
			idle = append(idle, a)
		}
		if busy { // it will have been used
			used = now
		}
		s.due = min(s.due, used+timeout)
		a.unlock()
	}
	return idle
}

// dropQueue lets go of an empty queue. The activation's lock is held.
func (n *Node) dropQueue(a *activation) {
	if a.queue != nil {
		n.queues.remove(a)
		a.queue = nil
	}
}
