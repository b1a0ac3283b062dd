package main

import (
	"github.com/xiaonanln/goverse/bench/echo"
	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/report"
)

// remoteBaselines are the rows that every other row is compared with.
func remoteBaselines() []string {
	return []string{echo.Batched().Name(), echo.Unary().Name()}
}

// figures are what the project promises of calls to another process: none where times mean nothing.
func (p remotePlan) figures() []report.Figure {
	if p.short {
		return nil
	}
	const small = 16
	var (
		own     = goverse.Pair(false).Name()
		shared  = goverse.Pair(true).Name()
		batched = echo.Batched().Name()
		unary   = echo.Unary().Name()
	)
	return []report.Figure{
		report.CrossingTimes("64 callers, 16 bytes: times batched echo", own, batched, small, 64, 0.6),
		report.CrossingTimes("512 callers, 16 bytes: times batched echo", own, batched, small, 512, 0.6),
		report.CrossingTimes("64 callers, 16 bytes: times unary echo", own, unary, small, 64, 10),
		report.CrossingTimes("512 callers, 16 bytes: times unary echo", own, unary, small, 512, 10),
		report.CrossingLatency("one caller, 16 bytes: p50, times unary echo", own, unary, small, 1, 0.9),
		report.CrossingAllocations("64 callers, 16 bytes: allocations beyond the messages'", own, small, 64, 6),
		report.CrossingAllocations("shared+thunks, 64 callers, 16 bytes: the same", shared, small, 64, 6),
	}
}
