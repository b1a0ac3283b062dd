package model

import (
	"cmp"
	"slices"
	"strings"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

type edgeKey struct {
	from, to string
	push     bool
}

type edgeSum struct{ calls, errors, ns uint64 }

// edges is calls between parties, second by second.
type edges struct {
	slots []edgeSlot
	now   int
	all   edgeSlot // the sums of all of them
}

type edgeSlot struct {
	sums  map[edgeKey]edgeSum
	other uint64
}

func newEdges(seconds int) *edges {
	return &edges{slots: make([]edgeSlot, seconds+1), all: edgeSlot{sums: make(map[edgeKey]edgeSum)}}
}

func (e *edges) tick() {
	e.now = (e.now + 1) % len(e.slots)
	oldest := &e.slots[e.now]
	for key, s := range oldest.sums {
		if left := e.all.sums[key].minus(s); left == (edgeSum{}) {
			delete(e.all.sums, key)
		} else {
			e.all.sums[key] = left
		}
	}
	e.all.other -= oldest.other
	*oldest = edgeSlot{}
}

func (s edgeSum) plus(t edgeSum) edgeSum {
	return edgeSum{s.calls + t.calls, s.errors + t.errors, s.ns + t.ns}
}

func (s edgeSum) minus(t edgeSum) edgeSum {
	return edgeSum{s.calls - t.calls, s.errors - t.errors, s.ns - t.ns}
}

func (e *edges) take(told []*inspectpb.Edge, other uint64) {
	slot := &e.slots[e.now]
	slot.other += other
	e.all.other += other
	if slot.sums == nil {
		slot.sums = make(map[edgeKey]edgeSum)
	}
	for _, t := range told {
		key := edgeKey{clip(t.GetFrom(), 256), clip(t.GetTo(), 256), t.GetPush()}
		sum, known := slot.sums[key]
		if !known && len(slot.sums) >= maxEdges {
			slot.other += t.GetCalls()
			e.all.other += t.GetCalls()
			continue
		}
		more := edgeSum{t.GetCalls(), t.GetErrors(), t.GetTotalNs()}
		slot.sums[key], e.all.sums[key] = sum.plus(more), e.all.sums[key].plus(more)
	}
}

// total is the sums of the last seconds and the present one. They are not to be changed, nor kept.
func (e *edges) total(seconds int) (sums map[edgeKey]edgeSum, other uint64) {
	if seconds+1 >= len(e.slots) {
		return e.all.sums, e.all.other
	}
	sums = make(map[edgeKey]edgeSum)
	for age := range seconds + 1 {
		slot := &e.slots[(e.now-age+len(e.slots))%len(e.slots)]
		other += slot.other
		for key, s := range slot.sums {
			sums[key] = sums[key].plus(s)
		}
	}
	return sums, other
}

func (k edgeKey) shape(s edgeSum, over float64) Edge {
	out := Edge{From: k.from, To: k.to, Push: k.push, Calls: float64(s.calls) / over, Errors: float64(s.errors) / over}
	if s.calls > 0 {
		out.Mean = float64(s.ns) / float64(s.calls) / 1e6
	}
	return out
}

// Interest is what somebody watches more closely than the whole: calls between single
// objects, all, those of some types, or those of one object. The zero Interest is none.
type Interest struct {
	Objects bool
	Types   string // names, sorted, separated by commas; empty: all
	Focus   string // an object; empty: none
}

// NewInterest is the interest of a request's parameters.
func NewInterest(objects bool, types, focus string) Interest {
	i := Interest{Objects: objects || focus != "", Focus: focus}
	if !i.Objects || focus != "" {
		return i
	}
	names := strings.FieldsFunc(types, func(r rune) bool { return r == ',' })
	slices.Sort(names)
	i.Types = strings.Join(slices.Compact(names), ",")
	return i
}

// linesPerParty bounds the edges of a graph, which else could be as many as the square of its
// parties: to be drawn, and sent to every reader twice a second.
const linesPerParty = 2

// Graph is the calls of the last ten seconds between at most limit parties, the busiest, with
// at most twice as many edges between them.
func (m *Model) Graph(i Interest, types string, limit int) Graph {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.calls
	out, begun := Graph{Level: "types", Sampling: m.state.Sampling}, uint64(0)
	if i.Objects {
		out.Level, from = "objects", nil
		if one := m.interests[i]; one != nil {
			from, begun = one.edges, one.begun
		}
	}
	var sums map[edgeKey]edgeSum
	var other uint64
	if from != nil {
		sums, other = from.total(windowOf)
	}
	over := m.window(begun, windowOf)
	wanted := NewInterest(true, types, "").Types
	all := make([]Edge, 0, len(sums))
	for key, s := range sums {
		if !i.Objects && wanted != "" && !listed(wanted, key.from) && !listed(wanted, key.to) {
			continue
		}
		all = append(all, key.shape(s, over))
	}
	slices.SortFunc(all, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), compareBool(a.Push, b.Push))
	})
	out.More = float64(other) / over
	m.layOut(&out, all, limit)
	return out
}

