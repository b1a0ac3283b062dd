package routing

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/xiaonanln/goverse/cluster"
)

// Host is the node as the cluster's member drives it. It implements [cluster.Host].
type Host struct {
	router *Router
	limbo  limbo

	mu        sync.Mutex         // guards the fields below
	drained   map[uint32]drained // what was handed out and may have to be put back
	lost      map[uint32]uint64  // the last epoch of shards that ended without a hand-over
	suspended chan struct{}      // closed by Suspend

	losses atomic.Bool // there are any
}

// drained is what a drain has handed out.
type drained struct {
	epoch uint64
	kept  []Kept
}

var _ cluster.Host = (*Host)(nil)

func newHost(r *Router) *Host {
	return &Host{
		router: r, drained: make(map[uint32]drained), lost: make(map[uint32]uint64), suspended: make(chan struct{}),
		limbo: newLimbo(r.cfg),
	}
}

// OpenShard implements [cluster.Host].
func (h *Host) OpenShard(ctx context.Context, shard uint32, epoch uint64, handover int64) error {
	kept, err := h.limbo.look(shard, handover, epoch)
	if err != nil { // nobody will send it again
		h.router.cfg.Logger.ErrorContext(ctx, "what objects kept through a move is lost", "shard", shard, "error", err.Error())
	}
	if err := h.router.cfg.Node.OpenShard(ctx, shard, epoch, kept); err != nil {
		return fmt.Errorf("open shard %d: %w", shard, err)
	}
	h.limbo.close(shard, epoch)
	return nil
}

// DrainShard implements [cluster.Host].
func (h *Host) DrainShard(ctx context.Context, shard uint32, epoch uint64, target cluster.Route, handover int64) error {
	kept, err := h.router.cfg.Node.DrainShard(ctx, shard, epoch)
	if err != nil {
		return fmt.Errorf("drain shard %d: %w", shard, err)
	}
	h.mu.Lock()
	h.drained[shard] = drained{epoch, kept}
	h.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	if err := h.router.handOver(ctx, shard, target, handover, kept); err != nil {
		return fmt.Errorf("hand over shard %d to %s: %w", shard, target.Incarnation, err)
	}
	return nil
}

// ReopenShard implements [cluster.Host].
func (h *Host) ReopenShard(shard uint32, epoch uint64) {
	h.router.cfg.Node.ReopenShard(shard, epoch, h.takeBack(shard, epoch))
}

// takeBack is what a drain has handed out.
func (h *Host) takeBack(shard uint32, epoch uint64) []Kept {
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
	h.mu.Lock()
	delete(h.drained, shard)
	if why != cluster.ReleaseMoved {
		h.lost[shard] = max(epoch, h.lost[shard])
		h.losses.Store(true)
	}
	h.mu.Unlock()
	h.router.cfg.Node.ReleaseShard(shard, epoch)
}

// hasLost says whether an epoch of a shard has ended in a way that turns which began in it may have outlived.
func (h *Host) hasLost(shard uint32, epoch uint64) bool {
	if !h.losses.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return epoch <= h.lost[shard]
}

// Suspend implements [cluster.Host].
func (h *Host) Suspend(cause error) {
	h.router.cfg.Node.Suspend(cause)
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.suspended)
	h.suspended = make(chan struct{})
}

// Resume implements [cluster.Host].
func (h *Host) Resume() { h.router.cfg.Node.Resume() }

// fence is closed when the node is suspended next.
func (h *Host) fence() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.suspended
}
