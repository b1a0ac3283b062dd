package node_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// BenchmarkObservationCost is what a local call takes more on a node that is observed, as by an
// inspector that nobody looks at and by one with a tab. Three nodes take turns in blocks of 2000
// calls by one goroutine: one that is not observed, another such one, and the observed one. "cost"
// is by how much the 20 % quantile of the blocks of the observed node lies above that of the first,
// in ns a call: what other programs and the collector of garbage do is left out of it, as is what
// is not done at each call. "control" is the same of the second node: how far one can trust it.
func BenchmarkObservationCost(b *testing.B) {
	for name, aim := range map[string]*inspectmsg.WatchRequest{"nobody looks": {Unattended: true}, "a tab": {Objects: true}} {
		b.Run(name, func(b *testing.B) {
			opts := []object.RegisterOption{object.ShareMessages(), object.Methods(object.Method((*Counter).Add))}
			nodes := [3]*node.Node{benchNode(b, opts...), benchNode(b, opts...), benchNode(b, opts...)}
			o := nodes[2].Observe()
			defer o.Close()
			o.Aim(aim)
			collected := time.Now()
			var blocks [3][]float64
			for round := 0; b.Loop(); round++ {
				for i := range nodes {
					which := (round + i) % len(nodes)
					blocks[which] = append(blocks[which], block(b, nodes[which]))
				}
				if time.Since(collected) > 500*time.Millisecond {
					collected = time.Now()
					o.Collect()
				}
			}
			var quantiles [3]float64
			for i := range blocks {
				slices.Sort(blocks[i])
				quantiles[i] = blocks[i][len(blocks[i])/5]
			}
			b.ReportMetric(quantiles[0], "plain-ns")
			b.ReportMetric(quantiles[1]-quantiles[0], "control-ns")
			b.ReportMetric(quantiles[2]-quantiles[0], "cost-ns")
		})
	}
}

// block makes calls one after the other and returns how long each took, in ns.
func block(b *testing.B, n *node.Node) float64 {
	b.Helper()
	const calls = 2000
	req, ctx, from := wrapperspb.String("hello"), b.Context(), time.Now()
	for range calls {
		if _, err := n.Call(ctx, "Counter-1", "Add", req); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(from)) / calls
}
