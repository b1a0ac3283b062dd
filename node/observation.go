package node

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// The bounds of what an observation keeps between two collections.
const (
	maxPairs     = 20_000 // pairs of objects that call each other
	maxTurns     = 200    // turns of the focused object
	maxOpenTurns = 1000   // of these, told to run and not yet to have ended
	defaultEdges = 500    // edges between objects that are told
)

// Observation is somebody's look at what a node does. While there is one, the node captures
// it; with several, each gets all of it. All methods are safe for concurrent use.
type Observation struct {
	lens *lens // whose mutex guards all below

	aim     *inspectmsg.WatchRequest
	types   map[string]bool // of the aim; nil: all
	methods map[methodKey]*methodStats
	kinds   map[pair]*flow // between types
	pairs   map[pair]*flow // between objects
	close   map[pair]*flow // those of the focused object
	other   uint64         // calls between objects for which there was no room
	turns   []*inspectmsg.Turn
	open    map[uint64]bool // turns that were told to run
	faults  map[methodKey]seenFault
}

// pair is two parties between which calls, or pushes, flow.
type pair struct {
	from, to string
	push     bool
}

type flow struct {
	calls, errors uint64
	time          time.Duration
}

type methodStats struct {
	flow

	latency histogram
	failure *failure // the last that is to be told
}

// Observe begins to capture what the node does, until the observation is closed.
func (n *Node) Observe() *Observation {
	n.observers.Lock()
	defer n.observers.Unlock()
	l := n.lens.Load()
	if l == nil {
		l = &lens{node: n, observations: make(map[*Observation]struct{}), adopted: make(map[*turn]*sample)}
		l.loads.seed = n.objects.seed
		l.general.since, l.near.since, l.failing.since = n.elapsed(), n.elapsed(), n.elapsed()
	}
	o := &Observation{lens: l, aim: new(inspectmsg.WatchRequest), open: make(map[uint64]bool), faults: make(map[methodKey]seenFault)}
	o.reset()
	l.mu.Lock()
	l.settle() // what was before is not its business
	for key, f := range l.faults.all() {
		o.faults[key] = f.now()
	}
	l.observations[o] = struct{}{}
	l.aimAll()
	l.mu.Unlock()
	n.lens.Store(l)
	n.refresh()
	return o
}

// Close ends the observation; the last one ends the capture and lets go of all that was
// captured. It may be called again.
func (o *Observation) Close() {
	l := o.lens
	n := l.node
	n.observers.Lock()
	defer n.observers.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.observations, o)
	o.reset()
	clear(o.open)
	l.aimAll()
	if len(l.observations) == 0 {
		n.lens.CompareAndSwap(l, nil)
		l.landed = nil // they are in no figure of anybody
		l.loads.clear()
	}
}

// Aim says what the observation is interested in: see [inspectmsg.WatchRequest].
func (o *Observation) Aim(at *inspectmsg.WatchRequest) {
	l := o.lens
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle() // what was before counts as it was wanted then
	if at.GetFocus() != o.aim.GetFocus() {
		clear(o.close)
		clear(o.open)
		o.turns = nil
	}
	if !at.GetObjects() {
		clear(o.pairs)
		o.other = 0
	}
	o.aim, o.types = at, nil
	for _, name := range at.GetTypes() {
		if o.types == nil {
			o.types = make(map[string]bool)
		}
		o.types[name] = true
	}
	l.aimAll()
}

