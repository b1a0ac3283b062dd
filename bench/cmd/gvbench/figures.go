package main

import (
	"github.com/xiaonanln/goverse/bench/goverse"
	"github.com/xiaonanln/goverse/bench/limits"
	"github.com/xiaonanln/goverse/bench/measure"
	"github.com/xiaonanln/goverse/bench/protoactor"
	"github.com/xiaonanln/goverse/bench/report"
)

// baselines are the rows that every other row is compared with.
func baselines() []string {
	return []string{limits.Channel().Name(), limits.ChannelWithCopies().Name(), protoactor.Grain().Name()}
}

// figures are what the project promises of itself. Objects are weighed strictly: only the counter's 8 bytes and
// the 16 of its name are the user's own, and all of BaseObject is ours.
func figures() []report.Figure {
	const usersOwn = 8 + 16
	var (
		own     = goverse.Default().Name()
		shared  = goverse.Shared().Name()
		channel = limits.Channel().Name()
		copies  = limits.ChannelWithCopies().Name()
		grain   = protoactor.Grain().Name()
		one     = measure.Workload{Callers: 1, Objects: 1}
		many    = measure.Workload{Callers: 64, Objects: 10_000}
		crowd   = measure.Workload{Callers: 1024, Objects: 1}
	)
	return []report.Figure{
		report.Times("one caller, idle object: times channel+copies", own, copies, one, 0.9),
		report.Times("one caller, idle object: times protoactor grain", own, grain, one, 10),
		report.Times("shared+thunks, one caller: times channel", shared, channel, one, 2.5),
		report.Allocations("shared+thunks, one caller: allocations", shared, one, 3),
		report.Times("64 callers, 10000 objects: times channel", own, channel, many, 2),
		report.Times("64 callers, 10000 objects: times channel+copies", own, copies, many, 2),
		report.Times("64 callers, 10000 objects: times protoactor grain", own, grain, many, 10),
		report.Times("1024 callers, one object: times channel", own, channel, crowd, 0.8),
		report.Times("1024 callers, one object: times channel+copies", own, copies, crowd, 0.8),
		report.OutOfTurn("1024 callers, one object: served out of turn", own),
		report.ActivationTimes("activations: times protoactor grain", own, grain, 8),
		report.ActivationBytes("idle object: bytes over the user's own", own, usersOwn, 300),
		report.Goroutines("all idle objects: goroutines", own, 8),
	}
}
