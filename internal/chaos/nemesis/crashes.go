//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/rig"
	"github.com/xiaonanln/goverse/internal/chaos/role"
	"github.com/xiaonanln/goverse/internal/chaos/workload"
)

// victim picks a node that lives: the allocator's, or one that is not.
func (w *world) victim(ctx context.Context, allocator bool) (*rig.Node, error) {
	p, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	var fit []*rig.Node
	for _, n := range w.alive() {
		if (n.Name == p.allocator) == allocator && len(p.shardsOf(n.Name)) > 0 {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("%w: no node fits; the allocator is on %q", errInvalid, p.allocator)
	}
	return fit[w.rng.IntN(len(fit))], nil
}

// shoot kills nodes, and remembers what they had. Each shard has to answer within limit.
func (w *world) shoot(ctx context.Context, limit time.Duration, victims ...*rig.Node) (owned []uint32, err error) {
	p, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	at := w.now()
	if err := w.each(victims, func(n *rig.Node) error { return n.Kill() }); err != nil {
		return nil, err
	}
	for _, n := range victims {
		mine := p.shardsOf(n.Name)
		w.note("killed %s, which had %d shards; the allocator was on %s", n.Name, len(mine), p.allocator)
		if len(mine) == 0 {
			return nil, fmt.Errorf("%w: %s owned nothing", errInvalid, n.Name)
		}
		w.crashes = append(w.crashes, crash{node: n.Name, at: at, shards: mine, limit: limit})
		owned = append(owned, mine...)
	}
	return owned, nil
}

// touch calls the canaries of shards from some node that lives and is not one of some.
func (w *world) touch(ctx context.Context, shards []uint32, but ...*rig.Node) error {
	var objects []string
	for _, s := range shards {
		objects = append(objects, w.canaries[s])
	}
	n := w.anyone(but...)
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

// join starts a node and puts load on it.
func (w *world) join(ctx context.Context, n *rig.Node) error {
	if err := w.start(ctx, n); err != nil {
		return err
	}
	return w.load(ctx, true, n)
}

// crash kills nodes, whose shards must answer within a lease and a second, touches their shards, and starts them again.
func (w *world) crash(ctx context.Context, victims ...*rig.Node) error {
	owned, err := w.shoot(ctx, ttl+time.Second, victims...)
	if err != nil {
		return err
	}
	if err := w.touch(ctx, owned); err != nil {
		return err
	}
	if err := w.heal(ctx); err != nil {
		return err
	}
	return w.each(victims, func(n *rig.Node) error { return w.join(ctx, n) })
}

func kill(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, false)
	if err != nil {
		return err
	}
	return w.crash(ctx, v)
}

func killAllocator(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, true)
	if err != nil {
		return err
	}
	return w.crash(ctx, v)
}

func majority(ctx context.Context, w *world) error {
	stays := w.nodes[w.rng.IntN(len(w.nodes))]
	var victims []*rig.Node
	for _, n := range w.nodes {
		if n != stays {
			victims = append(victims, n)
		}
	}
	return w.crash(ctx, victims...)
}

// cold kills all nodes. What they had in memory is gone; the cluster is not.
func cold(ctx context.Context, w *world) error {
	w.note("kill all")
	if err := w.each(w.nodes, func(n *rig.Node) error { return n.Kill() }); err != nil {
		return err
	}
	if err := w.sleep(ctx, w.some(0, 2*ttl)); err != nil {
		return err
	}
	return w.each(w.nodes, func(n *rig.Node) error { return w.join(ctx, n) })
}

