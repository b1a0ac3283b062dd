package main

import (
	"fmt"

	"github.com/xiaonanln/goverse/bench/echo"
	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/protoactor"
	"github.com/xiaonanln/goverse/bench/report"
)

// remoteBaselines are the rows that every other row is compared with.
func remoteBaselines() []string {
	return []string{echo.Batched().Name(), echo.Unary().Name(), protoactor.Remote().Name(), protoactor.RemoteGrain().Name()}
}

// pacedPeers are those that are measured at a fixed rate too.
func pacedPeers() []string {
	return []string{
		echo.Batched().Name(), echo.Unary().Name(), protoactor.RemoteGrain().Name(),
		goverse.Pair(false).Name(), goverse.Pair(true).Name(),
	}
}

// figures are what the project promises of calls to another process: none where times mean nothing.
func (p remotePlan) figures() []report.Figure {
	if p.short {
		return nil
	}
	const small, large = 16, 1024
	var (
		own     = goverse.Pair(false).Name()
		shared  = goverse.Pair(true).Name()
		batched = echo.Batched().Name()
		unary   = echo.Unary().Name()
		grain   = protoactor.RemoteGrain().Name()
		plain   = protoactor.Remote().Name()
	)
	var all []report.Figure
	for _, callers := range []int{64, 512} {
		times := func(baseline string, payload int, atLeast float64) {
			claim := fmt.Sprintf("%d callers, %d bytes: times %s", callers, payload, baseline)
			all = append(all, report.CrossingTimes(claim, own, baseline, payload, callers, atLeast))
		}
		times(batched, small, 0.6)
		times(unary, small, 10)
		times(grain, small, 5)
		times(plain, small, 2.5)
		times(grain, large, 3)
	}
	return append(all,
		report.CrossingLatency("1 caller, 16 bytes: p50, times "+unary, own, unary, small, 1, 0.9),
		report.CrossingTimes("64 callers on one client, 16 bytes: Session relayed, times unary Call relayed",
			goverse.Relayed(goverse.ViaSession).Name(), goverse.Relayed(goverse.ViaCall).Name(), small, 64, 4),
		report.CrossingTimes("64 callers on one client, 16 bytes: unary Call, times "+unary,
			goverse.Own(goverse.ViaCall).Name(), unary, small, 64, 0.85),
		report.UpkeepBytes("1000 peers: bytes of a dialled link", goverse.Links(true).Name(), 1000, 64<<10),
		report.UpkeepBytes("1000 peers: bytes of an accepted link", goverse.Links(false).Name(), 1000, 64<<10),
		report.UpkeepBytes("10000 idle clients: bytes of a session", goverse.Sessions().Name(), 10_000, 40<<10),
		report.CrossingAllocations("64 callers, 16 bytes: allocations beyond the messages'", own, small, 64, 6),
		report.CrossingAllocations("shared+thunks, 64 callers, 16 bytes: allocations beyond the messages'", shared, small, 64, 6),
	)
}
