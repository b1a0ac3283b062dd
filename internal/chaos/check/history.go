//go:build linux

// Package check finds out from what a chaos run has recorded whether a promise was broken.
// It is pure: entries in, violations out. The invariants have the numbers of docs/chaos.md.
package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/record"
)

// Violation is a broken promise.
type Violation struct {
	Invariant string // I1, …
	Object    string // or shard, or node
	Text      string
}

func (v Violation) String() string { return fmt.Sprintf("%s %s: %s", v.Invariant, v.Object, v.Text) }

func violation(invariant, object, format string, args ...any) Violation {
	return Violation{invariant, object, fmt.Sprintf(format, args...)}
}

// History is all that the nodes have recorded.
type History struct {
	Calls []record.Entry            // by their ends
	Turns []record.Entry            // by their starts
	Lives map[string]record.Entry   // the begin of each
	byOp  map[string][]record.Entry // turns by the call that they were for

	answer map[string]record.Entry // the successful call that a turn gave the answer to
}

// New sorts entries into a history.
func New(entries []record.Entry) *History {
	h := &History{Lives: map[string]record.Entry{}, byOp: map[string][]record.Entry{}, answer: map[string]record.Entry{}}
	for _, e := range entries {
		switch e.Kind {
		case record.Call:
			h.Calls = append(h.Calls, e)
			if e.Code == "" {
				h.answer[e.Turn] = e
			}
		case record.Turn:
			h.Turns = append(h.Turns, e)
			h.byOp[e.Op] = append(h.byOp[e.Op], e)
		case record.Begin:
			h.Lives[e.Life] = e
		case record.End:
		}
	}
	slices.SortFunc(h.Calls, func(a, b record.Entry) int { return int(a.End - b.End) })
	slices.SortFunc(h.Turns, func(a, b record.Entry) int { return int(a.Start - b.Start) })
	return h
}

// Failed are the calls that failed, as a share of all.
func (h *History) Failed() (failed []record.Entry, all int) {
	for _, c := range h.Calls {
		if c.Code != "" {
			failed = append(failed, c)
		}
	}
	return failed, len(h.Calls)
}

// Rate is how many calls a second succeeded between two moments.
func (h *History) Rate(from, until time.Duration) float64 {
	n := 0
	for _, c := range h.Calls {
		if c.Code == "" && c.End >= from && c.End < until {
			n++
		}
	}
	return float64(n) / max(until-from, 1).Seconds()
}

// Longest is how long the longest call took that began between two moments.
func (h *History) Longest(from, until time.Duration) (longest time.Duration) {
	for _, c := range h.Calls {
		if c.Start >= from && c.Start < until {
			longest = max(longest, c.End-c.Start)
		}
	}
	return longest
}

// Replies checks that answers were given by those who are said to have given them, and
// that an error's word about the execution is true (I3): a call that is said not to have
// run has not, and one that was to run at most once has not run twice.
func (h *History) Replies() []Violation {
	var found []Violation
	turns := make(map[string]record.Entry, len(h.Turns))
	for _, t := range h.Turns {
		turns[t.Turn] = t
	}
	for _, c := range h.Calls {
		ran := h.byOp[c.Op]
		t, there := turns[c.Turn]
		switch {
		case c.Code == "" && (!there || t.Op != c.Op || t.Value != c.Value || t.Object != c.Object):
			found = append(found, violation("I4", c.Object, "call %s was answered %d by turn %q, which is not what happened", c.Op, c.Value, c.Turn))
		case c.Code != "" && c.Executed == "no" && len(ran) > 0:
			found = append(found, violation("I3", c.Object, "call %s has run %d times, and its error says that it has not: %s", c.Op, len(ran), c.Text))
		case c.Code != "" && c.Executed == "yes" && len(ran) == 0:
			found = append(found, violation("I3", c.Object, "call %s has not run, and its error says that it has: %s", c.Op, c.Text))
		case c.Once && len(ran) > 1:
			found = append(found, violation("I3", c.Object, "call %s was to run at most once and has run %d times", c.Op, len(ran)))
		}
	}
	return found
}

// Twice are the calls that have run more than once: allowed where a node has died, and
// not where moves were planned (I6).
func (h *History) Twice() []Violation {
	var found []Violation
	for op, ran := range h.byOp {
		if len(ran) > 1 {
			found = append(found, violation("I6", ran[0].Object, "call %s has run %d times, on %s and %s", op, len(ran), ran[0].Node, ran[1].Node))
		}
	}
	return found
}

// Refused are the failed calls as violations: where moves were planned none may fail (I6).
func (h *History) Refused() []Violation {
	failed, _ := h.Failed()
	var found []Violation
	for _, c := range failed {
		found = append(found, violation("I6", c.Object, "call %s of %s failed after %v: %s (executed: %s)",
			c.Op, c.Node, (c.End-c.Start).Round(time.Millisecond), c.Text, c.Executed))
	}
	return found
}

// GaveUp are the calls that failed although they might have been tried again: they were
// not to run at most once, and their deadline, after patience, had not come (I9).
func (h *History) GaveUp(patience time.Duration) []Violation {
	failed, _ := h.Failed()
	var found []Violation
	for _, c := range failed {
		if took := c.End - c.Start; !c.Once && took < patience {
			found = append(found, violation("I9", c.Object, "call %s of %s was given up after %v: %s", c.Op, c.Node, took.Round(time.Millisecond), c.Text))
		}
	}
	return found
}

// Lineages checks that an object that takes its memory along has had one memory only (I6).
func (h *History) Lineages(is func(object string) bool) []Violation {
	first := map[string]record.Entry{}
	var found []Violation
	for _, l := range byBegin(h.Lives) {
		f, there := first[l.Object]
		switch {
		case !is(l.Object):
		case !there:
			first[l.Object] = l
		case f.Lineage != l.Lineage:
			found = append(found, violation("I6", l.Object, "the memory of life %s on %s was lost: life %s on %s began with %d",
				f.Life, f.Node, l.Life, l.Node, l.Value))
		}
	}
	return found
}

// Silent checks that a node that was cut off did not answer between two moments (I8).
func (h *History) Silent(node string, from, until time.Duration) []Violation {
	var found []Violation
	for _, t := range h.Turns {
		if c, ok := h.answer[t.Turn]; ok && t.Node == node && t.End > from && c.End < until {
			found = append(found, violation("I8", t.Object, "%s answered %v after it had to be silent", node, t.End-from))
		}
	}
	return found
}
