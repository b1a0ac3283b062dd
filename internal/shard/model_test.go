package shard

import (
	"fmt"
	"slices"
	"time"
)

// The model is a small cluster: members that run the rules of this package against a
// store with compare-and-swap, leases and one revision counter. Everything that may
// happen in any order is a move of its own: time passing, a watch telling the next
// change, a write reaching the store, its answer getting lost, a turn ending. Search
// tries all orders (search_test.go) and checks the rules that must never break.
//
// It is stricter than the real cluster where that costs nothing: any member that ever
// was the allocator may write any of the allocator's writes at any time, so only the
// guards of a write protect.

const (
	maxNodes  = 3
	maxShards = 2
	maxLog    = 16
	maxWrites = 3
	maxQueue  = 4
	modelTTL  = 4 * time.Second
)

// params bound the model.
type params struct {
	nodes, shards int
	ticks         int8 // how far time goes, in seconds
	writes        int8 // writes of allocators
	campaigns     int8 // changes of the allocator
	losses        int8 // answers and requests that get lost
	turns         int8 // turns that run while something happens
	crashes       int8
	evictions     int8 // of members whose lease is over by their own clock
	renewals      int8
	timeouts      int8 // of drains
	deletions     int8 // of shard records, by somebody who should not
	owner         int8 // who has all shards at the start; node 0 is the allocator
	lasting       int8 // the first so many members have leases that last
	flaws         Flaws
}

// world is a state of the model.
type world struct {
	now     time.Duration
	rev     int64
	leader  int8 // who holds the allocator's key, -1: nobody
	term    int64
	keys    [maxNodes]key
	records [maxShards]stored
	deleted [maxShards]bool
	top     [maxShards]uint64 // the greatest epoch that was ever written
	log     [maxLog]change
	logged  int8
	members [maxNodes]member
	writes  [maxWrites]flight
	left    budgets
	broken  string // a rule that a write broke
}

// budgets are what may still happen.
type budgets struct {
	writes, campaigns, losses, turns, crashes, evictions, renewals, timeouts, deletions int8
}

// key is a member's key and lease in the store.
type key struct {
	rev     int64 // create revision, 0: gone
	leased  bool  // the lease lives (a key may be evicted before its lease)
	expires time.Duration
}

type stored struct {
	record small
	rev    int64
}

// small is a Record in few bytes: the search is as fast as states are small.
type small struct {
	owner, ownerRev, epoch, target, targetRev, handover int8 // nodes by number + 1
}

func shrink(r Record) small {
	return small{
		numberOf(r.Owner), int8(r.OwnerRev), int8(r.Epoch),
		numberOf(r.Target), int8(r.TargetRev), int8(r.Handover),
	}
}

func (r small) full() Record {
	return Record{
		Owner: nameOf(r.owner), OwnerRev: int64(r.ownerRev), Epoch: uint64(r.epoch),
		Target: nameOf(r.target), TargetRev: int64(r.targetRev), Handover: int64(r.handover),
	}
}

func numberOf(name string) int8 {
	if name == "" {
		return 0
	}
	return int8(name[0]-'a') + 1
}

func nameOf(number int8) string {
	if number == 0 {
		return ""
	}
	return "abc"[number-1 : number]
}

// task is an OwnerAction in few bytes.
type task struct {
	kind                    OwnerActionKind
	number, epoch, handover int8
	record                  small
	rev                     int8
}

// change is what a watch tells: a shard's record, or a member's key that is gone.
type change struct {
	shard  int8 // -1: a key
	node   int8
	record small
	rev    int64
}

// member is a process.
type member struct {
	down    bool
	dead    bool // its lease is lost, and it knows
	self    int64
	lease   Lease
	asked   time.Duration // a renewal is under way since; -1: none
	done    int8          // … and the store has answered: 1 yes, 2 no
	verify  bool          // it is to read whether it is what it was
	reading int8          // it reads: 1 what it knows, 2 something else; 0: it does not
	until   time.Duration // … to prove that it is valid until then
	begun   time.Duration // … since
	term    int64         // it believes to be the allocator of this term; 0: it does not
	told    int8          // changes of the log that its watch has told
	shards  [maxShards]hosted
}

