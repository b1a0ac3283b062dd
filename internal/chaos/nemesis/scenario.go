//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/rig"
	"github.com/xiaonanln/goverse/internal/chaos/role"
	"github.com/xiaonanln/goverse/internal/chaos/workload"
)

// scenario is a plan of faults.
type scenario struct {
	name, text string
	nodes      int
	shards     int  // 0: as configured
	short      bool // part of the short run
	planned    bool // no call may fail, none may run twice, no kept memory may be lost
	torment    func(ctx context.Context, w *world) error
}

func scenarios() []scenario {
	return []scenario{
		{name: "kill", text: "kill -9 a node that is not the allocator's; start it again", nodes: 3, short: true, torment: kill},
	}
}

// kill kills a node and lets another one touch each of its shards.
func kill(ctx context.Context, w *world) error {
	p, err := w.look(ctx)
	if err != nil {
		return err
	}
	for {
		victim := w.nodes[w.rng.IntN(len(w.nodes))]
		if victim.Name != p.allocator {
			return w.crash(ctx, victim)
		}
	}
}

// crash kills a node, touches its shards, and starts it again.
func (w *world) crash(ctx context.Context, victim *rig.Node) error {
	p, err := w.look(ctx)
	if err != nil {
		return err
	}
	owned := p.shardsOf(victim.Name)
	if len(owned) == 0 {
		return fmt.Errorf("%w: %s owns nothing", errInvalid, victim.Name)
	}
	w.note("kill %s, which has %d shards; the allocator is on %s", victim.Name, len(owned), p.allocator)
	at := w.now()
	if err := victim.Kill(); err != nil {
		return err
	}
	w.crashes = append(w.crashes, crash{node: victim.Name, at: at, shards: owned, limit: ttl + time.Second})
	if err := w.touch(ctx, owned); err != nil {
		return err
	}
	if err := w.heal(ctx); err != nil {
		return err
	}
	return w.join(ctx, victim)
}

// touch calls the canaries of shards from some node that lives.
func (w *world) touch(ctx context.Context, shards []uint32) error {
	var objects []string
	for _, s := range shards {
		objects = append(objects, w.canaries[s])
	}
	alive := w.alive()
	n := alive[w.rng.IntN(len(alive))]
	ctx, cancel := context.WithTimeout(ctx, callTimeout+slowStart)
	defer cancel()
	a, err := n.Do(ctx, role.Command{Objects: objects, Method: workload.Add, A: 1, Timeout: callTimeout})
	if err != nil {
		return err
	}
	if len(a.Failed) > 0 {
		return fmt.Errorf("P6: %d of %d shards do not answer %s within %v, such as that of %s", len(a.Failed), len(objects), n.Name, callTimeout, a.Failed[0])
	}
	return nil
}

// join starts a node, waits until it is in order, and puts load on it.
func (w *world) join(ctx context.Context, n *rig.Node) error {
	if err := w.start(ctx, n); err != nil {
		return err
	}
	return w.load(ctx, true, n)
}

// signal sends a signal to a node, and notes it.
func (w *world) signal(n *rig.Node, s syscall.Signal) error {
	w.note("%v to %s", s, n.Name)
	return n.Signal(s)
}
