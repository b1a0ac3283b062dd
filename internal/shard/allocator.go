package shard

import (
	"slices"
	"time"
)

// Member is a living member as the allocator sees it.
type Member struct {
	ID       string
	Rev      int64         // create revision of its node key
	Weight   int           // at least 1
	Draining bool          // an operator wants it empty
	Leaving  bool          // it wants to be empty, and will be gone soon
	Since    time.Duration // when the allocating member first saw it
}

// Order is an operator's wish that a shard be on a member.
type Order struct {
	Shard  uint32
	Target string
	Rev    int64 // mod revision of its key
}

// View is the cluster as the allocator sees it. It may be old: whatever is written
// compares what it rests on.
type View struct {
	Rev     int64    // the store's revision, at least
	Members []Member // in the order of their IDs
	Shards  []Entry
	Orders  []Order // in the order of their shards
	// SettleUntil is when those that an outage of the store has thrown out may be
	// expected to be back: until then nobody is taken for dead.
	SettleUntil time.Duration
}

// AllocatorConfig holds the allocator's times. All are required.
type AllocatorConfig struct {
	Limits Limits
	// Gather is how long a cluster without any living owner waits for more members.
	Gather time.Duration
	// Grace is how long a member has to be there before shards are moved to it.
	Grace time.Duration
	// MoveTimeout ends a move that its owner did not end.
	MoveTimeout time.Duration
	// Backoff is the pause after the first abort of a shard's move; it doubles up to MaxBackoff.
	Backoff, MaxBackoff time.Duration
	Flaws               Flaws
}

// Allocator decides who owns what: the leader's rules. One Allocator is for one term.
type Allocator struct {
	cfg     AllocatorConfig
	began   time.Duration
	moves   map[uint32]move
	retries map[uint32]retry
}

// move is one that was decided, or seen under way.
type move struct {
	epoch uint64
	rev   int64 // of the record that it was to replace, or that said so
	since time.Duration
}

// retry is a shard whose move was aborted.
type retry struct {
	at    time.Duration
	delay time.Duration
}

// NewAllocator is that of a term that begins now.
func NewAllocator(cfg AllocatorConfig, now time.Duration) *Allocator {
	return &Allocator{cfg: cfg, began: now, moves: make(map[uint32]move), retries: make(map[uint32]retry)}
}

// Decision is what to write next, and when to ask again if nothing changes.
type Decision struct {
	Batches []Batch // independent of each other
	Done    []Order // orders that are carried out or cannot be: to be deleted
	Wake    time.Duration
	Wakes   bool // Wake is set
}

// Step decides for a view. It is deterministic, and asks for the same again as long as
// the view does not show that it was written.
func (a *Allocator) Step(now time.Duration, v View) Decision {
	s := step{Allocator: a, now: now, view: v, living: make(map[string]int64, len(v.Members))}
	for _, m := range v.Members {
		s.living[m.ID] = m.Rev
	}
	s.observe()
	if s.orphans > 0 {
		if s.mayTakeOver() {
			s.takeOver()
			s.decision.Batches = batches(s.writes)
			if len(s.writes) > 0 {
				return s.decision
			}
		}
	}
	s.abort()
	s.carryOutOrders()
	s.move()
	s.decision.Batches = batches(s.writes)
	return s.decision
}

// step is one Step.
type step struct {
	*Allocator

	now      time.Duration
	view     View
	living   map[string]int64
	owned    int // shards with a living owner
	orphans  int // … without
	holdings []Holding
	writes   []Write
	decision Decision
}

func (s *step) wakeAt(t time.Duration) {
	if !s.decision.Wakes || t < s.decision.Wake {
		s.decision.Wake, s.decision.Wakes = t, true
	}
}

func (s *step) alive(id string, rev int64) bool {
	r, ok := s.living[id]
	return ok && r == rev
}

// observe takes note of moves that began and ended, and builds the holdings.
func (s *step) observe() {
	s.holdings = make([]Holding, len(s.view.Shards))
	for i := range s.view.Shards {
		r, shard := &s.view.Shards[i].Record, uint32(i)
		h := &s.holdings[i]
		if s.alive(r.Owner, r.OwnerRev) {
			h.Owner = r.Owner
			s.owned++
		} else {
			s.orphans++
		}
		if r.Moving() && s.alive(r.Target, r.TargetRev) {
			h.Target = r.Target
		}
		h.Pinned = r.Pinned
		s.observeMove(shard, r, s.view.Shards[i].Rev)
		if b, ok := s.retries[shard]; ok && s.now < b.at {
			h.Waits = true
			s.wakeAt(b.at)
		}
	}
}

func (s *step) observeMove(shard uint32, r *Record, rev int64) {
	m, known := s.moves[shard]
	switch {
	case known && r.Epoch != m.epoch: // it has another owner
		delete(s.moves, shard)
		delete(s.retries, shard)
		known = false
	case known && !r.Moving() && rev > m.rev: // it began, and its owner has given up
		s.backOff(shard)
		known = false
	case known && !r.Moving(): // it never began
		delete(s.moves, shard)
		known = false
	}
	if r.Moving() && !known {
		s.moves[shard] = move{epoch: r.Epoch, rev: rev, since: s.now}
	}
}