// hosted is a shard on a member: its rules, what they have asked for, and the host.
type hosted struct {
	rules     Owner
	view      stored // what the member knows as an allocator
	gone      bool   // … the record was deleted at view.rev
	last      guard  // the last owner that the member has heard of, and its epoch
	lastEpoch int8
	queue     [maxQueue]task
	queued    int8
	sent      bool // the write at the head of the queue is under way
	open      bool // the host's gate
	running   bool // a turn runs
	epoch     uint64
}

// flight is a write on its way to the store.
type flight struct {
	shard  uint32 // this and the next three are a Write, comparable
	rev    int64
	record small
	guards [2]guard
	count  int8
	term   int64 // 0: the write does not compare it
	leads  int64 // the term in which it was sent, 0: it is an owner's
	node   int8
	number int8 // of the owner's action
	used   bool
}

func (f *flight) set(w Write) {
	f.used, f.count = true, int8(len(w.Guards))
	for i, g := range w.Guards {
		f.guards[i] = guard{numberOf(g.ID), int8(g.Rev)}
	}
	f.shard, f.rev, f.record = w.Shard, w.Rev, shrink(w.Record)
}

// guard is a NodeGuard in few bytes.
type guard struct{ node, rev int8 }

func nodeName(n int8) string { return nameOf(n + 1) }

// start is a cluster whose members have just joined; a is the allocator and owns all.
func (p params) start() world {
	w := world{leader: 0, left: budgets{
		p.writes, p.campaigns, p.losses, p.turns, p.crashes, p.evictions, p.renewals, p.timeouts, p.deletions,
	}}
	for n := range int8(p.nodes) {
		w.rev++
		ttl := modelTTL
		if n < p.lasting {
			ttl = 10 * modelTTL
		}
		w.keys[n] = key{rev: w.rev, leased: true, expires: ttl}
		m := &w.members[n]
		m.self, m.lease, m.asked = w.rev, NewLease(0, 0, ttl, p.flaws), -1
		for s := range p.shards {
			m.shards[s].rules = NewOwner(nodeName(n), m.self, p.flaws)
		}
	}
	w.rev++
	w.term, w.members[0].term = w.rev, w.rev
	for s := range p.shards {
		w.rev++
		w.put(int8(s), Record{Owner: nodeName(p.owner), OwnerRev: w.keys[p.owner].rev, Epoch: uint64(w.rev)})
		for n := range p.nodes {
			w.members[n].tell(w.log[w.logged-1])
			w.members[n].told = w.logged
		}
		h := &w.members[p.owner].shards[s]
		w.perform(p.owner, int8(s), true)
		if h.rules.Phase != Serving {
			panic("the model does not start")
		}
	}
	return w
}

// put writes a record and logs it.
func (w *world) put(s int8, r Record) {
	if old := w.records[s].record.full(); old.Owner != "" && (old.Owner != r.Owner || old.OwnerRev != r.OwnerRev) && r.Epoch <= w.top[s] {
		w.broken = fmt.Sprintf("shard %d goes from %s to %s with epoch %d, not above %d", s, old.Owner, r.Owner, r.Epoch, w.top[s])
	}
	w.top[s] = max(w.top[s], r.Epoch)
	w.records[s], w.deleted[s] = stored{shrink(r), w.rev}, false
	w.tellAll(change{shard: s, record: shrink(r), rev: w.rev})
}

func (w *world) tellAll(c change) {
	if int(w.logged) == maxLog {
		w.broken = "the model's log is full"
		return
	}
	w.log[w.logged] = c
	w.logged++
}

