package shard_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

// world is a cluster that a rapid test changes at random: what the planner is given.
type world struct {
	nodes  []shard.Node
	held   []shard.Holding
	limits shard.Limits
	rng    *rand.Rand
	born   int
	done   int // planned moves completed
}

func (w *world) find(id string) *shard.Node {
	i := slices.IndexFunc(w.nodes, func(n shard.Node) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return &w.nodes[i]
}

func (w *world) accepts(id string) bool {
	n := w.find(id)
	return n != nil && n.Accepts && !n.Drains
}

func (w *world) drains(id string) bool {
	n := w.find(id)
	return n != nil && n.Drains
}

// moving says that a planned move of the shard is under way.
func (w *world) moving(h shard.Holding) bool { return w.find(h.Owner) != nil && h.Target != "" }

// place returns the node that has the shard when its move is done; nil for a shard
// without an owner.
func (w *world) place(h shard.Holding) *shard.Node {
	if w.find(h.Owner) == nil {
		return nil
	}
	if n := w.find(h.Target); n != nil {
		return n
	}
	return w.find(h.Owner)
}

// flights counts the moves under way, in all and by pair.
func (w *world) flights() (all int, pairs map[[2]string]int) {
	pairs = map[[2]string]int{}
	for _, h := range w.held {
		if w.moving(h) {
			all++
			pairs[[2]string{h.Owner, h.Target}]++
		}
	}
	return all, pairs
}

// finish completes or aborts the move of shard s as it can end.
func (w *world) finish(s int, complete bool) {
	h := &w.held[s]
	switch {
	case !w.moving(*h):
	case complete && w.find(h.Target) != nil:
		*h = shard.Holding{Owner: h.Target, Pinned: h.Pinned}
		w.done++
	default:
		h.Target, h.Waits = "", true
	}
}

// plan asks for a plan, checks everything that holds of every plan, and begins it.
func (w *world) plan(t *rapid.T) []shard.Change {
	nodes, held := slices.Clone(w.nodes), slices.Clone(w.held)
	changes := shard.Plan(w.nodes, w.held, w.limits)
	if !slices.Equal(nodes, w.nodes) || !slices.Equal(held, w.held) {
		t.Fatal("Plan changed what it was given")
	}
	w.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	if again := shard.Plan(nodes, held, w.limits); !slices.Equal(again, changes) {
		t.Fatalf("the order of the nodes matters:\n%v\n%v", changes, again)
	}
	w.checkChanges(t, changes)
	allBefore, pairsBefore := w.flights()
	w.begin(changes)
	w.checkLimits(t, changes, allBefore, pairsBefore)
	return changes
}

// kind tells what a change is for, in the order of a plan.
func (w *world) kind(c shard.Change) int {
	switch {
	case c.From == "":
		return 0
	case w.drains(c.From):
		return 1
	default:
		return 2
	}
}

func (w *world) checkChanges(t *rapid.T, changes []shard.Change) {
	for i, c := range changes {
		h := w.held[c.Shard]
		owned := w.find(h.Owner) != nil
		switch {
		case !w.accepts(c.To):
			t.Fatalf("%+v: the target does not accept", c)
		case c.From == c.To:
			t.Fatalf("%+v: goes nowhere", c)
		case owned != (c.From != "") || owned && c.From != h.Owner:
			t.Fatalf("%+v of %+v: not the owner", c, h)
		case owned && (h.Target != "" || h.Waits):
			t.Fatalf("%+v of %+v: moves already, or waits", c, h)
		case owned && h.Pinned && !w.drains(c.From):
			t.Fatalf("%+v of %+v: is pinned", c, h)
		case owned && !w.drains(c.From) && !w.accepts(c.From):
			t.Fatalf("%+v: balances a node that keeps what it has", c)
		}
		if i == 0 {
			continue
		}
		if last := changes[i-1]; w.kind(last) > w.kind(c) || w.kind(last) == w.kind(c) && last.Shard >= c.Shard {
			t.Fatalf("%+v after %+v", c, last)
		}
	}
	orphans, taken := 0, 0
	for _, h := range w.held {
		if w.find(h.Owner) == nil {
			orphans++
		}
	}
	for _, c := range changes {
		if c.From == "" {
			taken++
		}
	}
	if slices.ContainsFunc(w.nodes, func(n shard.Node) bool { return w.accepts(n.ID) }) && taken != orphans {
		t.Fatalf("%d of %d shards without an owner were taken over", taken, orphans)
	}
}

// begin writes the changes as a leader would.
func (w *world) begin(changes []shard.Change) {
	for _, c := range changes {
		if h := &w.held[c.Shard]; c.From == "" {
			*h = shard.Holding{Owner: c.To}
		} else {
			h.Target, h.Pinned = c.To, false
		}
	}
}

// checkLimits checks, after the changes began, how much is under way, and that no drain
// was left out for a balancing move.
func (w *world) checkLimits(t *rapid.T, changes []shard.Change, allBefore int, pairsBefore map[[2]string]int) {
	inFlight, perPair := w.limits.InFlight, w.limits.PerPair
	if inFlight == 0 {
		inFlight = max(1, len(w.held)/10)
	}
	if perPair == 0 {
		perPair = 64
	}
	all, pairs := w.flights()
	if w.limits.InFlight >= 0 && all > max(allBefore, inFlight) {
		t.Fatalf("%d moves under way, at most %d", all, inFlight)
	}
	for pair, n := range pairs {
		if w.limits.PerPair >= 0 && n > max(perPair, pairsBefore[pair]) {
			t.Fatalf("%d moves under way for %v, at most %d", n, pair, perPair)
		}
	}
	for _, c := range changes {
		if w.kind(c) != 2 {
			continue
		}
		for s, h := range w.held {
			if w.drains(h.Owner) && h.Target == "" && !h.Waits && (w.limits.PerPair < 0 || pairs[[2]string{h.Owner, c.To}] < perPair) {
				t.Fatalf("%+v balances while shard %d %+v could drain to there", c, s, h)
			}
		}
	}
}

// share is what a node shall have.
type share struct {
	node        shard.Node
	load        int
	pinned      int
	least, most int // its share, rounded down and up
}

// shares computes, by bisection and not as the planner does, what the nodes that accept
// shall have, and what they will have when all moves are done.
func (w *world) shares() (all []share, pool int) {
	for _, n := range w.nodes {
		if w.accepts(n.ID) {
			all = append(all, share{node: n})
		}
	}
	for _, h := range w.held {
		n := w.place(h)
		if n == nil || n.Drains {
			pool++
			continue
		}
		for i := range all {
			if all[i].node.ID == n.ID {
				pool++
				all[i].load++
				if h.Pinned {
					all[i].pinned++
				}
			}
		}
	}
	// The level at which max(pinned, level*weight) uses up the pool.
	low, high := 0.0, float64(pool)
	for range 100 {
		level, sum := (low+high)/2, 0.0
		for _, s := range all {
			sum += max(float64(s.pinned), level*float64(s.node.Weight))
		}
		if sum < float64(pool) {
			low = level
		} else {
			high = level
		}
	}
	for i := range all {
		ideal := max(float64(all[i].pinned), high*float64(all[i].node.Weight))
		all[i].least, all[i].most = int(math.Floor(ideal+1e-6)), int(math.Ceil(ideal-1e-6))
	}
	return all, pool
}

// fewest returns the least number of planned moves that bring every node that accepts to
// its share and empty those that drain: it tries every way of rounding.
func (w *world) fewest() int {
	all, pool := w.shares()
	if len(all) == 0 {
		return 0
	}
	best := math.MaxInt
	for up := range uint(1) << len(all) {
		sum, excess := 0, 0
		for i, s := range all {
			goal := s.least
			if up>>i&1 == 1 {
				goal = s.most
			}
			sum += goal
			excess += max(0, s.load-goal)
		}
		if sum == pool {
			best = min(best, excess)
		}
	}
	for _, h := range w.held {
		if n := w.place(h); n != nil && n.Drains {
			best++
		}
	}
	return best
}

func (w *world) String() string {
	var b strings.Builder
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "%+v\n", n)
	}
	for s, h := range w.held {
		fmt.Fprintf(&b, "%d %+v\n", s, h)
	}
	fmt.Fprintf(&b, "%+v\n", w.limits)
	return b.String()
}

// within says that every node that accepts has its share, within the slack.
func (w *world) within(slack float64) bool {
	switch {
	case slack < 0:
		slack = 0
	case slack == 0:
		slack = 0.04
	}
	all, _ := w.shares()
	for _, s := range all {
		if float64(s.load) > float64(s.most)*(1+slack) || float64(s.load) < float64(s.least)*(1-slack) {
			return false
		}
	}
	return true
}
