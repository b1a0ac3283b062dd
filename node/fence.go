package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"unsafe"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

// Why a node refuses calls: bits of Node.closed.
const (
	closedByStop  uint32 = 1 << iota // it stops: only what has begun goes on
	closedByFence                    // it may not own its shards any more: nothing begins
)

// fencedMessage refuses calls of a node that cannot tell whether it owns its shards.
const fencedMessage = "the node is cut off from its cluster"

// ErrSuspended is the cause of turns whose node was suspended, beside the one that
// [Node.Suspend] was given.
var ErrSuspended = errors.New(fencedMessage)

// era is the time between two suspensions. The contexts of the turns that run in it end
// with it.
type era struct {
	ctx context.Context //nolint:containedctx // a time of the node's, not a caller's context
	end context.CancelCauseFunc

	ends [8]struct { // ctx's end, once for some of those that follow it
		ends.Point

		_ [64 - unsafe.Sizeof(ends.Point{})]byte // a cache line each
	}
}

func (n *Node) newEra() {
	ctx, end := context.WithCancelCause(n.killed)
	e := &era{ctx: ctx, end: end}
	context.AfterFunc(ctx, func() {
		for i := range e.ends {
			e.ends[i].End()
		}
	})
	n.era.Store(e)
}

// follow has f told when the era ends; false: it has ended.
func (e *era) follow(f *ends.Follower) bool {
	p := &e.ends[rand.Uint32()%uint32(len(e.ends))] //nolint:gosec // G404: it spreads them and protects nothing
	return p.Follow(f) && e.ctx.Err() == nil
}

// interrupted reports whether all that runs is to end.
func (n *Node) interrupted() bool { return n.era.Load().ctx.Err() != nil }

func (n *Node) stopping() bool { return n.closed.Load()&closedByStop != 0 }

func (n *Node) suspended() bool { return n.closed.Load()&closedByFence != 0 }

// fenceFell reports whether a suspension of the node is why the turn's context, or its
// caller's, has ended.
func (t *turn) fenceFell() bool {
	return t.node().suspended() || errors.Is(context.Cause(t), ErrSuspended) || errors.Is(context.Cause(t.parent), ErrSuspended)
}

// fenced refuses a turn on a suspended node.
func (t *turn) fenced() *object.Error {
	return t.refuse(object.CodeUnavailable, object.Fenced, fencedMessage)
}

// refuseClosed refuses a call that a closed node does not take; nil where it does.
func (n *Node) refuseClosed(t *turn, why uint32) error {
	switch {
	case why&closedByFence != 0:
		return t.fenced()
	case !t.chained():
		return t.refuse(object.CodeUnavailable, "", stopMessage)
	}
	return nil
}

// Suspend fences the node: no call begins any more, those that wait are refused as not
// executed, and the contexts of running turns end with cause and [ErrSuspended]. What
// is in memory stays. It may be called again, and is undone by [Node.Resume].
func (n *Node) Suspend(cause error) {
	if n.closed.Or(closedByFence)&closedByFence != 0 {
		return
	}
	n.era.Load().end(errors.Join(ErrSuspended, cause))
	for s := range n.sets {
		for _, a := range s.snapshot() {
			a.lock()
			a.refuseCalls(&object.Error{Code: object.CodeUnavailable, Reason: object.Fenced, Message: fencedMessage})
			a.unlock()
		}
		s.touch()
	}
}

// Resume takes calls again after [Node.Suspend]: the shards are the node's still, under
// the same epochs.
func (n *Node) Resume() {
	if !n.suspended() {
		return
	}
	n.newEra()
	n.closed.And(^closedByFence)
	for s := range n.sets {
		s.touch()
	}
}

// awaitResume returns when the node is not suspended, or its end has come.
func (n *Node) awaitResume(s *shardState) {
	for n.suspended() && n.killed.Err() == nil {
		changed := s.change()
		if !n.suspended() {
			return
		}
		select {
		case <-changed:
		case <-n.killed.Done():
		}
	}
}

// touch wakes those who wait for the shard's gate: it is as it was, the node is not.
func (s *shardState) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turnGate(s.gate)
}

// sets are the shards, and the set of those that belong to none.
func (n *Node) sets(yield func(*shardState) bool) {
	for i := range n.shards {
		if !yield(&n.shards[i]) {
			return
		}
	}
	yield(&n.clients)
}