// aimAll puts together what all observations want. The lock is held.
func (l *lens) aimAll() {
	var ids []string
	l.general.rough = true
	for o := range l.observations {
		l.general.rough = l.general.rough && o.aim.GetUnattended()
		if id := o.aim.GetFocus(); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	l.underway.rough.Store(l.general.rough)
	l.focus.Store(nil)
	if ids != nil {
		l.focus.Store(&ids)
	}
	l.setDoor()
}

// reset begins a new interval. The lock is held, or nobody else has the observation.
func (o *Observation) reset() {
	o.methods, o.kinds = make(map[methodKey]*methodStats), make(map[pair]*flow)
	o.pairs, o.close = make(map[pair]*flow, len(o.pairs)), make(map[pair]*flow) // as many as before, it may be
	o.other, o.turns = 0, nil
}

// record adds a picked turn that has ended. One that failed counts elsewhere, exactly: here it adds
// its time, as those for which it stands would have. The lock is held.
func (o *Observation) record(s *sample) {
	took, err := s.ended-s.arrived, s.err
	if s.weight != 0 && !o.aim.GetDetailsOnly() {
		m := o.methods[s.method]
		if m == nil {
			m = new(methodStats)
			o.methods[s.method] = m
		}
		m.add(flowFor(s.weight, took, err))
		m.latency[bucketOf(took)] += s.weight
	}
	o.connects(pair{s.caller, s.object, false}, flowFor(s.weight, took, err), flowFor(s.near, took, err))
	if s.near != 0 || o.open[s.id] {
		o.ends(s)
	}
}

// connects adds to the flow between two objects, and between their types. The lock is held.
func (o *Observation) connects(way pair, general, near flow) {
	from, to := typeName(way.from), typeName(way.to)
	if general != (flow{}) && !o.aim.GetDetailsOnly() {
		flowOf(o.kinds, pair{from, to, way.push}).add(general)
	}
	if focus := o.aim.GetFocus(); near != (flow{}) && focus != "" && (way.from == focus || way.to == focus) {
		if o.close[way] != nil || len(o.close) < maxPairs {
			flowOf(o.close, way).add(near)
		} else {
			o.other += near.calls
		}
	}
	switch {
	case general == flow{} || !o.aim.GetObjects() || o.types != nil && !o.types[from] && !o.types[to]:
	case o.pairs[way] != nil || len(o.pairs) < maxPairs:
		flowOf(o.pairs, way).add(general)
	default:
		o.other += general.calls
	}
}

func flowOf(flows map[pair]*flow, way pair) *flow {
	f := flows[way]
	if f == nil {
		f = new(flow)
		flows[way] = f
	}
	return f
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

// Collect returns what happened since it was called last, or since the observation began:
// all of the response but vitals, events and the interval; of one that is aimed at details only, these.
func (o *Observation) Collect() *inspectmsg.WatchResponse {
	l := o.lens
	l.node.refresh()
	l.mu.Lock()
	now := l.node.elapsed()
	l.general.advance(now)
	l.near.advance(now)
	l.failing.advance(now)
	l.setDoor()
	l.settle()
	o.confess(o.methods)
	var running map[methodKey]uint64
	if !o.aim.GetDetailsOnly() || now-l.swept >= 2*sweepEvery { // nobody else has swept
		running = l.sweep(now)
	}
	slow := l.hanging(now)
	o.follow()
	took := *o
	o.reset()
	sampling := l.general.oneIn()
	l.mu.Unlock()
	for i := range slow {
		l.node.tellSlow(&slow[i], now)
	}

	r := &inspectmsg.WatchResponse{Turns: took.turns, Sampling: sampling}
	if !took.aim.GetDetailsOnly() {
		r.Types, r.Methods, r.TypeEdges = l.node.census(), told(took.methods, running), edges(took.kinds)
	}
	for way := range took.close { // told exactly, not as an estimate too
		delete(took.pairs, way)
	}
	r.ObjectEdges, r.OtherCalls = cutEdges(append(edges(took.close), edges(took.pairs)...), cmp.Or(int(took.aim.GetMaxEdges()), defaultEdges))
	r.OtherCalls += took.other
	return r
}

// told puts figures of methods into words, in the order of their names.
func told(methods map[methodKey]*methodStats, running map[methodKey]uint64) []*inspectmsg.MethodStats {
	for key := range running {
		if methods[key] == nil {
			methods[key] = new(methodStats)
		}
	}
	list := make([]*inspectmsg.MethodStats, 0, len(methods))
	for key, m := range methods {
		stats := &inspectmsg.MethodStats{
			Type: key.typ.Name, Method: key.name(), Calls: m.calls, Errors: m.errors, Latency: m.latency.counts(),
			TotalNs: uint64(m.time), Running: running[key], //nolint:gosec // G115: not negative
		}
		m.failure.tell(stats)
		list = append(list, stats)
	}
	slices.SortFunc(list, func(a, b *inspectmsg.MethodStats) int {
		return cmp.Or(cmp.Compare(a.GetType(), b.GetType()), cmp.Compare(a.GetMethod(), b.GetMethod()))
	})
	return list
}

// name is that of the method or hook.
func (m methodKey) name() string {
	if m.entry < firstMethod {
		return hook(m.entry).String()
	}
	return m.typ.MethodAt(int(m.entry - firstMethod)).Name
}

// edges returns flows, the busiest first.
func edges(flows map[pair]*flow) []*inspectmsg.Edge {
	list, made := make([]*inspectmsg.Edge, 0, len(flows)), make([]inspectmsg.Edge, len(flows))
	for way, f := range flows {
		if f.calls == 0 {
			continue // there is a time of turns that failed, and none of these was counted
		}
		e := &made[len(list)]
		e.From, e.To, e.Push = way.from, way.to, way.push
		e.Calls, e.Errors, e.TotalNs = f.calls, f.errors, uint64(f.time) //nolint:gosec // G115: not negative
		list = append(list, e)
	}
	slices.SortFunc(list, busier)
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

// cutEdges cuts a list, and counts the calls of what it leaves out.
func cutEdges(list []*inspectmsg.Edge, most int) (first []*inspectmsg.Edge, others uint64) {
	if len(list) <= most {
		return list, 0
	}
	for _, e := range list[most:] {
		others += e.GetCalls()
	}
	return list[:most], others
}
