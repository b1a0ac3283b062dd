package node

import (
	"context"
	"errors"
	"fmt"

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
	s.own(epoch)
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
	return s.epoch.Load(), s.gate >= breathing && !n.suspended(), s.changesLocked()
}

// Serves is [Node.Gate] for who does not wait: it costs less.
func (n *Node) Serves(shard uint32) (epoch uint64, isOpen bool) {
	if !n.owned.has(shard) {
		return 0, false // the gate of a shard that is not owned is shut
	}
	if epoch = n.owned.gates[shard].Load(); epoch != 0 {
		return epoch, !n.suspended()
	}
	s := &n.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch.Load(), s.gate >= breathing && !n.suspended()
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
	s.own(0)
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
	a.lost.Lose()
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
