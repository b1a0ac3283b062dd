package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// newInspection is what the node port serves to inspectors. It trusts that port as links do: who reaches it may
// inspect and act.
func (s *Server) newInspection(p *parts) *inspection.Service {
	cfg := inspection.Config{
		Registry: s.cfg.Registry, Node: visible{p.node}, Cluster: operators{p.member.Load, s.cfg.Shards},
		Call: func(ctx context.Context, id, method string, req proto.Message) (proto.Message, error) {
			return s.CallObject(ctx, id, method, req)
		},
		Vitals:  func(v *inspectmsg.Vitals) { s.fillVitals(p, v) },
		Journal: p.chronicle.journal, Clock: s.clock, Logger: s.cfg.Logger,
	}
	if p.clients != nil {
		cfg.Clients = p.clients
	}
	return inspection.New(cfg)
}

// visible is the node as inspectors see it.
type visible struct{ *node.Node }

// Observe implements [inspection.Node].
func (v visible) Observe() inspection.Observation { return v.Node.Observe() }

// fillVitals tells what the parts know.
func (s *Server) fillVitals(p *parts, v *inspectmsg.Vitals) {
	v.Address, v.ClientAddress = s.advertised(s.Addr()), s.ClientAddr()
	v.Objects = uint64(p.node.Activations()) //nolint:gosec // G115: not negative
	counters := p.node.Counters()
	v.Activations, v.Deactivations, v.Waiting = counters.Activations, counters.Deactivations, counters.Waiting
	if p.clients != nil {
		v.Clients, v.Pushes = uint64(p.clients.Clients()), p.clients.Pushes() //nolint:gosec // G115: not negative
	}
	lost := p.router.LostPushes()
	v.LostPushes = lost.OnTheWay + lost.Gone + lost.Refused
	stops := phase(s.phase.Load()) >= stopping
	v.Stopping, v.Draining = stops, stops || p.chronicle.drains.Load()
	m := p.member.Load()
	if m == nil {
		v.Lease = shard.LeaseState(0).String()
		return
	}
	st := m.State()
	v.Incarnation, v.Lease, v.ValidForNs = st.Incarnation, st.Lease.String(), int64(st.ValidFor)
	v.OpenShards, v.BusyShards = uint64(st.Open), uint64(st.Busy) //nolint:gosec // G115: not negative
	v.Allocator = st.Allocator == st.Incarnation
}

// operators is what they can do to the cluster.
type operators struct {
	member func() *cluster.Member
	shards int
}

// Drain implements [inspection.Cluster].
func (o operators) Drain(ctx context.Context, incarnation string, undo bool) error {
	m := o.member()
	if m == nil {
		return operation("drain", cluster.ErrNotRunning)
	}
	if !undo {
		return operation("drain", m.BeginDrain(ctx, incarnation))
	}
	if _, lives := m.Node(incarnation); !lives {
		return operation("undrain", fmt.Errorf("%w: %s", cluster.ErrNoSuchMember, incarnation))
	}
	return operation("undrain", m.Undrain(ctx, incarnation))
}

// Move implements [inspection.Cluster].
func (o operators) Move(ctx context.Context, n uint32, to string) error {
	m := o.member()
	switch {
	case m == nil:
		return operation("move shard", cluster.ErrNotRunning)
	case int(n) >= o.shards:
		return object.Refuse(object.CodeInvalidArgument, "", "move shard", "", "", fmt.Sprintf("there are only %d shards", o.shards))
	}
	return operation("move shard", m.Move(ctx, n, to))
}

// operation is the error of an operator's wish, with a code.
func operation(op string, err error) error {
	code := object.CodeFailedPrecondition
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cluster.ErrNoSuchMember):
		code = object.CodeNotFound
	case errors.Is(err, cluster.ErrNotRunning), errors.Is(err, coord.ErrUnavailable):
		code = object.CodeUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		code = object.CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = object.CodeCanceled
	}
	return object.Refuse(code, "", op, "", "", err.Error())
}

// newChronicle keeps the events of a server.
func (s *Server) newChronicle() *chronicle {
	return &chronicle{journal: journal.New(s.clock), moved: make(chan struct{}, 1)}
}
