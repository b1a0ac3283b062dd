package node_test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// op is one operation. Times are in virtual milliseconds.
type op struct {
	At     int
	Kind   string // call, send, create, delete
	ID     string
	Method string
	Takes  int
	Heeds  bool   // its context, while it takes its time
	Ends   string // return, fail, panic
	Cancel int    // after so long; 0: not
	Child  *op    // a call that it makes
}

func (o *op) String() string {
	s := fmt.Sprintf("%d ms: %s %s.%s takes %d heeds %v ends %s cancel %d", o.At, o.Kind, o.ID, o.Method, o.Takes, o.Heeds, o.Ends, o.Cancel)
	if o.Child != nil {
		s += " {" + o.Child.String() + "}"
	}
	return s
}

// drawOp draws an operation; chain is the calls that lead to it. Crosswise is whether two
// chains may come to wait for each other, see knots.
func drawOp(t *rapid.T, crosswise bool, chain []*op) *op {
	o := &op{
		Kind:   "call",
		Takes:  rapid.IntRange(0, 60).Draw(t, "takes"),
		Heeds:  rapid.Bool().Draw(t, "heeds"),
		Ends:   rapid.SampledFrom([]string{"return", "return", "return", "return", "fail", "panic"}).Draw(t, "ends"),
		Method: rapid.SampledFrom([]string{"Write", "Write", "Read", "Read", "Free", "Loose"}).Draw(t, "method"),
	}
	ids := []string{"Model-0", "Model-1", "ModelLoop-2"}
	if len(chain) == 0 {
		latest := 4000
		if crosswise {
			latest = 200 // that they meet
		}
		o.At = rapid.IntRange(0, latest).Draw(t, "at")
		o.Kind = rapid.SampledFrom([]string{"call", "call", "call", "call", "send", "create", "delete"}).Draw(t, "kind")
		o.Cancel = max(0, rapid.IntRange(-100, 100).Draw(t, "cancel"))
	} else if !crosswise {
		// Only up the list from the highest object of the chain, or to objects that the chain
		// holds: two chains never wait for each other, which only their deadlines would end.
		caller, top := chain[len(chain)-1], 0
		back := []string{caller.ID}
		for _, c := range chain {
			top = max(top, slices.Index(ids, c.ID))
			if c.Method != "Free" {
				back = append(back, c.ID)
			}
		}
		ids = append(append([]string{}, ids[top+1:]...), back...)
	}
	o.ID = rapid.SampledFrom(ids).Draw(t, "id")
	if len(chain) < 3 && rapid.Bool().Draw(t, "has child") {
		o.Child = drawOp(t, crosswise, append(chain, o))
	}
	return o
}

// loops counts the calls of re-entrant objects among o and its children.
func (o *op) loops() (n int) {
	for ; o != nil; o = o.Child {
		if strings.HasPrefix(o.ID, "ModelLoop") {
			n++
		}
	}
	return n
}
