package shard

import (
	"fmt"
	"time"
)

// settle lets the world go on with no more trouble, and says what is still wrong after a
// while, or "".
func (w *world) settle(p params) string {
	copied := *w
	w = &copied
	allocators := make(map[int64]*Allocator)
	p.ticks = 100
	w.left = budgets{campaigns: 100, renewals: 100}
	for range 60 {
		for w.round(p, allocators) {
			if broke := w.check(p); broke != "" {
				return "while settling: " + broke
			}
		}
		if w.calm(p) {
			return ""
		}
		w.now += time.Second
	}
	return w.unrest(p)
}

// calm says whether every shard is answered for by its owner and does not move.
func (w *world) calm(p params) bool { return w.unrest(p) == "" }

func (w *world) unrest(p params) string {
	living := 0
	for n := range int8(p.nodes) {
		if w.valid(n) {
			living++
		}
	}
	if living == 0 {
		for n := range p.nodes {
			if m := &w.members[n]; !m.down && !m.dead {
				return "nobody is valid, though somebody lives"
			}
		}
		return "" // nobody is left
	}
	for s := range int8(p.shards) {
		r := w.records[s].record.full()
		if r.Moving() {
			return fmt.Sprintf("shard %d still moves: %+v", s, r)
		}
		if r.Owner == "" || !w.members[numberOf(r.Owner)-1].shards[s].open || !w.valid(numberOf(r.Owner)-1) {
			return fmt.Sprintf("shard %d is not served: %+v", s, r)
		}
	}
	return ""
}

// round does everything that can be done at this moment, and says whether that was anything.
func (w *world) round(p params, allocators map[int64]*Allocator) bool {
	before := w.encode(p, nil)
	do := func(_ label, f func(*world) bool) { f(w) }
	for i := range w.writes {
		if w.writes[i].used {
			f := w.writes[i]
			kind := Refused
			if w.arrive(p, i) {
				kind = Written
			}
			w.answer(f, kind, w.rev)
		}
	}
	for n := range int8(p.nodes) {
		w.expireIfDue(n)
		if w.members[n].down {
			continue
		}
		w.renewOnce(p, n)
		for range w.logged {
			if m := &w.members[n]; m.told < w.logged {
				w.tellNext(p, n)
			}
		}
		for s := range int8(p.shards) {
			w.members[n].shards[s].running = false
			w.perform(n, s, true)
		}
		if w.leader < 0 && w.valid(n) {
			w.allocatorMoves(p, n, func(l label, f func(*world) bool) {
				if l.text == becomesAllocator {
					do(l, f)
				}
			})
		}
	}
	w.allocateOnce(p, allocators)
	w.forgetLog(p)
	return string(before) != string(w.encode(p, nil))
}

func (w *world) expireIfDue(n int8) {
	if w.keys[n].leased && w.now >= w.keys[n].expires {
		w.expire(n)
	}
}

// slowReading is how long a reading takes: longer than it is to the next renewal.
const slowReading = 2 * time.Second

// renewOnce renews once a second.
func (w *world) renewOnce(p params, n int8) {
	m := &w.members[n]
	if m.dead {
		return
	}
	w.leaseStep(p, n, LeaseEvent{Kind: LeaseTick})
	if m.asked < 0 && m.lease.ValidUntil < w.now+modelTTL-Margin(modelTTL) {
		m.asked, m.done = w.now, 0
	}
	if m.asked >= 0 {
		w.reach(n)
		w.renewed(p, n)
	}
	w.beginReading(p, n)
	if w.now >= m.begun+slowReading {
		w.endReading(p, n)
	}
}

// allocateOnce has the allocator write what the real rules decide.
func (w *world) allocateOnce(p params, allocators map[int64]*Allocator) {
	n := w.leader
	if n < 0 || !w.valid(n) || w.members[n].term != w.term {
		return
	}
	a := allocators[w.term]
	if a == nil {
		a = NewAllocator(AllocatorConfig{
			Limits: Limits{Slack: -1}, MoveTimeout: 5 * time.Second, Backoff: time.Second, MaxBackoff: time.Second, Flaws: p.flaws,
		}, w.now)
		allocators[w.term] = a
	}
	v := View{Rev: w.rev}
	for n := range int8(p.nodes) {
		if w.keys[n].rev != 0 {
			v.Members = append(v.Members, Member{ID: nodeName(n), Rev: w.keys[n].rev, Weight: 1})
		}
	}
	for s := range p.shards {
		h := &w.members[n].shards[s]
		v.Shards = append(v.Shards, h.entry())
	}
	for _, b := range a.Step(w.now, v).Batches {
		for _, write := range b.Writes {
			w.left.writes = 1
			if w.order(p, n, write) {
				w.left.writes = 0
			}
		}
	}
}

// forgetLog makes room in the log once everybody was told all.
func (w *world) forgetLog(p params) {
	for n := range p.nodes {
		if m := &w.members[n]; !m.down && m.told < w.logged {
			return
		}
	}
	for n := range p.nodes {
		w.members[n].told = 0
	}
	w.logged = 0
}
