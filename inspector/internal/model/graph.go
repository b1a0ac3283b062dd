package model

import (
	"slices"
	"strings"
	"time"
)

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

// Graph is the calls of the last ten seconds between at most limit parties, the busiest, with
// at most twice as many edges between them.
func (m *Model) Graph(i Interest, types string, limit int) Graph {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.calls
	out, begun := Graph{Level: "types", Sampling: m.state.Sampling}, time.Duration(0)
	if i.Objects {
		out.Level, from = "objects", nil
		if one := m.interests[i]; one != nil {
			from, begun = one.edges, one.begun
		}
	}
	d := new(drawing)
	if from != nil {
		d = from.draw(typesWanted(i, types), limit)
		defer d.clear() // what it holds comes and goes
	}
	m.show(&out, d, m.window(begun, windowOf))
	return out
}

// typesWanted are the types of a graph of types; empty: all.
func typesWanted(i Interest, types string) string {
	if i.Objects {
		return ""
	}
	return NewInterest(true, types, "").Types
}

// draw draws what flowed in the last ten seconds, or what of it came from some types or to them; empty: all. The drawing is
// good until the next one.
func (e *edges) draw(types string, limit int) *drawing {
	d := &e.drawing
	d.begin(limit)
	lines, other := e.total(windowOf)
	d.more = other
	for l := range lines {
		if types == "" || listed(types, l.from) || listed(types, l.to) {
			d.ranks = append(d.ranks, ranked{l, l.calls})
		}
	}
	d.draw()
	return d
}

// listed says whether a list of names has one.
func listed(names, one string) bool {
	return one != "" && slices.Contains(strings.Split(names, ","), one)
}

// show tells what was drawn, of so many seconds; m.mu is held.
func (m *Model) show(g *Graph, d *drawing, over float64) {
	g.More = float64(d.more) / over
	g.Nodes = make([]GraphNode, 0, len(d.parties)+1)
	for _, p := range d.parties {
		n := m.party(p.id, g.Level)
		n.Calls = float64(p.calls) / over
		g.Nodes = append(g.Nodes, n)
	}
	if toMore := d.ends(); len(d.rest) > 0 {
		g.Nodes = append(g.Nodes, GraphNode{ID: moreID, Kind: "more", Calls: float64(toMore) / over})
	}
	g.Edges = make([]Edge, 0, len(d.lines))
	for _, l := range d.lines {
		g.Edges = append(g.Edges, l.shape(over))
	}
}

// party is a party as the API tells it; m.mu is held.
func (m *Model) party(id, level string) GraphNode {
	name, _, _ := strings.Cut(id, "-")
	n := GraphNode{ID: id, Type: name, Kind: "object", Objects: 1}
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
