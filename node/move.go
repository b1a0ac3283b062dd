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
// fence is raised first.
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch < s.epoch.Load() {
		return fmt.Errorf("open shard %d at epoch %d: it is open at %d", shard, epoch, s.epoch.Load())
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
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.epoch.Load(), s.gate == open && !n.suspended(), s.changed
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
// error, as when ctx ends first, the gate is still closed and some objects may have
// ended: [Node.ReopenShard] with what was returned follows.
func (n *Node) DrainShard(ctx context.Context, shard uint32, epoch uint64) (state []Kept, err error) {
	s := &n.shards[shard]
	if err := s.turnOwned(epoch, draining); err != nil {
		return nil, fmt.Errorf("drain shard %d: %w", shard, err)
	}
	d := drain{node: n, ctx: ctx}
	for err == nil && !s.shutIfEmpty() {
		err = d.endAll(s.snapshot())
	}
	state = append(d.state, s.takeKept()...)
	if err != nil {
		return state, fmt.Errorf("drain shard %d: %w", shard, err)
	}
	return state, nil
}

// shutIfEmpty closes the gate for good where no object is left.
func (s *shardState) shutIfEmpty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != nil {
		return false
	}
	s.turnGate(shut)
	return true
}

// drain is the end of a shard's objects.
type drain struct {
	node *Node
	ctx  context.Context //nolint:containedctx // of the one operation

	mu    sync.Mutex
	state []Kept // guarded by mu
	err   error  // guarded by mu: the first
}

// endAll ends the objects, each when its turn to do so comes. It waits for all of them.
func (d *drain) endAll(all []*activation) error {
	var busy sync.WaitGroup
	for _, a := range all {
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = context.Cause(d.ctx)
	}
	return d.err
}

// end ends one object that is busy or has hooks.
func (d *drain) end(t *turn, w *waiter) {
	if w != nil {
		if _, err := d.node.wait(t, w); err != nil {
			return
		}
	}
	k, failure := d.node.snapshot(t.act)
	d.mu.Lock()
	if k.ID != "" {
		d.state = append(d.state, k)
	}
	if failure != nil && d.err == nil {
		d.err = failure
	}
	d.mu.Unlock()
	if failure != nil {
		_ = d.node.giveBack(t)
		return
	}
	d.node.end(t.act, nil, ending{reason: object.ReasonMoved})
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
	s.kept = nil
	s.turnGate(shut)
	s.mu.Unlock()
	for _, a := range s.snapshot() {
		n.disown(a)
	}
}

// disown takes an activation out of memory although turns may run on it.
func (n *Node) disown(a *activation) {
	a.lock()
	a.lost.Store(true)
	a.refuseCalls(&object.Error{Code: object.CodeUnavailable, Message: movingMessage})
	if a.phase == live {
		n.endLost(a)
	}
	a.unlock()
}

// endLost ends a live activation that is lost as soon as nothing runs on it. Its lock is
// held.
func (n *Node) endLost(a *activation) {
	if a.phase, a.failing = closing, true; a.quiet() {
		a.writer = true
		n.run(func() { n.end(a, nil, ending{reason: object.ReasonFenced}) })
	}
}
