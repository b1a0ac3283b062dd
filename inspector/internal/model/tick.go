package model

import (
	"fmt"
	"time"
)

// fresh is how long what a node told last is taken for what it does.
const fresh = 2500 * time.Millisecond

// HoldFor is for how long nodes are to hold back what they do, second by second, while nobody looks.
const HoldFor = 5 * time.Second

// Pace is how often Tick is to be called: each second, or, while nobody looks and there is nothing to be told of soon, as rarely
// as nodes tell something. It may become shorter where [Model.Sought] is closed.
func (m *Model) Pace() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attended.there || len(m.hops) > 0 {
		return time.Second
	}
	return HoldFor
}

// Tick ends the seconds that are over: while somebody looks, the present one, which ends now; else those of which nodes have told. Its owner calls it as
// often as [Model.Pace] says.
func (m *Model) Tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Monotonic()
	until := now
	if !m.attended.there {
		until = m.toldUntil(now)
	}
	m.catchUp(until)
	if until == now {
		m.endSecond(now, false)
	}
	m.tellMoves()
	m.forgetGone(now)
	m.tickInterests(now)
	m.judge()
	rev, then := m.next(), m.atTick
	for _, of := range []struct{ now, then *uint64 }{
		{&m.version.Nodes, &then.Nodes}, {&m.version.Types, &then.Types}, {&m.version.Graph, &then.Graph},
	} {
		if *of.now == *of.then { // else it is told since, and will be again: twice would be no better
			*of.now = rev
		}
	}
	m.atTick = m.version
}

// forgetGone forgets what nodes did that have left, and those that have for a while; m.mu is held.
func (m *Model) forgetGone(now time.Duration) {
	for id, n := range m.nodes {
		if n.gone == 0 {
			continue
		}
		n.last, n.current = second{}, tally{}
		if now-n.gone > keepGone {
			delete(m.nodes, id)
			m.register()
		}
	}
}

// endSecond ends the present second at a time. Of one that was put off who told something of it is known, also where it has gone since. m.mu is held.
func (m *Model) endSecond(now time.Duration, putOff bool) {
	p := Point{T: m.pointTime(now)}
	if now >= m.moved {
		p.Moves, m.moves = m.moves, 0
	}
	var all latency
	known := false
	for _, n := range m.nodes {
		told := n.current.span > 0
		tells := m.tells(n, now) || putOff && told
		if n.gone != 0 && !tells {
			continue
		}
		n.endSecond(tells)
		if tells && (told || !putOff) {
			known = true
			n.points = keep(n.points, n.point(p.T))
		}
		p.Nodes++
		p.Calls += n.last.calls
		p.Errors += n.last.errors
		p.Activations += n.last.activations
		p.Pushes += n.last.pushes
		all = all.plus(n.last.latency)
		if tells {
			p.Objects += n.vitals.GetObjects()
			p.Clients += n.vitals.GetClients()
			p.Waiting += n.vitals.GetWaiting()
		}
		if n.state() == "fenced" {
			p.Fenced++
		}
	}
	p.P50, p.P95, p.P99 = all.percentiles()
	m.keepMethods(p, known)
	m.seconds++
	m.ticked = now
	m.began[m.seconds%uint64(len(m.began))] = now
	for _, one := range m.methods {
		one.seconds[m.seconds%histogram] = tally{}
	}
	m.calls.tick()
	if m.placed && (known || !putOff) { // gaps where nothing is known
		p.Rev = m.next()
		m.points = keep(m.points, p)
		m.version.Points = p.Rev
	}
}

// pointTime is the time of the points of a second that ends then. It never goes back: where the clock does, the points go on at half
// its pace until it has caught up. m.mu is held.
func (m *Model) pointTime(then time.Duration) int64 {
	m.pointed = max(m.wall(then), m.pointed+max((then-m.ticked).Milliseconds()/2, 1))
	return m.pointed
}

// endSecond takes note of what the node did in the present second, where it tells that.
func (n *node) endSecond(tells bool) {
	switch {
	case !tells:
		n.last, n.cpu, n.current = second{}, 0, tally{}
	case n.current.span > 0:
		n.last = n.current.rates(n.last)
		if n.current.looked > 0 {
			n.cpu = float64(n.current.cpu) / float64(n.current.looked)
		}
		n.current = tally{}
	}
}

// point is how the node is, and what it did in the last second.
func (n *node) point(at int64) NodePoint {
	v := n.vitals
	p := NodePoint{
		Point: Point{
			T: at, Calls: n.last.calls, Errors: n.last.errors, Objects: v.GetObjects(), Clients: v.GetClients(),
			Activations: n.last.activations, Pushes: n.last.pushes, Waiting: v.GetWaiting(), Nodes: 1,
		},
		CPU: n.cpu, Heap: v.GetHeapBytes(), RSS: v.GetRssBytes(), Goroutines: v.GetGoroutines(), Shards: n.member.Shards,
	}
	p.P50, p.P95, p.P99 = n.last.latency.percentiles()
	if n.state() == "fenced" {
		p.Fenced = 1
	}
	return p
}

// keep appends a point and lets the oldest go.
func keep[P Point | NodePoint](points []P, p P) []P {
	if len(points) >= maxPoints {
		copy(points, points[len(points)-maxPoints+1:])
		points = points[:maxPoints-1]
	}
	return append(points, p)
}

// tellMoves tells of the shards that changed their owner in this second; m.mu is held.
func (m *Model) tellMoves() {
	for hop, shards := range m.hops {
		e := Event{At: m.now(), Kind: "move", Level: "info", Node: hop[1], Shard: -1}
		from, to := m.name(hop[0]), m.name(hop[1])
		if len(shards) == 1 {
			e.Shard = int32(shards[0]) //nolint:gosec // G115: at most 65535
			e.Text = fmt.Sprintf("Shard %d went from %s to %s.", shards[0], from, to)
		} else {
			e.Text = fmt.Sprintf("%d shards went from %s to %s.", len(shards), from, to)
		}
		m.tell(e)
	}
	clear(m.hops)
}

// name is a node's address, or what else is known of it; m.mu is held.
func (m *Model) name(id string) string {
	switch n := m.nodes[id]; {
	case id == "":
		return "nobody"
	case n == nil:
		return id
	default:
		return n.member.Address
	}
}

// Points are the points after rev, oldest first.
func (m *Model) Points(rev uint64) []Point {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := len(m.points)
	for i > 0 && m.points[i-1].Rev > rev {
		i--
	}
	return append([]Point{}, m.points[i:]...)
}

// Overview is the cluster as a whole, with its history if wanted.
func (m *Model) Overview(history bool) Overview {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.state
	if n := len(m.points); n > 0 {
		p := m.points[n-1]
		o.Now = &p
	}
	if history {
		all := append([]Point{}, m.points...)
		o.History = &all
	}
	return o
}
