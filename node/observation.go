package node

import (
	"cmp"
	"slices"

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
	figures

	lens  *lens   // whose mutex guards all here
	spare figures // empty, for the next interval

	aim    *inspectmsg.WatchRequest
	types  map[string]bool // of the aim; nil: all
	open   map[uint64]bool // turns that were told to run
	faults map[methodKey]seenFault
}

// figures are what is told of an interval.
type figures struct {
	methods map[methodKey]*methodStats
	kinds   flows  // between types
	pairs   flows  // between objects
	close   flows  // those of the focused object
	other   uint64 // calls between objects for which there was no room
	turns   []*inspectmsg.Turn
}

// of are those of a method.
func (f *figures) of(key methodKey) *methodStats {
	m := f.methods[key]
	if m == nil {
		if f.methods == nil {
			f.methods = make(map[methodKey]*methodStats)
		}
		m = new(methodStats)
		f.methods[key] = m
	}
	return m
}

// clear forgets them, but for some of the room that they took.
func (f *figures) clear() {
	clear(f.methods)
	f.kinds.clear()
	f.pairs.clear()
	f.close.clear()
	f.other, f.turns = 0, nil
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
	l.mu.Lock()
	l.settle() // what was before is not its business
	for key, f := range l.faults.all() {
		o.faults[key] = f.now()
	}
	l.observations[o] = struct{}{}
	n.lens.Store(l)
	l.aimAll()
	l.mu.Unlock()
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
	o.figures, o.spare = figures{}, figures{}
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
		o.close.clear()
		clear(o.open)
		o.turns = nil
	}
	if !at.GetObjects() {
		o.pairs.clear()
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
	if l.underway.rough.Swap(l.general.rough) != l.general.rough {
		l.underway.resume() // another quota holds
	}
	l.focus.Store(nil)
	if ids != nil {
		l.focus.Store(&ids)
	}
	l.setDoor()
}

// record adds a picked turn that has ended. One that failed counts elsewhere, exactly: here it adds
// its time, as those for which it stands would have. The lock is held.
func (o *Observation) record(s *sample) {
	took, err := s.ended-s.arrived, s.err
	if s.weight != 0 && !o.aim.GetDetailsOnly() {
		m := o.of(s.method)
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
		o.kinds.add(pair{from, to, way.push}, general)
	}
	if focus := o.aim.GetFocus(); near != (flow{}) && focus != "" && (way.from == focus || way.to == focus) {
		if len(o.close.all) < maxPairs || o.close.has(way) {
			o.close.add(way, near)
		} else {
			o.other += near.calls
		}
	}
	switch {
	case general == flow{} || !o.aim.GetObjects() || o.types != nil && !o.types[from] && !o.types[to]:
	case len(o.pairs.all) < maxPairs || o.pairs.has(way):
		o.pairs.add(way, general)
	default:
		o.other += general.calls
	}
}

// Collect returns what happened since it was called last, or since the observation began:
// all of the response but vitals, events and the interval; of one that is aimed at details only, these.
func (o *Observation) Collect() *inspectmsg.WatchResponse {
	l := o.lens
	l.node.refresh()
	l.mu.Lock()
	now := l.node.elapsed()
	l.near.advance(now)
	l.failing.advance(now)
	l.settle()
	o.confess()
	var running map[methodKey]uint64
	if !o.aim.GetDetailsOnly() || now-l.swept >= 2*sweepEvery { // nobody else has swept
		running = l.sweep(now)
	}
	l.general.advance(now)
	l.setDoor()
	slow := l.hanging(now)
	o.follow()
	took, only := o.figures, o.aim.GetDetailsOnly()
	o.figures, o.spare = o.spare, figures{}
	most := cmp.Or(int(o.aim.GetMaxEdges()), defaultEdges)
	sampling := l.general.oneIn()
	l.mu.Unlock()
	for i := range slow {
		l.node.tellSlow(&slow[i], now)
	}

	r := &inspectmsg.WatchResponse{Turns: took.turns, Sampling: sampling}
	if !only {
		r.Types, r.Methods, r.TypeEdges = l.node.census(), took.told(running), took.kinds.edges(&flows{})
	}
	near := took.close.edges(&flows{}) // they are told exactly, not as estimates too, and before all others
	near, cut := cutEdges(near, most)
	rest, cutToo := cutEdges(took.pairs.edges(&took.close), most-len(near))
	near = append(near, rest...)
	r.ObjectEdges, r.OtherCalls = near, took.other+cut+cutToo
	took.clear()
	l.mu.Lock()
	defer l.mu.Unlock()
	o.spare = took
	return r
}

// told puts what is known of methods into words, in the order of their names.
func (f *figures) told(running map[methodKey]uint64) []*inspectmsg.MethodStats {
	for key := range running {
		f.of(key)
	}
	list := make([]*inspectmsg.MethodStats, 0, len(f.methods))
	for key, m := range f.methods {
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
