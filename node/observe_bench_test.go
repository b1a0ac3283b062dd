package node_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// BenchmarkLocalCall is 64 callers, each of an object of its own. Unwatched and watched
// alternate: compare medians of several -count in one run.
func BenchmarkLocalCall(b *testing.B) {
	for _, watched := range []bool{false, true} {
		name := map[bool]string{false: "unwatched", true: "watched"}[watched]
		b.Run(name, func(b *testing.B) {
			n := benchNode(b, object.ShareMessages(), object.Methods(object.Method((*Counter).Add)))
			if watched {
				o := n.Observe()
				defer o.Close()
				o.Aim(&inspectmsg.WatchRequest{Objects: true})
			}
			benchCallers(b, n)
		})
	}
}

func benchCallers(b *testing.B, n *node.Node) {
	b.Helper()
	var next atomic.Int64
	b.SetParallelism(32) // times GOMAXPROCS, 2 where it is measured
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		id := "Counter-" + strconv.FormatInt(next.Add(1), 10)
		req := wrapperspb.String("hello")
		for pb.Next() {
			if _, err := n.Call(b.Context(), id, "Add", req); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkSearch is among a third of a million objects, the share of one of three nodes.
func BenchmarkSearch(b *testing.B) {
	n := benchNode(b)
	o := n.Observe()
	defer o.Close()
	for i := range 333_000 {
		if _, err := n.Call(b.Context(), fmt.Sprintf("Counter-%d", i), "Add", wrapperspb.String("x")); err != nil {
			b.Fatal(err)
		}
	}
	for name, req := range map[string]*inspectmsg.SearchRequest{
		"id":     {},
		"far":    {Offset: 300_000},
		"prefix": {Prefix: "12"},
		"calls":  {Sort: inspectmsg.SearchRequest_SORT_CALLS},
		"age":    {Sort: inspectmsg.SearchRequest_SORT_AGE},
		"busy":   {Busy: true},
		"idle":   {Sort: inspectmsg.SearchRequest_SORT_IDLE},
		"deep":   {Sort: inspectmsg.SearchRequest_SORT_IDLE, Limit: 11_000},
		"deepID": {Limit: 11_000},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = n.Search(b.Context(), req)
			}
		})
	}
}
