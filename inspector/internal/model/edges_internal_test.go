package model

import (
	"fmt"
	"maps"
	"testing"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// sumsOf is what flowed in some seconds, by edge.
func sumsOf(e *edges, seconds int) (sums map[edgeKey]edgeSum, other uint64) {
	sums = make(map[edgeKey]edgeSum)
	lines, other := e.total(seconds)
	for l := range lines {
		sums[l.edgeKey] = l.edgeSum
	}
	return sums, other
}

// The sums that are kept are those of the seconds: nothing stays of one that is over.
func TestEdgesSumUpTheirSeconds(t *testing.T) {
	t.Parallel()
	const seconds = 3
	e := newEdges(seconds)
	var past []map[edgeKey]edgeSum // by second
	var others []uint64
	for second := range 40 {
		now, other := make(map[edgeKey]edgeSum), uint64(0)
		past, others = append(past, now), append(others, other)
		for i := range second % 4 { // now and then a second has none
			more := edgeSum{uint64(second % 3), uint64(i), 7} // also none that was counted
			edge := &inspectpb.Edge{From: fmt.Sprint("a-", i*(second%2+1)), To: "b-1", Calls: more.calls, Errors: more.errors, TotalNs: more.ns, Push: second%5 == 0}
			e.take([]*inspectpb.Edge{edge, edge}, uint64(i))
			key := edgeKey{edge.GetFrom(), edge.GetTo(), edge.GetPush()}
			sum := now[key]
			sum.add(more)
			sum.add(more)
			now[key] = sum
			others[second] += uint64(i)
		}
		for window := range seconds + 1 {
			want, wantOther := make(map[edgeKey]edgeSum), uint64(0)
			for age := range min(window, second) + 1 {
				wantOther += others[second-age]
				for key, s := range past[second-age] {
					sum := want[key]
					sum.add(s)
					want[key] = sum
				}
			}
			if got, other := sumsOf(e, window); !maps.Equal(got, want) || other != wantOther {
				t.Errorf("second %d, and %d before it: %v and %d others, want %v and %d", second, window, got, other, want, wantOther)
			}
		}
		e.tick()
	}
	for range seconds + 1 {
		e.tick()
	}
	if got, other := sumsOf(e, seconds); len(got) != 0 || other != 0 || len(e.index) != 0 || len(e.free) != len(e.lines) || len(e.lines) > 20 {
		t.Errorf("long after: %v and %d others", got, other)
	}
}
