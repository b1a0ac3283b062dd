package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/shard"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// ErrTooMany is the error of an interest beside too many others.
var ErrTooMany = errors.New("too much is watched at the same time: other tabs have to close first")

// lingers is how long an interest is kept after the last who had it.
const lingers = 15 * time.Second

// interest is what is known because somebody is interested.
type interest struct {
	begun   uint64 // the second in which it began
	holders int
	until   time.Duration // … or until then, without holders
	edges   *edges
	focus   *focus // nil: of no single object
}

// focus is what is known of an object that somebody looks at.
type focus struct {
	node  string // where it is; empty: nowhere
	info  *inspectpb.DescribeResponse
	turns map[turnKey]*heard
	past  []Passage
	epoch uint64
}

type turnKey struct {
	node string
	id   uint64
}

// heard is a turn, and when it was last told of.
type heard struct {
	turn Turn
	at   time.Duration
}

// Hold keeps an interest until release is called.
func (m *Model) Hold(i Interest) (release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, err := m.interestIn(i)
	if err != nil || one == nil {
		return func() {}, err
	}
	one.holders++
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		one.holders--
		one.until = m.clock.Monotonic() + lingers
	}, nil
}

// Touch keeps an interest for some seconds.
func (m *Model) Touch(i Interest) error {
	release, err := m.Hold(i)
	release()
	return err
}

// Glance is as Touch where there is room without letting go of what others were interested in; else nothing.
func (m *Model) Glance(i Interest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.interests[i] == nil && len(m.interests) >= maxInterests {
		return
	}
	if one, _ := m.interestIn(i); one != nil { // there is room
		one.until = m.clock.Monotonic() + lingers
	}
}

// interestIn is the record of an interest, made if there is none; nil for none. m.mu is held.
func (m *Model) interestIn(i Interest) (*interest, error) {
	if i == (Interest{}) {
		return nil, nil //nolint:nilnil // no interest is no error
	}
	one := m.interests[i]
	if one != nil {
		return one, nil
	}
	if len(m.interests) >= maxInterests {
		for key, other := range m.interests { // one that lingers gives way
			if other.holders == 0 {
				delete(m.interests, key)
				break
			}
		}
	}
	if len(m.interests) >= maxInterests {
		return nil, ErrTooMany
	}
	one = &interest{begun: m.seconds, edges: newEdges(windowOf)}
	if i.Focus != "" {
		one.edges = newEdges(histogram)
		one.focus = &focus{turns: make(map[turnKey]*heard)}
	}
	m.interests[i] = one
	m.next()
	return one, nil
}

// Interests are those that somebody has.
func (m *Model) Interests() []Interest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.interests))
}

// tickInterests lets go what nobody is interested in any more; m.mu is held.
func (m *Model) tickInterests(now time.Duration) {
	for key, one := range m.interests {
		if one.holders == 0 && now > one.until {
			delete(m.interests, key)
			continue
		}
		one.edges.tick()
		if one.focus == nil {
			continue
		}
		maps.DeleteFunc(one.focus.turns, func(_ turnKey, h *heard) bool { return now-h.at > histogram*time.Second })
	}
}

// Detail takes over what a node tells because of an interest.
func (m *Model) Detail(id string, i Interest, r *inspectpb.WatchResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.interests[i]
	if one == nil {
		return
	}
	one.edges.take(r.GetObjectEdges(), r.GetOtherCalls())
	if one.focus != nil {
		one.focus.take(id, r.GetTurns(), m.clock.Monotonic())
	}
	m.version.Graph = m.next()
}

// take takes note of turns.
func (f *focus) take(id string, turns []*inspectpb.Turn, now time.Duration) {
	for _, t := range turns {
		if waits(t) {
			continue // it is told with the object, for as long as it waits
		}
		key := turnKey{id, t.GetId()}
		if old := f.turns[key]; old != nil && old.turn.Ran != nil && t.GetRanNs() < 0 {
			continue // it has ended already
		}
		f.turns[key] = &heard{shapeTurn(id, t), now}
	}
	if len(f.turns) <= maxTurns {
		return
	}
	keys := slices.SortedFunc(maps.Keys(f.turns), func(a, b turnKey) int { return cmp.Compare(f.turns[a].turn.At, f.turns[b].turn.At) })
	for _, key := range keys[:len(keys)-maxTurns] {
		delete(f.turns, key)
	}
}

// waits reports whether a turn has not begun: it has no number yet.
func waits(t *inspectpb.Turn) bool { return t.GetId() == 0 }

// shapeWaiting are the turns that wait, in their order.
func shapeWaiting(id string, turns []*inspectpb.Turn) (all []Turn) {
	for _, t := range turns[:min(len(turns), maxTurns)] {
		if !waits(t) {
			continue
		}
		one := shapeTurn(id, t)
		one.ID, one.Ran, one.Waits = fmt.Sprintf("%s-waits-%d", id, len(all)+1), nil, true
		all = append(all, one)
	}
	return all
}

