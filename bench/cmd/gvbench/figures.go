package main

import (
	"github.com/xiaonanln/goverse/bench/limits"
	"github.com/xiaonanln/goverse/bench/protoactor"
	"github.com/xiaonanln/goverse/bench/report"
)

// baselines are the rows that every other row is compared with.
func baselines() []string {
	return []string{limits.Channel().Name(), limits.ChannelWithCopies().Name(), protoactor.Grain().Name()}
}

func figures() []report.Figure { return nil }