// valid says whether a member may answer now: what Member.Valid does.
func (w *world) valid(n int8) bool {
	m := &w.members[n]
	return !m.down && !m.dead && (m.lease.State == LeaseValid || m.lease.State == LeaseSuspect) && w.now < m.lease.ValidUntil
}

// answers says whether a member answers for a shard.
func (w *world) answers(n, s int8) bool {
	h := &w.members[n].shards[s]
	return w.valid(n) && (h.open || h.running)
}

// check is the rule that the state breaks, or "".
func (w *world) check(p params) string {
	if w.broken != "" {
		return w.broken
	}
	for s := range int8(p.shards) {
		who := int8(-1)
		for n := range int8(p.nodes) {
			if !w.answers(n, s) {
				continue
			}
			if who >= 0 {
				return fmt.Sprintf("shard %d is answered for by %s and %s", s, nodeName(who), nodeName(n))
			}
			who = n
		}
	}
	return ""
}

// tell gives the rules of a member a change.
func (m *member) tell(c change) {
	if c.shard >= 0 {
		m.shards[c.shard].see(c.record, c.rev)
		m.shards[c.shard].step(OwnerEvent{Kind: RecordSeen, Record: c.record.full(), Rev: c.rev})
	}
}

func (h *hosted) entry() Entry {
	e := Entry{Record: h.view.record.full(), Rev: h.view.rev}
	if h.gone {
		e.Lost = &Lost{Gone: true, Epoch: uint64(h.lastEpoch), Last: NodeGuard{nameOf(h.last.node), int64(h.last.rev)}}
	}
	return e
}

// see is what a member remembers as an allocator.
func (h *hosted) see(r small, rev int64) {
	if rev <= h.view.rev {
		return
	}
	h.view, h.gone = stored{r, rev}, r.owner == 0
	if !h.gone {
		h.last, h.lastEpoch = guard{r.owner, r.ownerRev}, r.epoch
	}
}

// step tells the rules of a shard an event, and lines up what they ask for.
func (h *hosted) step(e OwnerEvent) {
	for _, a := range h.rules.Step(e) {
		if a.Kind == CallOff {
			h.callOff(int8(a.Number))
			continue
		}
		if int(h.queued) == maxQueue {
			panic("more actions than the model holds")
		}
		h.queue[h.queued] = task{
			a.Kind, int8(a.Number), int8(a.Epoch), int8(a.Handover), shrink(a.Record), int8(a.Rev),
		}
		h.queued++
	}
	h.rest()
}

// rest forgets what a member forgets of a settled shard, all but the number: answers to what was called off may come
// yet, where a member waits for them.
func (h *hosted) rest() {
	if o := &h.rules; h.queued == 0 && o.Settled() {
		number := o.number
		*o = ServingOwner(o.self, o.selfRev, o.Record, o.Rev, o.flaws)
		o.number = number
	}
}

func (h *hosted) callOff(number int8) {
	for i := range h.queued {
		if h.queue[i].number == number {
			h.drop(i)
			return
		}
	}
}

func (h *hosted) drop(i int8) {
	if i == 0 {
		h.sent = false
	}
	copy(h.queue[i:], h.queue[i+1:])
	h.queued--
	h.queue[h.queued] = task{}
}

// perform does what is first in a shard's queue; good is whether it succeeds, where it
// may not. False: it cannot be done now.
func (w *world) perform(n, s int8, good bool) bool {
	h := &w.members[n].shards[s]
	if h.queued == 0 || h.sent {
		return false
	}
	a := h.queue[0]
	number := uint64(a.number)
	switch a.kind {
	case Open:
		if !good {
			return false // tried again until it succeeds
		}
		h.open, h.epoch = true, uint64(a.epoch)
		h.end(OwnerEvent{Kind: Opened, Number: number})
	case Drain:
		h.open = false
		if good == h.running {
			return false // good: nothing runs any more; bad: it did not end in time
		}
		kind := DrainFailed
		if good {
			kind = Drained
		}
		h.end(OwnerEvent{Kind: kind, Number: number})
	case Reopen:
		h.drop(0)
		h.open = true
	case Release:
		h.drop(0)
		h.open, h.running, h.epoch = false, false, 0
	case WriteTransfer, WriteAbort:
		return w.send(n, s, a)
	case ReadRecord:
		e := OwnerEvent{Kind: Read, Number: number, Record: w.records[s].record.full(), Rev: w.records[s].rev}
		if w.deleted[s] {
			e.Record, e.Rev = Record{}, w.rev
		} else {
			h.see(w.records[s].record, w.records[s].rev)
		}
		h.end(e)
	case CallOff:
	}
	return true
}

