package server

import "github.com/xiaonanln/goverse/util/clock"

// SetClock replaces the clock of a server that has not started.
func (s *Server) SetClock(c clock.Clock) { s.clock = c }
