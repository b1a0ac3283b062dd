//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/rig"
)

// slack is for records that are written a moment after what they tell of.
const slack = 50 * time.Millisecond

// stepDown is how long a leader of etcd that has lost its quorum can go on as if nothing
// had happened, renewing leases: two election timeouts. Its successor adds as much to all
// leases, so that nobody's shards are given away meanwhile.
const stepDown = 2 * time.Second

// silent remembers that nodes that lost etcd at a moment may not answer from a lease later
// on, until they find it again.
func (w *world) silent(lost, found time.Duration, nodes ...*rig.Node) {
	for _, n := range nodes {
		w.silences = append(w.silences, silence{n.Name, lost + ttl + slack, found})
	}
}

// cutEtcd cuts a node off from etcd.
func cutEtcd(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, w.rng.IntN(2) == 0)
	if err != nil {
		return err
	}
	before := w.observer.seen()
	w.note("cut %s off from etcd", v.Name)
	v.Isolate(true)
	lost := w.now()
	err = w.sleep(ctx, w.some(2*ttl, 3*ttl))
	found := w.now()
	v.Isolate(false)
	w.note("%s reaches etcd again", v.Name)
	w.silent(lost, found, v)
	return errors.Join(err, w.tookOver(before))
}

// sleepwalk makes a node stand still, and lets it wake up where only its own clock can tell
// it that its shards are others'.
func sleepwalk(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, w.rng.IntN(2) == 0)
	if err != nil {
		return err
	}
	before := w.observer.seen()
	v.Isolate(true)
	lost := w.now()
	err = w.hold(ctx, v, w.some(2*ttl, 3*ttl))
	err = errors.Join(err, w.sleep(ctx, w.some(ttl/2, ttl)))
	found := w.now()
	v.Isolate(false)
	w.note("%s reaches etcd again", v.Name)
	w.silent(lost, found, v)
	return errors.Join(err, w.tookOver(before))
}

