//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/check"
	"github.com/xiaonanln/goverse/internal/chaos/rig"
	"github.com/xiaonanln/goverse/internal/coord"
)

// stopLimit is how long a node may take to stop.
const stopLimit = 30 * time.Second

// stop stops a node as an operator does, and waits for its end.
func (w *world) stop(ctx context.Context, n *rig.Node) error {
	w.note("stop %s", n.Name)
	ctx, cancel := context.WithTimeoutCause(ctx, stopLimit, fmt.Errorf("%s has not stopped within %v", n.Name, stopLimit))
	defer cancel()
	return n.Stop(ctx)
}

// rolling stops and starts every node in turn, in any order.
func rolling(ctx context.Context, w *world) error {
	before := w.observer.seen()
	for _, i := range w.rng.Perm(len(w.nodes)) {
		n := w.nodes[i]
		if err := w.stop(ctx, n); err != nil {
			return err
		}
		if err := w.join(ctx, n); err != nil {
			return err
		}
		if err := w.sleep(ctx, w.some(0, 1500*time.Millisecond)); err != nil {
			return err
		}
	}
	return w.moved(before, w.shards)
}

// moved says that a run shows nothing if fewer shards were moved since a number of changes.
func (w *world) moved(before, least int) error {
	if n := len(check.Moves(w.observer.all()[before:])); n < least {
		return fmt.Errorf("%w: %d shards were moved, not %d", errInvalid, n, least)
	}
	return nil
}

// scale lets three nodes join, and others leave while they do.
func scale(ctx context.Context, w *world) error {
	before := w.observer.seen()
	for range 3 {
		n, err := w.addNode(ctx, w.rng.Uint64()>>1)
		if err != nil {
			return err
		}
		joined := make(chan error, 1)
		go func() { joined <- w.join(ctx, n) }()
		var left error
		if len(w.alive()) > 3 {
			left = w.stop(ctx, w.anyone(n))
		}
		if err := <-joined; err != nil {
			return err
		}
		if left != nil {
			return left
		}
		if err := w.sleep(ctx, w.some(0, 2*time.Second)); err != nil {
			return err
		}
	}
	return w.moved(before, w.shards/4)
}

// anyone is a node that lives and is not one of some.
func (w *world) anyone(but ...*rig.Node) *rig.Node {
	for {
		alive := w.alive()
		n := alive[w.rng.IntN(len(alive))]
		other := true
		for _, b := range but {
			other = other && b != n
		}
		if other {
			return n
		}
	}
}

// order asks for a shard to be moved, as an operator's tool does.
func (w *world) order(ctx context.Context, p *picture, shard int, to string) error {
	_, err := w.store.Txn(ctx, coord.Txn{
		If:   []coord.Compare{coord.CreateRev(prefix+"nodes/"+to, p.kvs[to].CreateRev)},
		Then: []coord.Op{coord.Put(fmt.Sprintf("%smoves/%04d", prefix, shard), []byte(to))},
	})
	return err
}

// storm moves shards about.
func (w *world) storm(ctx context.Context, orders int) error {
	p, err := w.look(ctx)
	if err != nil {
		return err
	}
	var members []string
	for _, n := range w.nodes { // not the map: a seed must give the same plan
		for id, name := range p.names {
			if name == n.Name {
				members = append(members, id)
			}
		}
	}
	w.note("%d orders", orders)
	for range orders {
		if err := w.order(ctx, p, w.rng.IntN(w.shards), members[w.rng.IntN(len(members))]); err != nil {
			return err
		}
	}
	return nil
}

// moves is an operator who cannot decide.
func moves(ctx context.Context, w *world) error {
	before := w.observer.seen()
	for range 8 {
		if err := w.storm(ctx, 60); err != nil {
			return err
		}
		if err := w.sleep(ctx, w.some(100*time.Millisecond, 800*time.Millisecond)); err != nil {
			return err
		}
	}
	p, err := w.look(ctx)
	if err != nil {
		return err
	}
	for id, kv := range p.kvs { // whichever comes first
		w.note("drain %s", p.names[id])
		if _, err := w.store.Txn(ctx, coord.Txn{Then: []coord.Op{coord.PutLeased(prefix+"drains/"+id, nil, kv.Lease)}}); err != nil {
			return err
		}
		if err := w.sleep(ctx, 3*time.Second); err != nil {
			return err
		}
		if _, err := w.store.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Delete(prefix + "drains/" + id)}}); err != nil {
			return err
		}
		break
	}
	return w.moved(before, 100)
}

// The figures that are promised for a fourth node.
const (
	fourthLimit   = 15 * time.Second
	fourthBalance = 0.05
)

// fourth adds a node to three, and counts.
func fourth(ctx context.Context, w *world) error {
	before := w.observer.seen()
	n, err := w.addNode(ctx, w.rng.Uint64()>>1)
	if err != nil {
		return err
	}
	if err := w.join(ctx, n); err != nil {
		return err
	}
	began := w.now()
	fair := float64(w.shards) / float64(len(w.nodes))
	for {
		p, err := w.look(ctx)
		if err != nil {
			return err
		}
		if n := len(p.shardsOf(n.Name)); float64(n) >= fair*(1-fourthBalance) && p.moving == 0 {
			took, all := w.now()-began, len(check.Moves(w.observer.all()[before:]))
			w.figure("balanced in %v with %d moves, %d needed", ms(took), all, n)
			if all > int(fair)+1 {
				return fmt.Errorf("%d shards were moved, needed are %d", all, int(fair))
			}
			return nil
		}
		if w.now()-began > fourthLimit {
			return fmt.Errorf("not balanced within %v: the new node has %d shards, %.0f are its share", fourthLimit, len(p.shardsOf(n.Name)), fair)
		}
		if err := w.sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
