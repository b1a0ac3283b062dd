package shard

import (
	"fmt"
	"slices"
	"time"
)

// next calls visit for each state that may follow, with the name of the move.
func (w *world) next(p params, visit func(name label, next *world)) {
	try := func(name label, f func(*world) bool) {
		next := *w
		if f(&next) {
			visit(name, &next)
		}
	}
	if w.now < time.Duration(p.ticks)*time.Second {
		try(label{text: "a second passes"}, func(w *world) bool { w.now += time.Second; return true })
	}
	for n := range int8(p.nodes) {
		w.storeMoves(n, try)
		if !w.members[n].down {
			w.memberMoves(p, n, try)
		}
	}
	for i := range w.writes {
		if w.writes[i].used {
			w.writeMoves(p, i, try)
		}
	}
	for s := range int8(p.shards) {
		try(label{text: "somebody deletes the record of shard %d"}.shard(s), func(w *world) bool {
			if w.left.deletions == 0 || w.deleted[s] {
				return false
			}
			w.left.deletions--
			w.rev++
			w.deleted[s] = true
			w.records[s].record = small{}
			w.tellAll(change{shard: s, rev: w.rev})
			return true
		})
	}
}

type tryMove func(name label, f func(*world) bool)

// label names a move. It is put into words only for who reads it.
type label struct {
	text    string // with what it is about, in this order
	a, b, c int8   // nodes by number, or shards
	isNode  [3]bool
	used    int8
}

func node(text string, n int8) label { return label{text: text, a: n, isNode: [3]bool{true}, used: 1} }

func (l label) shard(s int8) label {
	if l.used == 0 {
		l.a = s
	} else {
		l.b = s
	}
	l.used++
	return l
}

func (l label) to(n int8) label {
	l.c, l.isNode[2] = n, true
	l.used++
	return l
}

func (l label) String() string {
	var args []any
	for i, v := range []int8{l.a, l.b, l.c}[:l.used] {
		if l.isNode[i] {
			args = append(args, nodeName(v))
		} else {
			args = append(args, v)
		}
	}
	return fmt.Sprintf(l.text, args...)
}

// storeMoves are what the store and others do to a member.
func (w *world) storeMoves(n int8, try tryMove) {
	try(node("the lease of %s expires", n), func(w *world) bool {
		if !w.keys[n].leased || w.now < w.keys[n].expires {
			return false
		}
		w.expire(n)
		return true
	})
	try(node("%s is evicted", n), func(w *world) bool { // by who knows that it is over for it
		m := &w.members[n]
		if w.left.evictions == 0 || w.keys[n].rev == 0 || w.valid(n) || m.reading == 1 && w.now < m.until {
			return false
		}
		w.left.evictions--
		w.gone(n)
		return true
	})
	try(node("%s crashes", n), func(w *world) bool {
		if w.left.crashes == 0 || w.members[n].down {
			return false
		}
		w.left.crashes--
		w.members[n] = member{down: true, told: maxLog, asked: -1}
		return true
	})
	try(node("the renewal of %s reaches the store", n), func(w *world) bool {
		return w.reach(n)
	})
}

func (w *world) expire(n int8) {
	w.keys[n].leased = false
	w.vacate(n)
	if w.keys[n].rev != 0 {
		w.gone(n)
	}
}

// reach lets a renewal reach the store.
func (w *world) reach(n int8) bool {
	m := &w.members[n]
	if m.asked < 0 || m.done != 0 {
		return false
	}
	m.done = 2
	if w.keys[n].leased {
		m.done, w.keys[n].expires = 1, max(w.keys[n].expires, w.now+modelTTL)
	}
	return true
}

// renewed lets the answer of a renewal reach the member.
func (w *world) renewed(p params, n int8) bool {
	m := &w.members[n]
	if m.asked < 0 || m.done == 0 {
		return false
	}
	e := LeaseEvent{Kind: LeaseRenewed, Sent: m.asked, TTL: modelTTL}
	if m.done == 2 {
		e.Kind = LeaseLost
	}
	m.asked, m.done = -1, 0
	w.leaseStep(p, n, e)
	return true
}

