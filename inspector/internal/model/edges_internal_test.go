package model

import (
	"fmt"
	"maps"
	"testing"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// The sums that are kept are those of the seconds: nothing stays of one that is over.
func TestEdgesSumUpTheirSeconds(t *testing.T) {
	t.Parallel()
	const seconds = 3
	e := newEdges(seconds)
	for second := range 20 {
		for i := range second % 4 { // now and then a second has none
			edge := &inspectpb.Edge{From: fmt.Sprint("a-", i), To: "b-1", Calls: uint64(second), Errors: uint64(i), TotalNs: 7}
			e.take([]*inspectpb.Edge{edge, edge}, uint64(i))
		}
		want, wantOther := make(map[edgeKey]edgeSum), uint64(0)
		for _, slot := range e.slots {
			wantOther += slot.other
			for key, s := range slot.sums {
				want[key] = want[key].plus(s)
			}
		}
		if got, other := e.total(seconds); !maps.Equal(got, want) || other != wantOther {
			t.Errorf("second %d: %v and %d others, want %v and %d", second, got, other, want, wantOther)
		}
		if got, _ := e.total(0); len(got) != second%4 {
			t.Errorf("second %d: %d edges of the present second", second, len(got))
		}
		e.tick()
	}
	for range seconds + 1 {
		e.tick()
	}
	if got, other := e.total(seconds); len(got) != 0 || other != 0 {
		t.Errorf("long after: %v and %d others", got, other)
	}
}
