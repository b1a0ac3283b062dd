package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// ErrTooMany is the error of an interest beside too many others.
var ErrTooMany = errors.New("too much is watched at the same time: other tabs have to close first")

// lingers is how long an interest is kept after the last who had it.
const lingers = 15 * time.Second

// interest is what is known because somebody is interested.
type interest struct {
	begun   time.Duration // when it began
	holders int
	until   time.Duration // … or until then, without holders
	edges   *edges
	focus   *focus // nil: of no single object
}

// focus is what is known of an object that somebody looks at.
type focus struct {
	asked bool   // nodes have said where it is
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

// Hold keeps an interest until release is called: also that in nothing in particular, of somebody who looks.
func (m *Model) Hold(i Interest) (release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, err := m.interestIn(i)
	if err != nil {
		return func() {}, err
	}
	if m.attended.hold(m.clock.Monotonic()) {
		m.seek()
	}
	if one != nil {
		one.holders++
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		until := m.clock.Monotonic() + lingers
		m.attended.release(until)
		if one != nil {
			one.holders--
			one.until = until
		}
	}, nil
}

// attention is whether anybody looks at all.
type attention struct {
	holders int
	until   time.Duration // … or until then, without holders
	there   bool          // as of the last tick, or since
	since   time.Duration // it became so
}

// hold adds somebody who looks, and says whether nobody did.
func (a *attention) hold(now time.Duration) (first bool) {
	a.holders++
	if a.there {
		return false
	}
	a.there, a.since = true, now
	return true
}

func (a *attention) release(until time.Duration) {
	a.holders--
	a.until = until
}

// tick says whether nobody looks any more, and somebody did.
func (a *attention) tick(now time.Duration) (ended bool) {
	was := a.there
	a.there = a.holders > 0 || now <= a.until && was
	return was && !a.there
}

// Sought is closed when there may be other nodes, interests, or whether anybody looks may have changed.
func (m *Model) Sought() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sought
}

// seek tells that what nodes are to be asked may have changed; m.mu is held.
func (m *Model) seek() {
	close(m.sought)
	m.sought = make(chan struct{})
}

// Attended reports whether somebody looks at the model, or did some seconds ago.
func (m *Model) Attended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attended.there
}

// Look takes note that somebody looks, for some seconds.
func (m *Model) Look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
}

// look is Look; m.mu is held.
func (m *Model) look() {
	now := m.clock.Monotonic()
	if m.attended.hold(now) {
		m.seek()
	}
	m.attended.release(now + lingers)
}

// Touch keeps an interest for some seconds.
func (m *Model) Touch(i Interest) error {
	release, err := m.Hold(i)
	release()
	return err
}

// Glance is as Touch where there is room without letting go of what others were interested in; else as Look.
func (m *Model) Glance(i Interest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
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
	one = &interest{begun: m.clock.Monotonic(), edges: newEdges(windowOf)}
	if i.Focus != "" {
		one.edges = newEdges(histogram)
		one.focus = &focus{turns: make(map[turnKey]*heard)}
	}
	m.interests[i] = one
	m.next()
	m.seek()
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
	fewer := m.attended.tick(now)
	for key, one := range m.interests {
		if one.holders == 0 && now > one.until {
			delete(m.interests, key)
			fewer = true
			continue
		}
		one.edges.tick()
		if one.focus == nil {
			continue
		}
		maps.DeleteFunc(one.focus.turns, func(_ turnKey, h *heard) bool { return now-h.at > histogram*time.Second })
	}
	if fewer {
		m.seek()
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
	f.asked, f.node, f.epoch, f.info = true, node, epoch, info
	f.take(node, info.GetTurns(), m.clock.Monotonic())
	m.version.Graph = m.next()
}

func (f *focus) pass(p Passage) {
	if len(f.past) >= maxPassages {
		f.past = slices.Delete(f.past, 0, 1)
	}
	f.past = append(f.past, p)
}
