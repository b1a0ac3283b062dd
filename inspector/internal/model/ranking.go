package model

import (
	"cmp"
	"strings"
)

// ranking puts lines in order, the busiest first, as far as somebody looks: it is a heap (Williams, Algorithm 232, 1964),
// as of thousands of lines some hundreds are drawn.
type ranking []ranked

// ranked is a line, and beside it what mostly decides about its place.
type ranked struct {
	*line

	calls uint64
}

// compare puts the busier line first. No two lines are equal.
func (a ranked) compare(b ranked) int {
	switch {
	case a.calls != b.calls:
		return cmp.Compare(b.calls, a.calls)
	case a.from != b.from:
		return strings.Compare(a.from, b.from)
	case a.to != b.to:
		return strings.Compare(a.to, b.to)
	case a.push:
		return 1
	}
	return -1
}

// begin makes a heap of lines in any order.
func (r *ranking) begin() {
	for i := len(*r)/2 - 1; i >= 0; i-- {
		r.sink(i)
	}
}

// next takes out the first of the lines; there has to be one.
func (r *ranking) next() ranked {
	all, last := *r, len(*r)-1
	first := all[0]
	all[0] = all[last]
	*r = all[:last]
	r.sink(0)
	return first
}

// sink puts the line at i below all that come before it.
func (r *ranking) sink(i int) {
	all := *r
	for {
		child := 2*i + 1
		if child >= len(all) {
			return
		}
		if other := child + 1; other < len(all) && all[other].compare(all[child]) < 0 {
			child = other
		}
		if all[i].compare(all[child]) < 0 {
			return
		}
		all[i], all[child] = all[child], all[i]
		i = child
	}
}