func (s *step) backOff(shard uint32) {
	delete(s.moves, shard)
	delay := s.cfg.Backoff
	if b, ok := s.retries[shard]; ok {
		delay = min(2*b.delay, s.cfg.MaxBackoff)
	}
	s.retries[shard] = retry{at: s.now + delay, delay: delay}
}

// mayTakeOver says whether shards without an owner may be given away now.
func (s *step) mayTakeOver() bool {
	if s.now < s.view.SettleUntil {
		s.wakeAt(s.view.SettleUntil)
		return false
	}
	if gathered := s.began + s.cfg.Gather; s.owned == 0 && s.now < gathered {
		s.wakeAt(gathered)
		return false
	}
	return true
}

// takeOver gives the shards that nobody has to members.
func (s *step) takeOver() {
	nodes := s.nodes(func(m Member) bool { return !m.Draining && !m.Leaving })
	if !slices.ContainsFunc(nodes, func(n Node) bool { return n.Accepts }) {
		// Better on a member that an operator wants empty than nowhere.
		nodes = s.nodes(func(m Member) bool { return !m.Leaving })
		for i := range nodes {
			nodes[i].Drains = nodes[i].Drains && !nodes[i].Accepts
		}
	}
	for _, c := range Plan(nodes, s.holdings, s.cfg.Limits) {
		if c.From != "" {
			continue
		}
		e := &s.view.Shards[c.Shard]
		to := NodeGuard{c.To, s.living[c.To]}
		last, _ := e.former()
		if e.Lost != nil && s.alive(last.ID, last.Rev) {
			to = last // it may not know yet that the record is lost
		}
		s.writes = append(s.writes, e.takeOver(c.Shard, to, s.living[last.ID], s.view.Rev, s.cfg.Flaws))
	}
}

// begin writes the beginning of a move.
func (s *step) begin(n int, to NodeGuard, pinned bool) {
	e := &s.view.Shards[n]
	s.moves[uint32(n)] = move{epoch: e.Record.Epoch, rev: e.Rev, since: s.now} //nolint:gosec // G115: a shard number
	s.writes = append(s.writes, e.moveTo(n, to, pinned))
}

func (s *step) nodes(accepts func(Member) bool) []Node {
	nodes := make([]Node, len(s.view.Members))
	for i, m := range s.view.Members {
		nodes[i] = Node{ID: m.ID, Weight: m.Weight, Accepts: accepts(m), Drains: m.Draining || m.Leaving}
	}
	return nodes
}

// abort ends moves whose target is gone, and those that nobody ends.
func (s *step) abort() {
	for i := range s.view.Shards {
		r := s.view.Shards[i].Record
		if !r.Moving() || s.holdings[i].Owner == "" {
			continue
		}
		gone := !s.alive(r.Target, r.TargetRev)
		end := s.moves[uint32(i)].since + s.cfg.MoveTimeout
		if !gone && s.now < end {
			s.wakeAt(end)
			continue
		}
		s.writes = append(s.writes, s.view.Shards[i].settle(i)) // once written, it is seen to have ended, and backs off
		s.holdings[i].Target, s.holdings[i].Waits = "", true
	}
}

// carryOutOrders begins the moves that operators want.
func (s *step) carryOutOrders() {
	for _, o := range s.view.Orders {
		if int(o.Shard) >= len(s.holdings) {
			s.decision.Done = append(s.decision.Done, o)
			continue
		}
		h := &s.holdings[o.Shard]
		i := slices.IndexFunc(s.view.Members, func(m Member) bool { return m.ID == o.Target })
		switch {
		case h.Owner == o.Target && h.Target == "",
			i < 0 || s.view.Members[i].Draining || s.view.Members[i].Leaving:
			s.decision.Done = append(s.decision.Done, o)
		case h.Owner == "" || h.Target != "" || h.Waits: // later
		default:
			to := s.view.Members[i]
			s.begin(int(o.Shard), NodeGuard{to.ID, to.Rev}, true)
			h.Target, h.Pinned = to.ID, true
		}
	}
}

// plan prefers shards whose move has never been aborted: others, tried again and again,
// would take their places in the limits for ever.
func (s *step) plan(nodes []Node) []Change {
	if len(s.retries) == 0 {
		return Plan(nodes, s.holdings, s.cfg.Limits)
	}
	first := slices.Clone(s.holdings)
	for shard := range s.retries {
		first[shard].Waits = true
	}
	changes := Plan(nodes, first, s.cfg.Limits)
	if slices.ContainsFunc(changes, func(c Change) bool { return c.From != "" }) {
		return changes
	}
	return Plan(nodes, s.holdings, s.cfg.Limits)
}

// move begins the planned moves.
func (s *step) move() {
	nodes := s.nodes(func(m Member) bool {
		if m.Draining || m.Leaving {
			return false
		}
		if ready := m.Since + s.cfg.Grace; s.now < ready {
			s.wakeAt(ready)
			return false
		}
		return true
	})
	for _, c := range s.plan(nodes) {
		if c.From == "" {
			continue // it has been decided that it is not its time
		}
		s.begin(c.Shard, NodeGuard{c.To, s.living[c.To]}, false)
	}
}