// end tells the rules how the first action of the queue ended.
func (h *hosted) end(e OwnerEvent) {
	h.drop(0)
	h.step(e)
}

// send puts an owner's write on its way.
func (w *world) send(n, s int8, a task) bool {
	i := slices.IndexFunc(w.writes[:], func(f flight) bool { return !f.used })
	if i < 0 {
		return false
	}
	guards := []NodeGuard{{nodeName(n), w.members[n].self}}
	record := a.record.full()
	if a.kind == WriteTransfer {
		guards = append(guards, NodeGuard{record.Owner, record.OwnerRev})
	}
	f := flight{node: n, number: a.number}
	f.set(Write{Shard: uint32(s), Rev: int64(a.rev), Record: record, Guards: guards})
	w.writes[i] = f
	w.members[n].shards[s].sent = true
	return true
}

// arrive lets the store carry out a write, and says whether it did.
func (w *world) arrive(p params, i int) bool {
	f := w.writes[i]
	w.writes[i] = flight{}
	s := int8(f.shard)
	rev := w.records[s].rev
	if w.deleted[s] {
		rev = 0
	}
	ok := p.flaws.NoCompare || rev == f.rev
	ok = ok && (f.term == 0 || f.term == w.term)
	for _, g := range f.guards[:f.count] {
		ok = ok && w.keys[g.node-1].rev == int64(g.rev)
	}
	if !ok {
		return false
	}
	if f.leads != 0 && f.leads != w.term {
		w.broken = fmt.Sprintf("%s wrote as the allocator of term %d, in term %d", nodeName(f.node), f.leads, w.term)
	}
	w.rev++
	w.put(s, f.record.full())
	return true
}

// answer tells the sender of a write what became of it, if it still waits.
func (w *world) answer(f flight, kind OwnerEventKind, rev int64) {
	if f.leads != 0 {
		return
	}
	m := &w.members[f.node]
	h := &m.shards[f.shard]
	if m.down || !h.sent || h.queue[0].number != f.number {
		return
	}
	h.end(OwnerEvent{Kind: kind, Number: uint64(f.number), Record: f.record.full(), Rev: rev})
}

// gone deletes a member's key.
func (w *world) gone(n int8) {
	w.rev++
	w.keys[n].rev = 0
	w.tellAll(change{shard: -1, node: n, rev: w.rev})
}

// vacate ends the term of a member whose lease has ended.
func (w *world) vacate(n int8) {
	if w.leader == n {
		w.leader, w.term = -1, 0
	}
}

// leaseStep tells a member's lease an event and does what it says.
func (w *world) leaseStep(p params, n int8, e LeaseEvent) {
	m := &w.members[n]
	if e.Kind == LeaseRenewed && n < p.lasting {
		e.TTL = 10 * modelTTL
	}
	e.Now = w.now
	for _, a := range m.lease.Step(e) {
		switch a {
		case Verify:
			m.verify = true
		case Die:
			m.dead, m.asked, m.verify, m.reading, m.term = true, -1, false, 0, 0
			for s := range p.shards {
				m.shards[s].step(OwnerEvent{Kind: Quit, Why: ReleaseDead})
			}
		case Suspend, Resume: // validity is asked of the lease
		}
	}
}
