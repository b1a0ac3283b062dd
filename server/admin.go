package server

import (
	"context"
	"fmt"
	"net"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/admin"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
)

// serveAdmin answers operators from before the server is ready until everything else has
// stopped: so they can ask what it waits for.
func (s *Server) serveAdmin(ctx context.Context, p *parts, ready func()) error {
	service, err := admin.New(admin.Config{
		Lacks: func() string { return s.lacks(p) }, Examine: func() { s.examine(p) }, Stats: func() admin.Stats { return s.stats(p) },
		Logger: s.cfg.Logger,
	})
	if err != nil {
		return err
	}
	bound, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.AdminAddress)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.AdminAddress, err)
	}
	if addr := bound.Addr().String(); !loopback(addr) { // what the machine calls localhost is not
		_ = bound.Close()
		return fmt.Errorf("listen on %s: it is %s, and no loopback address", s.cfg.AdminAddress, addr)
	}
	s.setAddr(adminService, bound.Addr().String())
	s.cfg.Logger.InfoContext(ctx, "answering operators", "addr", bound.Addr().String())
	ready()
	return service.Serve(ctx, bound, func(ctx context.Context) (context.Context, func()) {
		until, release := s.untilDeadline(ctx)
		until, cancel := context.WithTimeout(until, lastWords)
		return until, func() { cancel(); release() }
	})
}

// lacks is why the server should not be given work, in a word; empty: it should.
func (s *Server) lacks(p *parts) string {
	switch phase(s.phase.Load()) {
	case created, starting:
		return "starting"
	case stopping, stopped:
		return "stopping"
	case running:
	}
	if why := s.vitals.lacks(); why != "" {
		return why
	}
	m := p.member.Load()
	if m == nil {
		return "starting"
	}
	state := m.State()
	switch {
	case state.Lease == shard.LeaseSuspect && state.ValidFor > 0:
		return "suspect"
	case state.Lease != shard.LeaseValid || state.ValidFor <= 0:
		return "fenced"
	case leaves(m):
		return "draining"
	}
	return ""
}

// leaves reports whether the member's shards are to go to others.
func leaves(m *cluster.Member) bool {
	for _, info := range m.Members() {
		if info.Incarnation == m.Incarnation() {
			return info.Leaving || info.Draining
		}
	}
	return false
}

// examine takes the locks that calls take, one after the other.
func (s *Server) examine(p *parts) {
	s.Addr()
	s.vitals.lacks()
	for n := range s.cfg.Shards {
		p.node.Serves(uint32(n))
	}
	p.node.Counters()
	if p.clients != nil {
		p.clients.Clients()
	}
	if m := p.member.Load(); m != nil {
		m.State()
	}
}

// byName are counts of all codes but OK, by the codes' names.
func byName(counts map[object.Code]uint64) map[string]uint64 {
	names := make(map[string]uint64)
	for code := object.CodeOK + 1; code <= object.CodeUnauthenticated; code++ {
		names[code.String()] = counts[code]
	}
	return names
}

// stats are the server's figures.
func (s *Server) stats(p *parts) admin.Stats {
	counters, lost := p.node.Counters(), p.router.LostPushes()
	stats := admin.Stats{
		Objects: p.node.Activations(), ObjectsByType: p.node.Population(), Activations: counters.Activations, Deactivations: counters.Deactivations,
		CallsWaiting: counters.Waiting, Links: p.router.Links(), Ready: s.lacks(p) == "",
		CallErrors: byName(p.node.CallErrors()),
		LostPushes: admin.LostPushes{OnTheWay: lost.OnTheWay, Gone: lost.Gone, Refused: lost.Refused},
	}
	if p.clients != nil {
		stats.Clients = p.clients.Clients()
	}
	if m := p.member.Load(); m != nil {
		state := m.State()
		stats.ShardsOpen, stats.ShardsBusy, stats.ShardsUnowned = state.Open, state.Busy, m.Unowned()
		stats.LeaseValid, stats.Fenced, stats.Members = state.ValidFor, state.ValidFor <= 0, state.Members
	}
	return stats
}
