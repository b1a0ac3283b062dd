//go:build unix

package node_test

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// BenchmarkObservationCost is the processor time of local calls by 64 callers on a node that is
// observed, as by an inspector that nobody looks at and by one with a tab, over that on a node
// that is not: short rounds alternate, "cost" is the median of the ratios of two that follow each
// other, and 95 % of the time the true median lies between "least" and "most" (sign test). It
// holds on a busy machine too, unlike times by the clock.
func BenchmarkObservationCost(b *testing.B) {
	for name, aim := range map[string]*inspectmsg.WatchRequest{"nobody looks": {Unattended: true}, "a tab": {Objects: true}} {
		b.Run(name, func(b *testing.B) {
			opts := []object.RegisterOption{object.ShareMessages(), object.Methods(object.Method((*Counter).Add))}
			plain, observed := benchNode(b, opts...), benchNode(b, opts...)
			o := observed.Observe()
			defer o.Close()
			o.Aim(aim)
			collected := time.Now()
			round := func(n *node.Node) float64 {
				before := processorTime(b)
				callers(b, n, 64, 1000)
				if n == observed && time.Since(collected) > 500*time.Millisecond {
					collected = time.Now()
					o.Collect()
				}
				return float64(processorTime(b) - before)
			}
			var ratios []float64
			for first := true; b.Loop(); first = !first {
				if first {
					before := round(plain)
					ratios = append(ratios, round(observed)/before)
				} else {
					after := round(observed)
					ratios = append(ratios, after/round(plain))
				}
			}
			slices.Sort(ratios)
			mid, off := len(ratios)/2, int(0.98*math.Sqrt(float64(len(ratios))))
			b.ReportMetric(ratios[mid], "cost")
			b.ReportMetric(ratios[max(mid-off, 0)], "least")
			b.ReportMetric(ratios[min(mid+off, len(ratios)-1)], "most")
		})
	}
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
