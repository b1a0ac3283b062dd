//go:build unix

package node_test

import (
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// BenchmarkObservationCost is the processor time of local calls by 64 callers on a node that is
// observed, over that on one that is not: rounds alternate, and "cost" is the ratio of the
// medians. It holds on a busy machine too, unlike times by the clock.
func BenchmarkObservationCost(b *testing.B) {
	opts := []object.RegisterOption{object.ShareMessages(), object.Methods(object.Method((*Counter).Add))}
	nodes := []*node.Node{benchNode(b, opts...), benchNode(b, opts...)}
	o := nodes[1].Observe()
	defer o.Close()
	o.Aim(&inspectmsg.WatchRequest{Objects: true})
	var used [2][]int64
	for b.Loop() {
		for i, n := range nodes {
			before := processorTime(b)
			callers(b, n, 64, 1000)
			used[i] = append(used[i], processorTime(b)-before)
		}
	}
	slices.Sort(used[0])
	slices.Sort(used[1])
	mid := len(used[0]) / 2
	b.ReportMetric(float64(used[1][mid])/float64(used[0][mid]), "cost")
	b.ReportMetric(float64(used[0][mid])/64_000, "cpu-ns/call")
}

func callers(b *testing.B, n *node.Node, count, calls int) {
	b.Helper()
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() {
			id, req := "Counter-"+strconv.Itoa(i), wrapperspb.String("hello")
			for range calls {
				if _, err := n.Call(b.Context(), id, "Add", req); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// processorTime is what the process has used, in ns.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