// listed says whether a list of names has one.
func listed(names, one string) bool {
	return one != "" && slices.Contains(strings.Split(names, ","), one)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// moreID is the id of the party that stands for those left out: no object's, as types have
// no spaces.
const moreID = " more"

// layOut adds the parties of the busiest edges; what is left out becomes one party. m.mu is held.
func (m *Model) layOut(g *Graph, all []Edge, limit int) {
	parties := make(map[string]*GraphNode)
	order := []string{}
	add := func(id string) bool {
		if parties[id] == nil {
			if len(order) >= limit {
				return false
			}
			parties[id] = m.party(id, g.Level)
			order = append(order, id)
		}
		return true
	}
	rest := make(map[edgeKey]Edge)
	g.Edges = []Edge{}
	for _, e := range all {
		from, to := add(e.From), add(e.To)
		if to {
			parties[e.To].Calls += e.Calls
		}
		switch {
		case from && to && len(g.Edges) < linesPerParty*limit:
			g.Edges = append(g.Edges, e)
			continue
		case from && to:
			g.More += e.Calls
			continue
		case !from && !to:
			g.More += e.Calls
			continue
		case !from:
			e.From = moreID
		default:
			e.To = moreID
		}
		key := edgeKey{e.From, e.To, e.Push}
		sum := rest[key]
		if calls := sum.Calls + e.Calls; calls > 0 {
			e.Mean = (sum.Mean*sum.Calls + e.Mean*e.Calls) / calls
		}
		e.Calls += sum.Calls
		e.Errors += sum.Errors
		rest[key] = e
	}
	g.Nodes = make([]GraphNode, 0, len(order)+1)
	for _, id := range order {
		g.Nodes = append(g.Nodes, *parties[id])
	}
	if len(rest) == 0 {
		return
	}
	more := GraphNode{ID: moreID, Kind: "more"}
	for _, e := range rest {
		g.Edges = append(g.Edges, e)
		if e.To == moreID {
			more.Calls += e.Calls
		}
	}
	slices.SortFunc(g.Edges, func(a, b Edge) int { return cmp.Compare(b.Calls, a.Calls) })
	g.Nodes = append(g.Nodes, more)
}

// party is a party as the API tells it; m.mu is held.
func (m *Model) party(id, level string) *GraphNode {
	name, _, _ := strings.Cut(id, "-")
	n := &GraphNode{ID: id, Type: name, Kind: "object", Objects: 1}
	switch t := m.types[name]; {
	case id == "":
		n.Kind, n.Objects = "outside", 0
	case level == "types":
		n.Kind, n.Objects = "type", 0
		now := m.clock.Monotonic()
		for _, one := range m.nodes {
			if m.tells(one, now) {
				n.Objects += one.types[id]
			}
		}
	case t != nil && t.client:
		n.Kind = "client"
	}
	return n
}

// TypeNames are the types of an interest; none: all.
func (i Interest) TypeNames() []string {
	if i.Types == "" {
		return nil
	}
	return strings.Split(i.Types, ",")
}