func shapeTurn(id string, t *inspectpb.Turn) Turn {
	out := Turn{
		ID: fmt.Sprintf("%s-%d", id, t.GetId()), Method: clip(t.GetMethod(), 256), Caller: clip(t.GetCaller(), 256),
		At: t.GetArrivedUs() / 1000, Waited: ms(t.GetWaitedNs()), Code: clip(t.GetCode(), 64),
	}
	if t.GetRanNs() >= 0 {
		ran := ms(t.GetRanNs())
		out.Ran = &ran
	}
	return out
}

// Described takes note of what nodes say of an object; node is where it is, empty: nowhere.
func (m *Model) Described(id, node string, info *inspectpb.DescribeResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.interests[NewInterest(true, "", id)]
	if one == nil || one.focus == nil {
		return
	}
	f := one.focus
	epoch := info.GetInfo().GetEpoch()
	switch {
	case node != "" && f.node == "":
		f.pass(Passage{m.now(), node, epoch, "seen"})
	case node == "" && f.node != "":
		f.pass(Passage{m.now(), f.node, f.epoch, "gone"})
	case node != f.node || epoch != f.epoch:
		f.pass(Passage{m.now(), node, epoch, "moved"})
	}
	f.node, f.epoch, f.info = node, epoch, info
	f.take(node, info.GetTurns(), m.clock.Monotonic())
	m.version.Graph = m.next()
}

func (f *focus) pass(p Passage) {
	if len(f.past) >= maxPassages {
		f.past = slices.Delete(f.past, 0, 1)
	}
	f.past = append(f.past, p)
}

// Known is what the model knows of an object, with what a node says of it.
func (m *Model) Known(id, node string, info *inspectpb.DescribeResponse) Detail {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Detail{
		Shard: -1, IdleTimeout: idleTimeout(info.GetIdleTimeoutNs()), Turns: []Turn{}, Callers: []Edge{}, Callees: []Edge{}, History: []Passage{}, Sampling: 1,
	}
	if n := m.nodes[node]; n != nil {
		out.Sampling = max(n.sampled, 1)
	}
	if info.GetFound() {
		o := ShapeObject(node, info.GetInfo())
		out.Object, out.Owner, out.Shard, out.Epoch = &o, node, o.Shard, o.Epoch
	}
	if t := m.types[typeOf(id)]; out.Object == nil && len(m.shards) > 0 && (t == nil || !t.client) {
		n := shard.Of(id, len(m.shards))
		out.Shard = int32(n) //nolint:gosec // G115: at most 65535
		out.Owner, out.Epoch = m.ownerOf(n)
	}
	one := m.interests[NewInterest(true, "", id)]
	if one == nil || one.focus == nil {
		for _, t := range info.GetTurns()[:min(len(info.GetTurns()), maxTurns)] {
			if !waits(t) {
				out.Turns = append(out.Turns, shapeTurn(node, t))
			}
		}
		out.Turns = append(out.Turns, shapeWaiting(node, info.GetTurns())...)
		return out
	}
	for _, h := range one.focus.turns {
		out.Turns = append(out.Turns, h.turn)
	}
	slices.SortFunc(out.Turns, func(a, b Turn) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID)) })
	out.Turns = append(out.Turns, shapeWaiting(node, info.GetTurns())...)
	sums, _ := one.edges.total(histogram)
	over := m.window(one.begun, histogram)
	for key, s := range sums {
		if key.to == id {
			out.Callers = append(out.Callers, key.shape(s, over))
		}
		if key.from == id {
			out.Callees = append(out.Callees, key.shape(s, over))
		}
	}
	busiest := func(a, b Edge) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.From+a.To, b.From+b.To))
	}
	slices.SortFunc(out.Callers, busiest)
	slices.SortFunc(out.Callees, busiest)
	out.Callers, out.Callees = out.Callers[:min(len(out.Callers), 200)], out.Callees[:min(len(out.Callees), 200)]
	out.History = append(out.History, one.focus.past...)
	return out
}

// Focused is what is known of an object that somebody watches; false: nobody does.
func (m *Model) Focused(id string) (Detail, bool) {
	m.mu.Lock()
	one := m.interests[NewInterest(true, "", id)]
	if one == nil || one.focus == nil {
		m.mu.Unlock()
		return Detail{}, false
	}
	node, info := one.focus.node, one.focus.info
	m.mu.Unlock()
	return m.Known(id, node, info), true
}

func typeOf(id string) string {
	for i := range len(id) {
		if id[i] == '-' {
			return id[:i]
		}
	}
	return id
}

// ShapeObject is an object as the API tells it.
func ShapeObject(node string, o *inspectpb.ObjectInfo) Object {
	return Object{
		ID: clip(o.GetId(), 256), Type: clip(o.GetType(), 256), Node: node, Shard: max(o.GetShard(), -1), Epoch: o.GetEpoch(), Phase: clip(o.GetPhase(), 64),
		Running: o.GetRunning(), Waiting: o.GetWaiting(), Calls: o.GetCalls(), Time: float64(o.GetTimeNs()) / 1e6,
		Idle: ms(o.GetIdleNs()), Age: ms(o.GetAgeNs()),
	}
}

// idleTimeout is in milliseconds; -1: never.
func idleTimeout(ns int64) float64 {
	if ns < 0 {
		return -1
	}
	return ms(ns)
}