// beginReading lets a member begin to read what it needs to end its fence. It sees the
// store as it is now: who reads later sees more.
func (w *world) beginReading(p params, n int8) bool {
	m := &w.members[n]
	if !m.verify || m.reading != 0 {
		return false
	}
	m.verify, m.begun, m.until = false, w.now, m.lease.Doubt()
	if m.until == 0 {
		return false
	}
	m.reading = 1
	if !w.unchanged(p, n) {
		m.reading = 2
	}
	return true
}

// endReading tells a member what it has read.
func (w *world) endReading(p params, n int8) bool {
	m := &w.members[n]
	if m.reading == 0 {
		return false
	}
	e := LeaseEvent{Kind: LeaseVerified, Until: m.until}
	if m.reading == 2 {
		e.Kind = LeaseRefuted
	}
	m.reading, m.until, m.begun = 0, 0, 0
	w.leaseStep(p, n, e)
	return true
}

// tellNext lets a member's watch tell the next change.
func (w *world) tellNext(p params, n int8) bool {
	m := &w.members[n]
	if m.told >= w.logged {
		return false
	}
	c := w.log[m.told]
	m.told++
	m.tell(c)
	if c.shard < 0 && c.node == n && !m.dead {
		w.leaseStep(p, n, LeaseEvent{Kind: LeaseLost})
	}
	return true
}

func (w *world) memberMoves(p params, n int8, try tryMove) {
	try(node("%s is told the next change", n), func(w *world) bool {
		return w.tellNext(p, n)
	})
	try(node("%s looks at the clock", n), func(w *world) bool {
		if w.members[n].dead || w.now < w.members[n].lease.ValidUntil || w.members[n].lease.State == LeaseFenced {
			return false
		}
		w.leaseStep(p, n, LeaseEvent{Kind: LeaseTick})
		return true
	})
	w.renewMoves(p, n, try)
	w.allocatorMoves(p, n, try)
	for s := range int8(p.shards) {
		w.shardMoves(n, s, try)
	}
}

func (w *world) renewMoves(p params, n int8, try tryMove) {
	try(node("%s asks for a renewal", n), func(w *world) bool {
		m := &w.members[n]
		if w.left.renewals == 0 || m.asked >= 0 || m.dead {
			return false
		}
		w.left.renewals--
		m.asked, m.done = w.now, 0
		return true
	})
	try(node("%s is answered its renewal", n), func(w *world) bool {
		return w.renewed(p, n)
	})
	try(node("%s begins to verify", n), func(w *world) bool {
		return w.beginReading(p, n)
	})
	try(node("%s has verified", n), func(w *world) bool {
		return w.endReading(p, n)
	})
}

// unchanged is what a member reads to verify.
func (w *world) unchanged(p params, n int8) bool {
	m := &w.members[n]
	if w.keys[n].rev != m.self {
		return false
	}
	for s := range p.shards {
		o := &m.shards[s].rules
		if o.Phase == Closed || o.Phase == Transferring || o.Rev > w.records[s].rev {
			continue
		}
		if r := w.records[s].record.full(); !r.OwnedBy(nodeName(n), m.self) || r.Epoch != o.Epoch {
			return false
		}
	}
	return true
}

func (w *world) shardMoves(n, s int8, try tryMove) {
	h := &w.members[n].shards[s]
	if h.queued > 0 {
		try(node(actionName(h.queue[0].kind), n).shard(s), func(w *world) bool { return w.perform(n, s, true) })
		if h.queue[0].kind == Drain && h.running {
			try(node("%s: the drain of shard %d takes too long", n).shard(s), func(w *world) bool {
				if w.left.timeouts == 0 {
					return false
				}
				w.left.timeouts--
				return w.perform(n, s, false)
			})
		}
	}
	try(node("%s: a turn begins on shard %d", n).shard(s), func(w *world) bool {
		h := &w.members[n].shards[s]
		if w.left.turns == 0 || !h.open || h.running || !w.valid(n) || h.queued > 0 && h.queue[0].kind == Drain {
			return false
		}
		w.left.turns--
		h.running = true
		return true
	})
	try(node("%s: the turn on shard %d ends", n).shard(s), func(w *world) bool {
		h := &w.members[n].shards[s]
		was := h.running
		h.running = false
		return was
	})
}

