package routing

import (
	"context"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/node"
)

// kind says where a shard is.
type kind uint8

const (
	nowhere kind = iota // nobody is known to own it
	soon                // this node owns it, or is about to, and its gate is closed
	here
	there // another member owns it
)

// place is where a shard is, and what is closed when that may have changed; nil for never.
type place struct {
	kind    kind
	epoch   uint64        // under which this node owns the shard; 0: it does not
	route   cluster.Route // of the owner, if it is known
	gate    <-chan struct{}
	changed <-chan struct{}
}

// find says where a shard is. A node that owns a shard answers for it until it lets go, unless the table names somebody
// with a later epoch. A node that owns a shard whose gate is closed will open it or let go of it: then it is the gate
// alone that is waited for, as the table changes with every shard of the cluster.
func (v *view) find(n *node.Node, shard uint32) place {
	if p := v.glance(n, shard); p.kind != soon {
		return p
	}
	var p place
	if v.table != nil {
		p.changed = v.table.Changed() // before the route is looked at
	}
	epoch, open, gate := n.Gate(shard)
	p.epoch, p.gate = epoch, gate
	known := false
	if v.table != nil {
		p.route, known = v.table.Route(shard)
	}
	later := known && p.route.Epoch > p.epoch
	switch {
	case later && p.route.Incarnation != v.self:
		p.kind = there
	case later:
		p.kind = soon
	case open:
		p.kind = here
	case p.epoch != 0:
		p.kind, p.changed = soon, nil
	}
	return p
}

// glance is find for what needs no waiting; it says soon where there is more to look at.
func (v *view) glance(n *node.Node, shard uint32) place {
	p := place{kind: soon}
	var open, known bool
	p.epoch, open = n.Serves(shard)
	if v.table != nil {
		p.route, known = v.table.Route(shard)
	}
	later := known && p.route.Epoch > p.epoch
	switch {
	case later && p.route.Incarnation != v.self:
		p.kind = there
	case !later && open:
		p.kind = here
	}
	return p
}

// await waits until the place may have changed; false: ctx ended.
func (v *view) await(ctx context.Context, p place) bool {
	select {
	case <-p.gate:
	case <-p.changed:
	case <-v.over:
	case <-ctx.Done():
		return false
	}
	return true
}