// restart kills a node and starts it at once.
func restart(ctx context.Context, w *world) error {
	for range 2 {
		v, err := w.victim(ctx, w.rng.IntN(2) == 0)
		if err != nil {
			return err
		}
		owned, err := w.shoot(ctx, time.Second, v)
		if err != nil {
			return err
		}
		joined := make(chan error, 1)
		go func() { joined <- w.join(ctx, v) }()
		if err := errors.Join(w.touch(ctx, owned, v), <-joined); err != nil {
			return err
		}
		if err := w.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}

// crashLoop kills a node at any moment of its start.
func crashLoop(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, w.rng.IntN(2) == 0)
	if err != nil {
		return err
	}
	for range 8 {
		if err := v.Kill(); err != nil {
			return err
		}
		starting, giveUp := context.WithTimeout(ctx, w.some(10*time.Millisecond, 1500*time.Millisecond))
		err := v.Start(starting) // ready or not
		if err == nil {
			err = w.load(starting, true, v)
		}
		giveUp()
		w.note("%s was started: %v", v.Name, err)
	}
	if err := v.Kill(); err != nil {
		return err
	}
	return w.join(ctx, v)
}

// signal sends a signal to a node, and notes it.
func (w *world) signal(n *rig.Node, s syscall.Signal) error {
	w.note("%v to %s", s, n.Name)
	return n.Signal(s)
}

// hold makes a node stand still.
func (w *world) hold(ctx context.Context, n *rig.Node, d time.Duration) error {
	if err := w.signal(n, syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(w.sleep(ctx, d), w.signal(n, syscall.SIGCONT))
}

// tookOver says that a run shows nothing if no shard was taken over since.
func (w *world) tookOver(before int) error {
	for _, c := range w.observer.all()[before:] {
		if c.Record.Handover == 0 && !c.Record.Moving() {
			return nil
		}
	}
	return fmt.Errorf("%w: nobody has taken over a shard", errInvalid)
}

func freeze(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, false)
	if err != nil {
		return err
	}
	before := w.observer.seen()
	if err := w.hold(ctx, v, w.some(2*ttl, 3*ttl)); err != nil {
		return err
	}
	return w.tookOver(before)
}

func freezeAllocator(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, true)
	if err != nil {
		return err
	}
	before := w.observer.seen()
	if err := w.storm(ctx, 60); err != nil {
		return err
	}
	if err := w.sleep(ctx, w.some(0, 60*time.Millisecond)); err != nil {
		return err
	}
	if err := w.hold(ctx, v, w.some(2*ttl, 3*ttl)); err != nil {
		return err
	}
	return w.tookOver(before)
}

func naps(ctx context.Context, w *world) error {
	for range 6 {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		if err := w.hold(ctx, n, ttl*8/10); err != nil {
			return err
		}
		if err := w.sleep(ctx, w.some(0, ttl)); err != nil {
			return err
		}
	}
	return nil
}

// killDrain kills a node that is stopping.
func killDrain(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, w.rng.IntN(2) == 0)
	if err != nil {
		return err
	}
	if err := w.signal(v, syscall.SIGTERM); err != nil {
		return err
	}
	if err := w.sleep(ctx, w.some(10*time.Millisecond, 250*time.Millisecond)); err != nil {
		return err
	}
	if !v.Alive() {
		return fmt.Errorf("%w: %s had stopped before it could be killed", errInvalid, v.Name)
	}
	w.note("kill %s", v.Name)
	if err := v.Kill(); err != nil {
		return err
	}
	if err := w.heal(ctx); err != nil {
		return err
	}
	return w.join(ctx, v)
}

// embedded kills a node, and then the one that etcd lives and dies with. The others fence
// themselves and wait until it is there again, with its data.
func embedded(ctx context.Context, w *world) error {
	host := w.nodes[0]
	if err := w.crash(ctx, w.anyone(host)); err != nil {
		return err
	}
	w.note("kill %s, and etcd with it", host.Name)
	if err := host.Kill(); err != nil {
		return err
	}
	lost := w.now()
	if err := w.sleep(ctx, w.some(2*ttl, 3*ttl)); err != nil {
		return err
	}
	w.silent(lost, w.now(), w.nodes[1:]...)
	return w.join(ctx, host)
}
