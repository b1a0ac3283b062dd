//go:build linux

package check

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/record"
)

// span is the time of a life in which the rest of the world could see it: from its begin
// to the end of its last turn that was answered.
type span struct {
	life  record.Entry
	until time.Duration
}

func byBegin(lives map[string]record.Entry) []record.Entry {
	return slices.SortedFunc(maps.Values(lives), func(a, b record.Entry) int { return cmp.Compare(a.Start, b.Start) })
}

// SingleLife checks that of one object no two lives that have answered overlap (I1): once
// a newer one has begun, the older one does not answer any more.
func (h *History) SingleLife() []Violation {
	until := map[string]time.Duration{}
	var found []Violation
	for _, t := range h.Turns {
		if _, answered := h.answer[t.Turn]; !answered {
			continue
		}
		if b, there := h.Lives[t.Life]; !there || b.Start > t.Start {
			found = append(found, violation("I1", t.Object, "turn %s ran before its life began", t.Turn))
		}
		until[t.Life] = max(until[t.Life], t.End)
	}
	last := map[string]span{} // by object: the life that was seen longest so far
	for _, l := range byBegin(h.Lives) {
		end, answered := until[l.Life]
		if !answered {
			continue
		}
		if before, there := last[l.Object]; there && before.until > l.Start {
			found = append(found, violation("I1", l.Object, "life %s on %s answered until %v, life %s on %s began at %v",
				before.life.Life, before.life.Node, before.until, l.Life, l.Node, l.Start))
		}
		if end >= last[l.Object].until {
			last[l.Object] = span{l, end}
		}
	}
	return found
}

// Exclusive checks that within a life turns run one at a time, but for reads (I1).
func (h *History) Exclusive(isRead func(method string) bool) []Violation {
	type ends struct{ writer, reader record.Entry } // the turns that end last
	last := map[string]*ends{}
	var found []Violation
	for _, t := range h.Turns {
		e := last[t.Life]
		if e == nil {
			e = &ends{}
			last[t.Life] = e
		}
		reads := isRead(t.Method)
		for _, before := range []record.Entry{e.writer, e.reader} {
			if before.End > t.Start && (!reads || !isRead(before.Method)) {
				found = append(found, violation("I1", t.Object, "turns %s and %s of one life overlap", before.Turn, t.Turn))
			}
		}
		if reads && t.End > e.reader.End {
			e.reader = t
		} else if !reads && t.End > e.writer.End {
			e.writer = t
		}
	}
	return found
}

// Unanswered counts the turns that were answered to nobody and ran beside another life
// that has answered: zombies whose word did not count.
func (h *History) Unanswered() (zombies, all int) {
	begins := map[string][]record.Entry{}
	for _, l := range byBegin(h.Lives) {
		begins[l.Object] = append(begins[l.Object], l)
	}
	for _, t := range h.Turns {
		if _, answered := h.answer[t.Turn]; answered {
			continue
		}
		all++
		own := h.Lives[t.Life].Start
		if slices.ContainsFunc(begins[t.Object], func(l record.Entry) bool { return l.Start > own && l.Start < t.End }) {
			zombies++
		}
	}
	return zombies, all
}
