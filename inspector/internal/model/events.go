package model

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// EventFilter says which events; the zero value: all.
type EventFilter struct {
	Kinds, Levels []string // any of them; none: all
	Object, Node  string
	Text          string // that its text, object, method or node has in it, in whatever case
	Since         uint64 // only those told later
	Before        uint64 // only those before the one of this number; 0: all
	First         bool   // those told first are wanted, also where Since is 0
	Limit         int    // at most so many: the newest, but with Since or First those told first, that none be missed; 0: all
}

// Events lists events by time, the newest last. Next is the Since with which to ask for more.
func (m *Model) Events(f EventFilter) Events {
	f.Text = strings.ToLower(f.Text)
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Events{Events: []Event{}, Next: m.version.Events}
	all := m.events[max(len(m.events)-maxEvents, 0):]
	if i := slices.IndexFunc(all, func(e *Event) bool { return e.Seq == f.Before }); i >= 0 {
		all, f.Before = all[:i], 0
	}
	for _, e := range all {
		if f.wants(e) {
			out.Events = append(out.Events, *e)
		}
	}
	switch {
	case f.Limit <= 0 || len(out.Events) <= f.Limit:
	case f.Since == 0 && !f.First:
		out.Events = out.Events[len(out.Events)-f.Limit:]
	default:
		slices.SortFunc(out.Events, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
		out.Events = out.Events[:f.Limit]
		out.Next = out.Events[f.Limit-1].Seq
		slices.SortFunc(out.Events, byTime)
	}
	return out
}

func (f *EventFilter) wants(e *Event) bool {
	return e.Seq > f.Since && (f.Before == 0 || e.Seq < f.Before) && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(len(f.Levels) == 0 || slices.Contains(f.Levels, e.Level)) && is(f.Object, e.Object) && is(f.Node, e.Node) &&
		(f.Text == "" || f.says(e.Text) || f.says(e.Object) || f.says(e.Method) || f.says(e.Node))
}

// says reports whether a word of an event has the text in it.
func (f *EventFilter) says(word string) bool {
	return word != "" && strings.Contains(strings.ToLower(word), f.Text)
}

func byTime(a, b Event) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq)) }

func is(wanted, got string) bool { return wanted == "" || wanted == got }

// tell keeps an event among the others by its time, and forgets the oldest where they are too many: nodes tell of the
// time before they were asked, one after the other. m.mu is held.
func (m *Model) tell(e Event) {
	e.Seq = m.next()
	m.version.Events = e.Seq
	at := sort.Search(len(m.events), func(i int) bool { return m.events[i].At > e.At })
	m.events = slices.Insert(m.events, at, &e)
	m.weight += e.bytes()
	if len(m.events) > maxEvents+maxEvents/4 || m.weight > eventBytes+eventBytes/4 { // not at each event
		m.forgetEvents()
	}
}

// forgetEvents forgets the oldest events until few enough are left; m.mu is held.
func (m *Model) forgetEvents() {
	over := 0
	for len(m.events)-over > maxEvents || m.weight > eventBytes {
		m.weight -= m.events[over].bytes()
		over++
	}
	m.events = slices.Delete(m.events, 0, over)
}

// bytes is what an event takes, about.
func (e *Event) bytes() int {
	const itself = 200
	return itself + len(e.Kind) + len(e.Text) + len(e.Node) + len(e.Object) + len(e.Method) + len(e.Stack)
}

// Told is the number of the last event that a node has told.
func (m *Model) Told(id string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[id]; n != nil {
		return n.told
	}
	return 0
}

// forgetProcesses makes room: it forgets the processes that are no node's; m.mu is held.
func (m *Model) forgetProcesses() {
	there := make(map[process]bool, len(m.nodes))
	for _, n := range m.nodes {
		there[n.process] = true
	}
	maps.DeleteFunc(m.told, func(p process, _ uint64) bool { return !there[p] })
}

// takeEvent takes over what a node tells; m.mu is held.
func (m *Model) takeEvent(n *node, e *inspectpb.Event) {
	if e.GetSeq() <= n.told {
		return // told before, over another connection
	}
	n.told = e.GetSeq()
	if _, known := m.told[n.process]; !known && len(m.told) >= maxNodes {
		m.forgetProcesses()
	}
	m.told[n.process] = n.told
	switch e.GetKind() {
	case "join", "leave", "move":
		if m.placed && e.GetAtUs()/1000 >= m.since {
			return // the records tell it themselves, of all nodes alike
		}
	}
	level := e.GetLevel()
	switch level {
	case "info", "warning", "error":
	default:
		level = "info"
	}
	m.tell(Event{
		At: min(e.GetAtUs()/1000, m.now()), Kind: clip(e.GetKind(), 64), Level: level, Text: clip(e.GetText(), maxText), Node: n.id,
		Object: clip(e.GetObject(), 256), Method: clip(e.GetMethod(), 256), Shard: max(e.GetShard(), -1), Stack: clip(e.GetStack(), maxStack),
	})
}