// cutPeers lets nobody reach a node, for a while that callers can wait out.
func cutPeers(ctx context.Context, w *world) error {
	for range 2 {
		v := w.anyone()
		w.note("nobody reaches %s", v.Name)
		v.Peer.Freeze(true)
		from := w.now()
		err := w.sleep(ctx, w.some(ttl, 2*ttl))
		w.holds = append(w.holds, [2]time.Duration{from, w.now()})
		v.Peer.Freeze(false)
		w.note("%s can be reached again", v.Name)
		if err := errors.Join(err, w.sleep(ctx, time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// cutPair lets two nodes not reach each other, while both reach etcd and the third.
func cutPair(ctx context.Context, w *world) error {
	for range 2 {
		a := w.anyone()
		b := w.anyone(a)
		w.note("%s and %s do not reach each other", a.Name, b.Name)
		a.Peer.Cut(b.Name, true)
		b.Peer.Cut(a.Name, true)
		from := w.now()
		err := w.sleep(ctx, w.some(ttl, 3*ttl))
		w.holds = append(w.holds, [2]time.Duration{from, w.now()})
		a.Peer.Cut(b.Name, false)
		b.Peer.Cut(a.Name, false)
		w.note("they do again")
		if err := errors.Join(err, w.sleep(ctx, time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// alone says whether a node reaches nobody and is reached by nobody.
func (w *world) alone(n *rig.Node, cut bool) {
	n.Isolate(cut)
	n.Peer.Freeze(cut)
	for _, other := range w.nodes {
		other.Peer.Cut(n.Name, cut)
	}
}

// cutAll cuts a node off from everything.
func cutAll(ctx context.Context, w *world) error {
	v, err := w.victim(ctx, w.rng.IntN(2) == 0)
	if err != nil {
		return err
	}
	before := w.observer.seen()
	w.note("cut %s off from everything", v.Name)
	w.alone(v, true)
	lost := w.now()
	err = w.sleep(ctx, w.some(2*ttl, 3*ttl))
	found := w.now()
	w.alone(v, false)
	w.note("%s is back", v.Name)
	w.silent(lost, found, v)
	return errors.Join(err, w.tookOver(before))
}

// reset breaks connections.
func reset(ctx context.Context, w *world) error {
	for range 20 {
		n := w.anyone()
		if w.rng.IntN(2) == 0 {
			w.note("reset the connections to %s", n.Name)
			n.Peer.Reset()
		} else {
			w.note("reset the connections of %s to etcd", n.Name)
			for _, p := range n.Etcd {
				p.Reset()
			}
		}
		if err := w.sleep(ctx, w.some(10*time.Millisecond, 400*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

// pauseEtcd makes all of etcd stand still, and says when it did.
func (w *world) pauseEtcd(ctx context.Context, d time.Duration) (lost, found time.Duration, err error) {
	w.note("etcd stands still")
	for _, e := range w.etcd {
		err = errors.Join(err, e.Freeze(true))
	}
	lost = w.now()
	err = errors.Join(err, w.sleep(ctx, d))
	found = w.now()
	for _, e := range w.etcd {
		err = errors.Join(err, e.Freeze(false))
	}
	w.note("etcd goes on")
	return lost, found, err
}

// etcdBlip is an outage that nobody may notice.
func etcdBlip(ctx context.Context, w *world) error {
	before := w.observer.seen()
	for range 4 {
		if _, _, err := w.pauseEtcd(ctx, ttl*4/10); err != nil {
			return err
		}
		if err := w.sleep(ctx, w.some(ttl/2, ttl)); err != nil {
			return err
		}
	}
	if n := w.observer.seen() - before; n > 0 {
		return fmt.Errorf("an outage of less than half a lease has changed %d records of shards", n)
	}
	return nil
}

// etcdOutage is one that all nodes notice.
func etcdOutage(ctx context.Context, w *world) error {
	lost, found, err := w.pauseEtcd(ctx, w.some(2*ttl, 3*ttl))
	w.silent(lost, found, w.nodes...)
	return err
}

// etcdRolling kills each member in turn.
func etcdRolling(ctx context.Context, w *world) error {
	for _, i := range w.rng.Perm(len(w.etcd)) {
		e := w.etcd[i]
		w.note("kill %s", e.Name)
		if err := e.Kill(); err != nil {
			return err
		}
		if err := w.sleep(ctx, w.some(ttl/2, 2*ttl)); err != nil {
			return err
		}
		w.note("start %s", e.Name)
		if err := e.Start(ctx); err != nil {
			return err
		}
		if err := w.sleep(ctx, 3*time.Second); err != nil {
			return err
		}
	}
	return nil
}

// etcdQuorum kills two of three members.
func etcdQuorum(ctx context.Context, w *world) error {
	for _, d := range []time.Duration{ttl * 3 / 10, w.some(3*ttl, 4*ttl)} {
		order := w.rng.Perm(len(w.etcd))[:2]
		for _, i := range order {
			w.note("kill %s", w.etcd[i].Name)
			if err := w.etcd[i].Kill(); err != nil {
				return err
			}
		}
		lost := w.now()
		if err := w.sleep(ctx, d); err != nil {
			return err
		}
		w.silent(lost+stepDown, w.now(), w.nodes...)
		for _, i := range order {
			if err := w.etcd[i].Start(ctx); err != nil {
				return err
			}
		}
		w.note("etcd has started again")
		if err := w.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}

// etcdAll kills all three.
func etcdAll(ctx context.Context, w *world) error {
	w.note("kill etcd")
	for _, e := range w.etcd {
		if err := e.Kill(); err != nil {
			return err
		}
	}
	lost := w.now()
	if err := w.sleep(ctx, w.some(ttl/2, 3*ttl)); err != nil {
		return err
	}
	w.silent(lost, w.now(), w.nodes...)
	w.note("start etcd")
	for _, e := range w.etcd {
		if err := e.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// etcdCompact compacts history away that a node that stands still has not read yet.
func etcdCompact(ctx context.Context, w *world) error {
	before := w.observer.seen()
	for range 4 {
		n := w.anyone()
		for _, p := range n.Etcd {
			p.Freeze(true)
		}
		err := w.storm(ctx, 60)
		err = errors.Join(err, w.sleep(ctx, w.some(0, ttl*4/10)))
		page, failed := w.look(ctx)
		if failed == nil {
			failed = w.store.Compact(ctx, page.rev)
			w.note("compacted at %d, while %s does not listen", page.rev, n.Name)
		}
		for _, p := range n.Etcd {
			p.Reset()
			p.Freeze(false)
		}
		if err := errors.Join(err, failed, w.sleep(ctx, w.some(0, ttl))); err != nil {
			return err
		}
	}
	return w.moved(before, 50)
}
