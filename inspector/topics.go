package inspector

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/inspector/internal/model"
)

// tell tells what is new of each topic, of that first which was told longest ago. due is after how long some topic may
// be told again that has something new; 0: none has.
func (t *tab) tell() (due time.Duration, ok bool) {
	v := t.inspector.model.Versions()
	t.now = v
	slices.SortStableFunc(t.topics, func(a, b string) int { return cmp.Compare(t.sent[a], t.sent[b]) })
	for _, topic := range t.topics {
		if !t.news(topic, v) {
			continue
		}
		now := t.inspector.cfg.Clock.Monotonic()
		if rest := t.rest(topic, now); rest > 0 {
			if due == 0 || rest < due {
				due = rest
			}
			continue
		}
		if !t.topic(topic, v) {
			return 0, false
		}
		t.sent[topic], t.once[topic] = now, true
	}
	return due, true
}

// rest is for how long a topic is told nothing more; what it begins with is told at once, of an object when it is known.
func (t *tab) rest(topic string, now time.Duration) time.Duration {
	if !t.once[topic] {
		if topic == "object" && t.awaits(now) {
			return swarmPause
		}
		return 0
	}
	rest := topicPause - (now - t.sent[topic])
	if heavy(topic) {
		rest = max(rest, t.pace.wait(now))
	}
	return rest
}

// awaits reports whether no node has said yet what there is to begin topic object with. It is not waited for longer
// than a node may take.
func (t *tab) awaits(now time.Duration) bool {
	if t.refused != nil || now-t.begun >= answersWithin {
		return false
	}
	detail, watched := t.inspector.model.Focused(t.interest.Focus)
	return watched && !detail.Known
}

// news says whether a topic has something new.
func (t *tab) news(topic string, v model.Versions) bool {
	if !t.once[topic] {
		return true
	}
	switch topic {
	case "overview":
		return v.Points > t.told.Points || v.State > t.told.State
	case "nodes":
		return v.Nodes > t.told.Nodes
	case "shards":
		return v.Shards > t.told.Shards
	case "types":
		return v.Types > t.told.Types
	case "events":
		return v.Events > t.told.Events
	case "graph":
		return v.Graph > t.told.Graph
	default: // "object"
		return v.Graph > t.objects
	}
}

// topic tells what is new of a topic; false: the reader has gone.
func (t *tab) topic(topic string, v model.Versions) bool {
	m := t.inspector.model
	switch topic {
	case "overview":
		return t.overview(v)
	case "nodes":
		t.told.Nodes = v.Nodes
		return t.whole(topic, "nodes", v.Nodes, func() any { return m.Nodes() })
	case "types":
		t.told.Types = v.Types
		if t.changes {
			text := t.known.news(t.inspector.parts.get(v.Types, m.Types))
			if text == nil || bytes.Equal(text, t.last[topic]) {
				return true
			}
			t.last[topic] = text
			return t.message(topic, text)
		}
		return t.whole(topic, "types", v.Types, func() any { return m.Types() })
	case "shards":
		since := t.told.Shards
		t.told.Shards = v.Shards
		if changes, same := m.ShardsSince(since); same && t.once[topic] {
			return t.send(topic, changes)
		}
		delete(t.last, topic) // since then there have been changes
		return t.whole(topic, "shards", v.Shards, func() any { return m.Shards() })
	case "events":
		list := m.Events(model.EventFilter{Since: t.told.Events, Limit: maxPage})
		t.told.Events = list.Next // of very many, the rest follows
		return t.send(topic, list)
	case "graph":
		t.told.Graph = v.Graph
		key := fmt.Sprintf("graph %q %q %t %q", t.types, t.interest.Types, t.interest.Objects, t.interest.Focus)
		return t.closely(topic, key, v.Graph, func() any { return m.Graph(t.interest, t.types, graphLimit) }, func(why *model.Refusal) any {
			g := m.Graph(t.interest, t.types, graphLimit)
			g.Error = why
			return g
		})
	default: // "object"
		t.objects = v.Graph
		return t.closely(topic, "object "+t.interest.Focus, v.Graph, func() any {
			detail, _ := m.Focused(t.interest.Focus)
			return detail
		}, func(why *model.Refusal) any {
			detail := m.Known(t.interest.Focus, "", nil)
			detail.Error = why
			return detail
		})
	}
}

// overview tells the whole at first, then the points; where the state has changed, that too.
func (t *tab) overview(v model.Versions) bool {
	m := t.inspector.model
	first, resumed := !t.once["overview"], t.resumed
	state := first || v.State > t.told.State
	since := t.told.Points
	t.told.State = v.State
	switch {
	case first && !resumed:
		t.told.Points = v.Points
		return t.whole("overview", "overview", max(v.Points, v.State), func() any { return m.Overview(true) })
	case state && !t.send("overview", m.Overview(false)):
		return false
	}
	points := m.Points(since)
	for _, p := range points[max(len(points)-resumePoints, 0):] {
		t.told.Points = p.Rev
		if !t.send("overview", p) {
			return false
		}
	}
	t.told.Points = max(t.told.Points, v.Points)
	return true
}
