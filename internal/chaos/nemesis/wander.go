//go:build linux

package nemesis

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/rig"
)

// wanderFor is how long a random walk lasts.
const wanderFor = 30 * time.Second

// wander does anything, one and two at a time. A second fault begins while the first lasts.
func wander(ctx context.Context, w *world) error {
	for end := w.now() + wanderFor; w.now() < end; {
		n := w.anyone()
		begun, over := w.mischief(n)
		if err := begun(ctx); err != nil {
			return err
		}
		if w.rng.IntN(2) == 0 {
			if err := w.sleep(ctx, w.some(0, ttl)); err != nil {
				return err
			}
			if err := w.prank(ctx); err != nil {
				return err
			}
		}
		if err := errors.Join(w.sleep(ctx, w.some(ttl/4, 2*ttl)), over(ctx)); err != nil {
			return err
		}
		if w.rng.IntN(3) == 0 {
			if err := w.sleep(ctx, w.some(0, 2*ttl)); err != nil {
				return err
			}
		}
	}
	return nil
}

// act is a piece of mischief.
type act func(ctx context.Context) error

// mischief is a fault that lasts, and its end.
func (w *world) mischief(n *rig.Node) (begin, end act) {
	switch w.rng.IntN(7) {
	case 0:
		return func(context.Context) error { w.note("kill %s", n.Name); return n.Kill() },
			func(ctx context.Context) error { return w.join(ctx, n) }
	case 1:
		return func(context.Context) error { return w.signal(n, syscall.SIGSTOP) },
			func(context.Context) error { return w.signal(n, syscall.SIGCONT) }
	case 2:
		return func(context.Context) error { w.note("cut %s off from etcd", n.Name); n.Isolate(true); return nil },
			func(context.Context) error { w.note("%s reaches etcd", n.Name); n.Isolate(false); return nil }
	case 3:
		return func(context.Context) error { w.note("nobody reaches %s", n.Name); n.Peer.Freeze(true); return nil },
			func(context.Context) error { w.note("%s can be reached", n.Name); n.Peer.Freeze(false); return nil }
	case 4:
		return func(context.Context) error {
				w.note("cut %s off from everything", n.Name)
				w.alone(n, true)
				return nil
			},
			func(context.Context) error { w.note("%s is back", n.Name); w.alone(n, false); return nil }
	case 5:
		other := w.anyone(n)
		return func(context.Context) error {
				w.note("%s does not reach %s", n.Name, other.Name)
				other.Peer.Cut(n.Name, true)
				return nil
			},
			func(context.Context) error { other.Peer.Cut(n.Name, false); return nil }
	default:
		e := w.etcd[w.rng.IntN(len(w.etcd))]
		return func(context.Context) error { w.note("%s stands still", e.Name); return e.Freeze(true) },
			func(context.Context) error { w.note("%s goes on", e.Name); return e.Freeze(false) }
	}
}

// prank is a fault that is over at once. One that fails because of another does not count.
func (w *world) prank(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ttl)
	defer cancel()
	switch w.rng.IntN(3) {
	case 0:
		for _, n := range w.nodes {
			n.Peer.Reset()
		}
	case 1:
		if p, err := w.look(ctx); err == nil {
			w.note("compact: %v", w.store.Compact(ctx, p.rev))
		}
	default:
		w.note("storm: %v", w.storm(ctx, 40))
	}
	return nil
}
