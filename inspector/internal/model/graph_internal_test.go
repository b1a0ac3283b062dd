package model

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// plainly is what a graph is to be of some edges, by looking at all of them in order.
func plainly(all []*inspectpb.Edge, limit int) (parties map[string]float64, order []string, edges map[edgeKey]edgeSum, more float64) {
	slices.SortFunc(all, func(a, b *inspectpb.Edge) int {
		push := func(e *inspectpb.Edge) int { return len("false") - len(strconv.FormatBool(e.GetPush())) }
		return cmp.Or(cmp.Compare(b.GetCalls(), a.GetCalls()), cmp.Compare(a.GetFrom(), b.GetFrom()), cmp.Compare(a.GetTo(), b.GetTo()), cmp.Compare(push(a), push(b)))
	})
	parties, edges = make(map[string]float64), make(map[edgeKey]edgeSum)
	add := func(id string) bool {
		_, there := parties[id]
		if !there && len(order) < limit {
			parties[id], there = 0, true
			order = append(order, id)
		}
		return there
	}
	drawn := 0
	for _, e := range all {
		from, to := add(e.GetFrom()), add(e.GetTo())
		if to {
			parties[e.GetTo()] += float64(e.GetCalls())
		}
		key := edgeKey{e.GetFrom(), e.GetTo(), e.GetPush()}
		switch {
		case from && to && drawn < linesPerParty*limit:
			drawn++
		case from == to:
			more += float64(e.GetCalls())
			continue
		case from:
			key.to = moreID
			parties[moreID] += float64(e.GetCalls())
		default:
			key.from = moreID
			parties[moreID] += 0
		}
		sum := edges[key]
		sum.add(edgeSum{e.GetCalls(), e.GetErrors(), e.GetTotalNs()})
		edges[key] = sum
	}
	if _, some := parties[moreID]; some {
		order = append(order, moreID)
	}
	return parties, order, edges, more
}

// A graph is of the parties that the busiest edges have, and of the busiest edges between these, whatever edges there are.
func TestGraphIsOfTheBusiest(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7)) // the same each time
	for round := range 300 {
		m := New(clock.System())
		parties, count := 1+random.IntN(40), random.IntN(300) // few edges, and more than there can be: all, and some twice
		sums := make(map[edgeKey]*inspectpb.Edge)
		for range count {
			key := edgeKey{fmt.Sprint("R-", random.IntN(parties)), fmt.Sprint("R-", random.IntN(parties)), random.IntN(8) == 0}
			if random.IntN(4) == 0 {
				key.from = ""
			}
			sums[key] = &inspectpb.Edge{From: key.from, To: key.to, Push: key.push, Calls: uint64(random.IntN(9)), Errors: uint64(random.IntN(3)), TotalNs: uint64(random.IntN(1e9))}
		}
		var all []*inspectpb.Edge
		for _, e := range sums {
			all = append(all, e)
		}
		i := NewInterest(true, "", "")
		release, err := m.Hold(i)
		if err != nil {
			t.Fatal(err)
		}
		m.Detail("AAA", i, &inspectpb.WatchResponse{ObjectEdges: all, OtherCalls: 5})
		for _, limit := range []int{0, 1, 2, 7, 20, 100} {
			g := m.Graph(i, "", limit) // of one second
			want, order, edges, more := plainly(all, limit)
			var ids []string
			for _, n := range g.Nodes {
				ids = append(ids, n.ID)
				if n.Calls != want[n.ID] {
					t.Errorf("round %d, limit %d: %v calls of %q, want %v", round, limit, n.Calls, n.ID, want[n.ID])
				}
			}
			if !slices.Equal(ids, order) || g.More != more+5 || len(g.Edges) != len(edges) {
				t.Errorf("round %d, limit %d: parties %q, %d edges and %v more, want %q, %d and %v", round, limit, ids, len(g.Edges), g.More, order, len(edges), more+5)
			}
			for at, e := range g.Edges {
				key := edgeKey{e.From, e.To, e.Push}
				if l := (&line{edgeKey: key, edgeSum: edges[key]}); e != l.shape(1) {
					t.Errorf("round %d, limit %d: %+v, want %+v", round, limit, e, l.shape(1))
				}
				if at > 0 && g.Edges[at-1].Calls < e.Calls {
					t.Errorf("round %d, limit %d: edge %d is busier than the one before", round, limit, at)
				}
			}
		}
		release()
	}
}
