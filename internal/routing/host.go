package routing

import (
	"context"
	"fmt"
	"sync"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/node"
)

// Host is the node as the cluster's member drives it. It implements [cluster.Host].
type Host struct {
	router *Router
	limbo  limbo

	mu        sync.Mutex         // guards the fields below
	drained   map[uint32]drained // what was handed out and may have to be put back
	moved     map[uint32]uint64  // the last epoch of shards that were handed over
	suspended chan struct{}      // closed by Suspend
}

// drained is what a drain has handed out.
type drained struct {
	epoch uint64
	kept  []node.Kept
}

var _ cluster.Host = (*Host)(nil)

func newHost(r *Router) *Host {
	return &Host{
		router: r, limbo: newLimbo(r.cfg), drained: make(map[uint32]drained), moved: make(map[uint32]uint64),
		suspended: make(chan struct{}),
	}
}

// OpenShard implements [cluster.Host].
func (h *Host) OpenShard(ctx context.Context, shard uint32, epoch uint64, handover int64) error {
	kept, err := h.limbo.look(shard, handover, epoch)
	if err != nil { // nobody will send it again
		h.router.cfg.Logger.ErrorContext(ctx, "what objects kept through a move is lost", "shard", shard, "error", err.Error())
	}
	if err := h.router.cfg.Node.OpenShard(ctx, shard, epoch, kept); err != nil {
		return err
	}
	h.limbo.close(shard, epoch)
	return nil
}

// DrainShard implements [cluster.Host].
func (h *Host) DrainShard(ctx context.Context, shard uint32, epoch uint64, target cluster.Route, handover int64) error {
	kept, err := h.router.cfg.Node.DrainShard(ctx, shard, epoch)
	if err != nil || len(kept) == 0 {
		return err
	}
	h.mu.Lock()
	h.drained[shard] = drained{epoch, kept}
	h.mu.Unlock()
	if err := h.router.handOver(ctx, shard, target, handover, kept); err != nil {
		return fmt.Errorf("hand over shard %d to %s: %w", shard, target.Incarnation, err)
	}
	return nil
}

// ReopenShard implements [cluster.Host].
func (h *Host) ReopenShard(shard uint32, epoch uint64) {
	if err := h.router.cfg.Node.ReopenShard(shard, epoch, h.takeBack(shard, epoch)); err != nil {
		h.router.cfg.Logger.Error("shard not opened again", "shard", shard, "epoch", epoch, "error", err.Error())
	}
}

// takeBack is what a drain has handed out.
func (h *Host) takeBack(shard uint32, epoch uint64) []node.Kept {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.drained[shard]
	delete(h.drained, shard)
	if d.epoch != epoch {
		return nil
	}
	return d.kept
}

// ReleaseShard implements [cluster.Host].
func (h *Host) ReleaseShard(shard uint32, epoch uint64, why cluster.ReleaseReason) {
	h.takeBack(shard, epoch)
	if why == cluster.ReleaseMoved {
		h.mu.Lock()
		h.moved[shard] = epoch
		h.mu.Unlock()
	}
	h.router.cfg.Node.ReleaseShard(shard, epoch)
}

// hasMoved says whether a shard was handed over at the end of an epoch, so that no turn of it ran any more.
func (h *Host) hasMoved(shard uint32, epoch uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return epoch != 0 && h.moved[shard] == epoch
}

// Suspend implements [cluster.Host].
func (h *Host) Suspend(cause error) {
	h.router.cfg.Node.Suspend(cause)
	h.limbo.hold(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.suspended)
	h.suspended = make(chan struct{})
}

// Resume implements [cluster.Host].
func (h *Host) Resume() {
	h.limbo.hold(false)
	h.router.cfg.Node.Resume()
}

// fence is closed when the node is suspended next.
func (h *Host) fence() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.suspended
}
