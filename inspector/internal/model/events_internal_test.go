package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xiaonanln/goverse/util/clock"
)

// Events are found by each of the filters and by all together, the newest of them, however far back.
func TestEventsAreFiltered(t *testing.T) {
	t.Parallel()
	m := New(clock.System())
	for i := range 5000 {
		m.tell(Event{Kind: "slow", Level: "warning", Text: fmt.Sprint("Say ran for ", i), Node: []string{"A", "B"}[i%2], Object: fmt.Sprint("Room-", i%10), Shard: -1})
	}
	first := m.events[0].Seq
	for i := range 3 {
		m.events[i].Kind, m.events[i].Level = "panic", "error"
	}
	for name, c := range map[string]struct {
		f    EventFilter
		want []int // seq - first
	}{
		"kind":         {EventFilter{Kinds: []string{"panic"}}, []int{0, 1, 2}},
		"level":        {EventFilter{Levels: []string{"error", "fatal"}}, []int{0, 1, 2}},
		"any kind":     {EventFilter{Kinds: []string{"panic", "slow"}, Limit: 2}, []int{4998, 4999}},
		"no such":      {EventFilter{Kinds: []string{"panic"}, Levels: []string{"warning"}}, nil},
		"node":         {EventFilter{Node: "A", Limit: 2}, []int{4996, 4998}},
		"object":       {EventFilter{Object: "Room-7", Limit: 1}, []int{4997}},
		"text":         {EventFilter{Text: "SAY ran for 4321"}, []int{4321}},
		"text, other":  {EventFilter{Text: "ROOM-7", Limit: 1}, []int{4997}},
		"since":        {EventFilter{Since: first + 4996}, []int{4997, 4998, 4999}},
		"before":       {EventFilter{Before: first + 10, Limit: 2}, []int{8, 9}},
		"all together": {EventFilter{Kinds: []string{"slow"}, Levels: []string{"warning"}, Node: "A", Object: "Room-4", Text: "ran", Since: first + 10, Before: first + 100, Limit: 2}, []int{14, 24}},
	} {
		got := m.Events(c.f)
		var seqs []int
		for _, e := range got.Events {
			seqs = append(seqs, int(e.Seq-first))
		}
		next := 4999
		if name == "all together" {
			next = 24
		}
		if fmt.Sprint(seqs) != fmt.Sprint(c.want) || got.Next != first+uint64(next) {
			t.Errorf("%s: %v, not %v; next is %d", name, seqs, c.want, got.Next)
		}
	}
}

// However many events there are, and however long they are, so many are kept: the newest.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ length, most int }{"short": {0, 10_000}, "long": {4096, 8 << 20 / 4096}} {
		m := New(clock.System())
		for range 25_000 {
			m.tell(Event{Text: strings.Repeat("x", c.length)})
		}
		m.forgetEvents()
		all := m.Events(EventFilter{}).Events
		weight := 0
		for i := range m.events {
			weight += m.events[i].bytes()
		}
		if len(all) > c.most || len(all) < c.most*9/10 || all[len(all)-1].Seq != m.version.Events || weight != m.weight || cap(m.events) > 3*c.most {
			t.Errorf("%s: %d are kept, of %d bytes, reckoned as %d, with room for %d", name, len(all), weight, m.weight, cap(m.events))
		}
	}
}
