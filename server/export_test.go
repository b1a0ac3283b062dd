package server

import (
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

// SetClock replaces the clock of a server that has not started.
func (s *Server) SetClock(c clock.Clock) { s.clock = c }

// Plant leaves guards out of a server that has not started.
func (s *Server) Plant(flaws shard.Flaws) { s.flaws = flaws }

// Link is the way to its coordinator of a server that runs with "memory:".
func (s *Server) Link() *mem.Client { return s.parts.Load().store.(*mem.Client) }

// Fail has the server hear that one of its parts has failed, while the others are there.
func (s *Server) Fail(err error) { s.observe(lifecycle.Event{Service: "a part", Err: err}) }

// Journal is what has happened to a server.
func (s *Server) Journal() *journal.Journal { return s.parts.Load().chronicle.journal }

// TooSlow has the server hear of a client that was disconnected, as it did not read.
func (s *Server) TooSlow(id string) { s.parts.Load().chronicle.clientTooSlow(id) }

// Coordinator is the store of a server that runs with "memory:", for all its users.
func (s *Server) Coordinator() *mem.Store {
	s.coordinators.mu.Lock()
	defer s.coordinators.mu.Unlock()
	return s.coordinators.open[s.cfg.Cluster].store
}

// Join is another user of a cluster's coordinator.
func (c *Coordinators) Join(cluster string, clk clock.Clock) (store coord.Store, leave func()) {
	return c.join(cluster, clk)
}

// Outage takes the coordinators away, or gives them back.
func (c *Coordinators) Outage(outage bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, own := range c.open {
		own.store.SetOutage(outage)
	}
}