func actionName(k OwnerActionKind) string {
	return [...]string{
		"", "%s opens shard %d", "%s drains shard %d", "%s reopens shard %d", "%s releases shard %d",
		"%s sends the transfer of shard %d", "%s sends the abort of the move of shard %d", "%s reads the record of shard %d", "",
	}[k]
}

// writeMoves are what may happen to a write under way.
func (w *world) writeMoves(p params, i int, try tryMove) {
	f := w.writes[i]
	try(node("the write of %s for shard %d arrives (to %s)", f.node).shard(int8(f.shard)).to(f.record.owner-1), func(w *world) bool {
		kind := Refused
		if w.arrive(p, i) {
			kind = Written
		}
		w.answer(f, kind, w.rev)
		return true
	})
	if f.leads != 0 {
		return // nobody waits for it: not arriving is arriving never
	}
	try(node("the write of %s for shard %d is taken for lost", f.node).shard(int8(f.shard)), func(w *world) bool { // it may come yet
		h := &w.members[f.node].shards[f.shard]
		if w.left.losses == 0 || w.members[f.node].down || !h.sent || h.queue[0].number != f.number {
			return false
		}
		w.left.losses--
		w.answer(f, Unknown, 0)
		return true
	})
	try(node("the write of %s for shard %d is denied", f.node).shard(int8(f.shard)), func(w *world) bool {
		if w.left.losses == 0 {
			return false
		}
		w.left.losses--
		w.writes[i] = flight{}
		w.answer(f, Denied, 0)
		return true
	})
}

const becomesAllocator = "%s becomes the allocator"

// allocatorMoves are what a member does as the allocator, or to become it.
func (w *world) allocatorMoves(p params, n int8, try tryMove) {
	try(node(becomesAllocator, n), func(w *world) bool {
		if w.left.campaigns == 0 || w.leader >= 0 || w.keys[n].rev == 0 || w.members[n].dead {
			return false
		}
		w.left.campaigns--
		w.rev++
		w.leader, w.term, w.members[n].term = n, w.rev, w.rev
		return true
	})
	m := &w.members[n]
	if m.term == 0 || m.dead || w.left.writes == 0 {
		return
	}
	for s := range int8(p.shards) {
		h := &m.shards[s]
		r := h.view.record.full()
		e := h.entry()
		for to := range int8(p.nodes) {
			guard := NodeGuard{nodeName(to), w.memberRev(to)}
			if r.Owner != nodeName(to) {
				try(node("%s gives shard %d to %s", n).shard(s).to(to), func(w *world) bool {
					return w.order(p, n, e.takeOver(int(s), guard, 0, w.rev, p.flaws))
				})
			}
			if !r.Moving() && r.Owner != "" && r.Owner != guard.ID {
				try(node("%s moves shard %d to %s", n).shard(s).to(to), func(w *world) bool {
					return w.order(p, n, e.moveTo(int(s), guard, false))
				})
			}
		}
		if r.Moving() {
			try(node("%s takes back the move of shard %d", n).shard(s), func(w *world) bool {
				return w.order(p, n, e.settle(int(s)))
			})
		}
	}
}

// memberRev is the create revision that a member's key had when it joined.
func (w *world) memberRev(n int8) int64 { return int64(n) + 1 }

// order sends a write of an allocator.
func (w *world) order(p params, n int8, write Write) bool {
	i := slices.IndexFunc(w.writes[:], func(f flight) bool { return !f.used })
	if i < 0 || w.left.writes == 0 {
		return false
	}
	w.left.writes--
	f := flight{node: n, leads: w.members[n].term, term: w.members[n].term}
	if p.flaws.NoTerm {
		f.term = 0
	}
	f.set(write)
	w.writes[i] = f
	return true
}
