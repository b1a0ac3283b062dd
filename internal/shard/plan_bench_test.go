package shard_test

import (
	"fmt"
	"testing"

	"github.com/xiaonanln/goverse/internal/shard"
)

// equalNodes returns so many equal nodes that accept.
func equalNodes(n int) []shard.Node {
	all := make([]shard.Node, n)
	for i := range all {
		all[i] = shard.Node{ID: fmt.Sprintf("node-%04d", i), Weight: 1, Accepts: true}
	}
	return all
}

// settledOn returns shards as the plan from scratch spreads them over nodes.
func settledOn(nodes []shard.Node, shards int) []shard.Holding {
	held := make([]shard.Holding, shards)
	for _, c := range shard.Plan(nodes, held, shard.Limits{}) {
		held[c.Shard].Owner = c.To
	}
	return held
}

func BenchmarkPlan(b *testing.B) {
	thousand := equalNodes(1000)
	full := settledOn(thousand, shard.DefaultCount)
	draining := equalNodes(1000)
	for i := range draining {
		draining[i].Drains = i%2 == 0
	}
	for _, run := range []struct {
		name   string
		nodes  []shard.Node
		held   []shard.Holding
		limits shard.Limits
	}{
		{"scratch", thousand, make([]shard.Holding, shard.DefaultCount), shard.Limits{}},
		{"lost", thousand[1:], full, shard.Limits{}},
		{"settled", thousand, full, shard.Limits{}},
		{"join", equalNodes(1001), full, shard.Limits{}},
		{"double", equalNodes(2000), full, shard.Limits{}},
		{"halve", draining, full, shard.Limits{}},
		{"halve/unlimited", draining, full, shard.Limits{InFlight: -1, PerPair: 1}},
		{"fourth", equalNodes(4), settledOn(equalNodes(3), shard.DefaultCount), shard.Limits{}},
	} {
		b.Run(run.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				shard.Plan(run.nodes, run.held, run.limits)
			}
		})
	}
}
