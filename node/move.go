package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/xiaonanln/goverse/object"
)

// movingMessage refuses calls of an object whose shard is another node's, or about to be.
const movingMessage = "the object's shard is not open on this node"

var errNotOwned = errors.New("the node does not own the shard under this epoch")

// OpenShard makes the node own a shard under the given epoch, which must be greater
// than zero and grow with every owner, with the state that came along. The store's
// fence is raised first. What is left of an earlier epoch is given up, as by
// [Node.ReleaseShard].
func (n *Node) OpenShard(ctx context.Context, shard uint32, epoch uint64, state []Kept) error {
	if int(shard) >= len(n.shards) || epoch == 0 {
		return fmt.Errorf("open shard %d at epoch %d: %w", shard, epoch, object.ErrInvalidArgument)
	}
	if n.cfg.Fence != nil {
		if err := n.cfg.Fence(ctx, shard, epoch); err != nil {
			return fmt.Errorf("fence shard %d at epoch %d: %w", shard, epoch, err)
		}
	}
	s := &n.shards[shard]
	if earlier := s.epoch.Load(); earlier < epoch {
		n.ReleaseShard(shard, earlier)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := max(s.epoch.Load(), s.past); epoch < known {
		return fmt.Errorf("open shard %d at epoch %d: it has been opened at %d", shard, epoch, known)
	}
	s.epoch.Store(epoch)
	n.keep(s, state)
	s.turnGate(open)
	return nil
}

// Epoch returns the epoch under which the node owns a shard; zero where it does not.
func (n *Node) Epoch(shard uint32) uint64 { return n.shards[shard].epoch.Load() }

// Gate tells whether a shard takes calls, under which epoch the node owns it (zero: it
// does not), and returns a channel that is closed when this may have changed.
func (n *Node) Gate(shard uint32) (epoch uint64, isOpen bool, changed <-chan struct{}) {
	s := &n.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch.Load(), s.gate == open && !n.suspended(), s.changesLocked()
}

// turnOwned changes the gate of a shard that the node owns under the epoch.
func (s *shardState) turnOwned(epoch uint64, g gate) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch.Load() != epoch || epoch == 0 {
		return errNotOwned
	}
	s.turnGate(g)
	return nil
}

// DrainShard closes the shard's gate, lets what runs there finish, with the calls of
// its chains, and ends the objects, each with [object.ReasonMoved]. It returns what
// they want to have on the next node; nothing of the shard is in memory then. After an
// error, as when ctx or the node is cut off first, the gate is still closed and some
// objects may have ended, whose state is still the shard's: [Node.ReopenShard] follows.
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
			err = d.endAll(left)
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
	return &drain{n, s, epoch, ctx, fail}, func() { unlink(); fail(nil) }
}

// endAll ends the objects, each when its turn to do so comes. It waits for all of them.
func (d *drain) endAll(all []*activation) error {
	var busy sync.WaitGroup
	for _, a := range all {
		if d.isOver() != nil {
			break
		}
		t := &turn{parent: d.ctx, node: d.node, act: a, hook: stop, mode: alone, flags: flags{inner: true}}
		w, ok, err := d.node.enter(t, a)
		switch {
		case err != nil || !ok: // it has ended meanwhile
		case w == nil && !a.typ.Hooks.Deactivate && !a.typ.Hooks.Snapshot:
			d.node.end(t.act, nil, ending{reason: object.ReasonMoved})
		default:
			busy.Add(1)
			d.node.run(func() {
				defer busy.Done()
				d.end(t, w)
			})
		}
	}
	busy.Wait()
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

// ReopenShard takes a drain back: the gate opens, and the objects' state is the
// shard's again.
func (n *Node) ReopenShard(shard uint32, epoch uint64, state []Kept) error {
	s := &n.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch.Load() != epoch || epoch == 0 {
		return fmt.Errorf("reopen shard %d: %w", shard, errNotOwned)
	}
	n.keep(s, state)
	s.turnGate(open)
	return nil
}

// ReleaseShard gives a shard up: it is another node's. What is left of it in memory is
// lost: calls that wait are refused as not executed, turns that run end without a
// success, and then their objects with [object.ReasonFenced].
func (n *Node) ReleaseShard(shard uint32, epoch uint64) {
	s := &n.shards[shard]
	s.mu.Lock()
	if s.epoch.Load() != epoch || epoch == 0 {
		s.mu.Unlock()
		return
	}
	s.epoch.Store(0)
	s.past = epoch
	s.kept = nil
	s.turnGate(shut)
	left := s.all()
	s.mu.Unlock()
	for _, a := range left {
		n.disown(a)
	}
}

// disown takes an activation out of the directory although turns may run on it. The
// object may come up anew when the shard is the node's again.
func (n *Node) disown(a *activation) {
	seg, _ := n.objects.of(a.id)
	seg.mu.Lock()
	defer seg.mu.Unlock()
	a.lock()
	defer a.unlock()
	if a.phase == dead || a.lost.Load() {
		return
	}
	a.lost.Store(true)
	seg.remove(a)
	a.refuse(&object.Error{Code: object.CodeUnavailable, Message: movingMessage}, true)
	if a.phase == fresh || a.phase == live {
		n.endLost(a)
	}
}

// endLost ends an activation that is lost as soon as nothing runs on it. Its lock is
// held.
func (n *Node) endLost(a *activation) {
	if a.phase, a.failing = closing, true; a.quiet() {
		a.writer = true
		n.run(func() { n.end(a, nil, ending{reason: object.ReasonFenced}) })
	}
}
