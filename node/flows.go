package node

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// pair is two parties between which calls, or pushes, flow.
type pair struct {
	from, to string
	push     bool
}

// flow is calls of a method, or from one party to another.
type flow struct {
	calls, errors uint64
	time          time.Duration
}

// flowFor is what a picked turn adds, that stands for so many.
func flowFor(weight uint64, took time.Duration, err error) flow {
	f := flow{time: time.Duration(weight) * took} //nolint:gosec // G115: at most 2^maxShift
	if err == nil {
		f.calls = weight
	}
	return f
}

func (f *flow) add(more flow) {
	f.calls += more.calls
	f.errors += more.errors
	f.time += more.time
}

// flows is what flows between pairs. The zero flows is empty.
type flows struct {
	at  map[pair]int // where a pair's is
	all []pairFlow
}

type pairFlow struct {
	pair
	flow
}

func (f *flows) has(way pair) bool {
	_, there := f.at[way]
	return there
}

func (f *flows) add(way pair, more flow) {
	at, there := f.at[way]
	if !there {
		if f.at == nil {
			f.at = make(map[pair]int)
		}
		at = len(f.all)
		f.at[way] = at
		f.all = append(f.all, pairFlow{pair: way})
	}
	f.all[at].add(more)
}

// keptPairs is for how many pairs the room is kept, from one interval to the next.
const keptPairs = 2000

// clear forgets all flows.
func (f *flows) clear() {
	if len(f.all) > keptPairs {
		*f = flows{}
		return
	}
	clear(f.at)
	clear(f.all)
	f.all = f.all[:0]
}

// edges returns the flows, in no order, but those of pairs that are among others.
func (f *flows) edges(others *flows) []*inspectmsg.Edge {
	list, made := make([]*inspectmsg.Edge, 0, len(f.all)), make([]inspectmsg.Edge, len(f.all))
	for i := range f.all {
		one := &f.all[i]
		if one.calls == 0 || others.has(one.pair) {
			continue // without calls, there is a time of turns that failed, and none of these was counted
		}
		e := &made[len(list)]
		e.From, e.To, e.Push = one.from, one.to, one.push
		e.Calls, e.Errors, e.TotalNs = one.calls, one.errors, uint64(one.time) //nolint:gosec // G115: not negative
		list = append(list, e)
	}
	return list
}

// busier compares edges: the busiest come first. It is asked thousands of times where many have as many calls.
func busier(a, b *inspectmsg.Edge) int {
	switch {
	case a.GetCalls() != b.GetCalls():
		return cmp.Compare(b.GetCalls(), a.GetCalls())
	case a.GetFrom() != b.GetFrom():
		return strings.Compare(a.GetFrom(), b.GetFrom())
	default:
		return strings.Compare(a.GetTo(), b.GetTo())
	}
}

// cutEdges leaves the busiest edges of a list, and counts the calls of what it leaves out. A list that is short enough stays as it is.
func cutEdges(list []*inspectmsg.Edge, most int) (busiest []*inspectmsg.Edge, others uint64) {
	if len(list) <= most {
		return list, 0
	}
	slices.SortFunc(list, busier)
	for _, e := range list[most:] {
		others += e.GetCalls()
	}
	return list[:most], others
}
