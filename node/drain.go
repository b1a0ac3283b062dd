package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/tally"
)

// DrainShard closes the shard's gate, lets what runs there finish, with the calls of
// its chains, and ends the objects, each with [object.ReasonMoved]. It returns what
// they want to have on the next node; nothing of the shard is in memory then. After an
// error, as when ctx or the node is cut off first, the gate is still closed, so that no
// call from outside brings an object up, and some objects may have ended, whose state is
// still the shard's: [Node.ReopenShard] follows.
//
// A drain that takes long opens the gate for a moment now and then, as it may wait for a
// call that waits for the gate: a turn of the shard calls an object elsewhere, which is
// busy with a turn of another chain, which calls an object of the shard.
func (n *Node) DrainShard(ctx context.Context, shard uint32, epoch uint64) (state []Kept, err error) {
	s := &n.shards[shard]
	if err := s.turnOwned(epoch, draining); err != nil {
		return nil, fmt.Errorf("drain shard %d: %w", shard, err)
	}
	d, release := n.newDrain(ctx, s, epoch)
	defer release()
	for {
		left, state, err := s.shutIfEmpty(epoch)
		if err == nil && left != nil {
			if err = d.endAll(left); err == nil {
				err = d.awaitStrict()
			}
		}
		if err != nil {
			return nil, fmt.Errorf("drain shard %d: %w", shard, err)
		}
		if left == nil {
			return state, nil
		}
	}
}

// errReopened ends a drain whose shard was opened meanwhile.
var errReopened = errors.New("the shard was opened again")

// shutIfEmpty closes the gate of a draining shard for good where no object is left, and
// takes what is kept of the objects.
func (s *shardState) shutIfEmpty(epoch uint64) (left []*activation, state []Kept, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch.Load() != epoch:
		return nil, nil, errNotOwned
	case s.gate == open:
		return nil, nil, errReopened
	case s.first != nil:
		return s.all(), nil, nil
	}
	s.turnGate(shut)
	return nil, s.takeKept(), nil
}

// drain is the end of a shard's objects.
type drain struct {
	node  *Node
	shard *shardState
	epoch uint64
	ctx   context.Context //nolint:containedctx // of the one operation; its cause is why it fails
	fail  context.CancelCauseFunc
}

func (n *Node) newDrain(ctx context.Context, s *shardState, epoch uint64) (d *drain, release func()) {
	ctx, fail := context.WithCancelCause(ctx)
	era := n.era.Load().ctx
	unlink := context.AfterFunc(era, func() { fail(context.Cause(era)) })
	d = &drain{n, s, epoch, ctx, fail}
	over := make(chan struct{})
	n.run(func() {
		defer close(over)
		d.breathe()
	})
	return d, func() { unlink(); fail(nil); <-over }
}

// How long the gate of a draining shard stays closed at first, and which part of that it
// is open then. Each time is twice the one before, so that what has come in can finish.
const (
	firstStrict = 25 * time.Millisecond
	breathPart  = 4
)

// breathe opens the gate now and then until the drain is over.
func (d *drain) breathe() {
	for strict := firstStrict; d.pause(strict) && d.turn(draining, breathing); strict *= 2 {
		d.pause(strict / breathPart)
		if !d.turn(breathing, draining) {
			return
		}
	}
}

// pause lets time pass; false: the drain is over.
func (d *drain) pause(t time.Duration) bool {
	timer := d.node.cfg.Clock.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// turn changes the gate of the draining shard; false: it is another's, or opened.
func (d *drain) turn(from, to gate) bool {
	s := d.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch.Load() != d.epoch || s.gate != from {
		return false
	}
	s.turnGate(to)
	return true
}

// awaitStrict returns when the gate is not open for a moment: what comes up then is not
// to be ended at once.
func (d *drain) awaitStrict() error {
	for err := d.isOver(); ; err = d.isOver() {
		changed, breathes := d.shard.breath()
		if err != nil || !breathes {
			return err
		}
		select {
		case <-changed:
		case <-d.ctx.Done():
		}
	}
}

// breath reports whether the gate is open for a moment, and returns what is closed when
// it changes.
func (s *shardState) breath() (changed <-chan struct{}, breathes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changesLocked(), s.gate == breathing
}

// hookGrace is how long the hooks that run when a drain is over may take to end.
const hookGrace = 500 * time.Millisecond

// endAll ends the objects, each when its turn to do so comes. It waits for all of them, but
// not, when the drain is over, for hooks that do not hear: those go on holding their
// objects, which end, or are given back, when the hooks return.
func (d *drain) endAll(all []*activation) error {
	var busy tally.Tally
	for _, a := range all {
		if d.isOver() != nil {
			break
		}
		t := &turn{parent: d.ctx, act: a, entry: entry(stop), mode: alone, flags: inner}
		w, ok, err := d.node.enter(t, a)
		switch {
		case err != nil || !ok: // it has ended meanwhile
		case w == nil && !a.typ.Hooks.Deactivate && !a.typ.Hooks.Snapshot:
			d.node.end(t.act, nil, ending{reason: object.ReasonMoved})
		default:
			busy.Begin()
			d.node.run(func() {
				defer busy.End()
				d.end(t, w)
			})
		}
	}
	if busy.Wait(d.ctx) != nil {
		grace, cancel := context.WithCancel(context.WithoutCancel(d.ctx))
		defer cancel()
		defer d.node.cfg.Clock.AfterFunc(hookGrace, cancel).Stop()
		_ = busy.Wait(grace)
	}
	return d.isOver()
}

// isOver is why the drain must not go on; nil where it may.
func (d *drain) isOver() error {
	if d.node.suspended() {
		return ErrSuspended
	}
	return context.Cause(d.ctx)
}

// end ends one object that is busy or has hooks.
func (d *drain) end(t *turn, w *waiter) {
	if w != nil {
		if _, err := d.node.wait(t, w); err != nil {
			return
		}
	}
	err := t.exited() // where OnSnapshot ends its goroutine
	defer func() {
		if err != nil {
			d.fail(err)
			_ = d.node.giveBack(t)
			return
		}
		d.node.end(t.act, nil, ending{reason: object.ReasonMoved})
	}()
	err = d.keep(t.act)
}

// keep puts what an object wants to have on the next node into the shard's memory: the
// object may come up once more before the move.
func (d *drain) keep(a *activation) error {
	if err := d.isOver(); err != nil {
		return err
	}
	k, failure := d.node.snapshot(d.ctx, a)
	switch {
	case failure != nil:
		return failure
	case d.isOver() != nil: // nobody waits for it any more: the object stays
		return d.isOver()
	case k.ID == "":
		return nil
	}
	d.shard.mu.Lock()
	defer d.shard.mu.Unlock()
	if d.shard.epoch.Load() != d.epoch {
		return errNotOwned
	}
	d.node.keep(d.shard, []Kept{k})
	return nil
}
