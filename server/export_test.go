package server

import (
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

// SetClock replaces the clock of a server that has not started.
func (s *Server) SetClock(c clock.Clock) { s.clock = c }

// Plant leaves guards out of a server that has not started.
func (s *Server) Plant(flaws shard.Flaws) { s.flaws = flaws }
