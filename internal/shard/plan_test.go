package shard_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/xiaonanln/goverse/internal/shard"
)

// ownedBy counts the shards of each owner.
func ownedBy(held []shard.Holding) map[string]int {
	owned := map[string]int{}
	for _, h := range held {
		owned[h.Owner]++
	}
	return owned
}

// carryOut plans and finishes every move at once, until nothing is left to do. It
// returns how many planned moves there were, and how many takeovers.
func carryOut(t *testing.T, nodes []shard.Node, held []shard.Holding, limits shard.Limits) (moves, takeovers int) {
	t.Helper()
	for range 10 * len(held) {
		changes := shard.Plan(nodes, held, limits)
		if len(changes) == 0 {
			return moves, takeovers
		}
		for _, c := range changes {
			if c.From == "" {
				takeovers++
			} else {
				moves++
			}
			held[c.Shard] = shard.Holding{Owner: c.To}
		}
	}
	t.Fatal("the plans do not end")
	return 0, 0
}

func TestPlanSpreadsFromScratch(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 2, 3, 7, 1000, 9000} {
		for _, shards := range []int{0, 1, 100, shard.DefaultCount, 16384} {
			held := settledOn(equalNodes(count), shards)
			owned := ownedBy(held)
			if owned[""] != 0 {
				t.Errorf("%d nodes, %d shards: %d have no owner", count, shards, owned[""])
			}
			for _, n := range equalNodes(count) {
				if has := owned[n.ID]; has < shards/count || has > (shards+count-1)/count {
					t.Errorf("%d nodes, %d shards: %s has %d", count, shards, n.ID, has)
				}
			}
		}
	}
}

func TestPlanFollowsWeights(t *testing.T) {
	t.Parallel()
	nodes := equalNodes(10)
	for i := range nodes {
		nodes[i].Weight = i + 1 // 55 in all
	}
	owned := ownedBy(settledOn(nodes, 5500))
	for i, n := range nodes {
		if want := 100 * (i + 1); owned[n.ID] != want {
			t.Errorf("%s of weight %d has %d shards, want %d", n.ID, n.Weight, owned[n.ID], want)
		}
	}
	// The rest goes where rounding down took most: of 10 shards 1.43, 2.86 and 5.71.
	three := equalNodes(3)
	three[1].Weight, three[2].Weight = 2, 4
	if got := ownedBy(settledOn(three, 10)); got["node-0000"] != 1 || got["node-0001"] != 3 || got["node-0002"] != 6 {
		t.Errorf("10 shards by 1:2:4: %v", got)
	}
	// What is no weight counts as the nearest.
	odd := equalNodes(3)
	odd[0].Weight, odd[1].Weight, odd[2].Weight = -5, 0, 1
	if got := ownedBy(settledOn(odd, 30)); got["node-0000"] != 10 || got["node-0001"] != 10 {
		t.Errorf("weights below 1 are not taken for 1: %v", got)
	}
	odd[0].Weight, odd[1].Weight, odd[2].Weight = 1<<62, shard.MaxWeight, 1
	if got := ownedBy(settledOn(odd, 16384)); got["node-0000"] != 8192 || got["node-0001"] != 8192 {
		t.Errorf("weights above MaxWeight are not taken for it: %v", got)
	}
}

// The figure of the project: a fourth node beside three takes its share, from all of
// them alike, and nothing else moves.
func TestPlanJoin(t *testing.T) {
	t.Parallel()
	for _, limits := range []shard.Limits{{}, {Slack: -1}, {InFlight: -1, PerPair: -1}} {
		held := settledOn(equalNodes(3), shard.DefaultCount)
		moves, takeovers := carryOut(t, equalNodes(4), held, limits)
		// The default slack is left as soon as all are within it and nothing moves.
		least, owned := 2048*96/100, ownedBy(held)
		if limits != (shard.Limits{}) {
			least = 2048
		}
		if moves < least || moves > 2048 || takeovers != 0 || owned["node-0003"] != moves {
			t.Errorf("%+v: %d moves, %d takeovers, the new node has %d", limits, moves, takeovers, owned["node-0003"])
		}
		for id, has := range owned {
			if has < least || has > 2048*105/100 {
				t.Errorf("%+v: %s has %d shards", limits, id, has)
			}
		}
	}
}

func TestPlanLossMovesOnlyTheLost(t *testing.T) {
	t.Parallel()
	held := settledOn(equalNodes(1000), shard.DefaultCount)
	before := slices.Clone(held)
	const lost = "node-0500"
	left := slices.DeleteFunc(equalNodes(1000), func(n shard.Node) bool { return n.ID == lost })
	moves, takeovers := carryOut(t, left, held, shard.Limits{Slack: -1})
	if want := ownedBy(before)[lost]; moves != 0 || takeovers != want {
		t.Errorf("%d moves and %d takeovers, want none and %d", moves, takeovers, want)
	}
	for s := range held {
		if before[s].Owner != lost && held[s] != before[s] {
			t.Errorf("shard %d went from %s to %s", s, before[s].Owner, held[s].Owner)
		}
	}
}

func TestPlanWithoutAnybodyToAccept(t *testing.T) {
	t.Parallel()
	suspect, draining := equalNodes(3), equalNodes(3)
	for i := range suspect {
		suspect[i].Accepts, draining[i].Drains = false, true
	}
	for name, nodes := range map[string][]shard.Node{"nobody": nil, "all suspect": suspect, "all drain": draining} {
		for _, held := range [][]shard.Holding{nil, make([]shard.Holding, 10), settledOn(equalNodes(3), 10)} {
			if got := shard.Plan(nodes, held, shard.Limits{}); len(got) != 0 {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

// A shard whose owner died in the middle of a move goes where it was expected, unless
// that node cannot take it or has its share.
func TestPlanTakeOverToTheTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(nodes []shard.Node, held []shard.Holding)
		want   string
	}{
		{"alive", func([]shard.Node, []shard.Holding) {}, "node-0002"},
		{"target drains", func(n []shard.Node, _ []shard.Holding) { n[2].Drains = true }, "node-0000"},
		{"target is suspect", func(n []shard.Node, _ []shard.Holding) { n[2].Accepts = false }, "node-0000"},
		{"target is dead, too", func(_ []shard.Node, h []shard.Holding) { h[3].Target = "gone" }, "node-0000"},
		{"target is full", func(_ []shard.Node, h []shard.Holding) { h[7].Owner = "node-0002" }, "node-0000"},
	} {
		nodes := equalNodes(3)
		held := []shard.Holding{
			{Owner: "node-0000"},
			{Owner: "node-0000"},
			{Owner: "node-0001"},
			{Owner: "dead", Target: "node-0002"},
			{Owner: "node-0001"},
			{Owner: "node-0002"},
			{Owner: "node-0002"},
			{},
			{},
		}
		c.change(nodes, held)
		got := shard.Plan(nodes, held, shard.Limits{})
		if want := (shard.Change{Shard: 3, To: c.want}); !slices.Contains(got, want) {
			t.Errorf("%s: %+v, want %+v among them", c.name, got, want)
		}
	}
}

// holdings gives each of equal nodes so many shards.
func holdings(counts ...int) (held []shard.Holding) {
	for i, n := range equalNodes(len(counts)) {
		held = append(held, slices.Repeat([]shard.Holding{{Owner: n.ID}}, counts[i])...)
	}
	return held
}

// Balancing begins beyond the slack, and once it runs it goes on to the end.
func TestPlanSlack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		counts []int
		slack  float64
		moves  int
	}{
		{[]int{104, 96, 100}, 0, 0},   // all within 4 %
		{[]int{105, 97, 98}, 0, 5},    // one above
		{[]int{102, 103, 95}, 0, 5},   // one below
		{[]int{110, 90, 100}, 0.1, 0}, // within 10 %
		{[]int{111, 90, 99}, 0.1, 11},
		{[]int{101, 99, 100}, -1, 1},    // none allowed
		{[]int{3, 3, 2}, 0, 0},          // a shard cannot be divided
		{[]int{4, 2, 2}, 0, 1},          // but one more can go
		{[]int{300, 0, 0}, 2, 0},        // anything goes
		{[]int{300, 0, 0}, 1.99, 200},   // just not
		{[]int{101, 101, 98}, 0.001, 2}, // which 1 is beyond
	} {
		changes := shard.Plan(equalNodes(3), holdings(c.counts...), shard.Limits{InFlight: -1, PerPair: -1, Slack: c.slack})
		if len(changes) != c.moves {
			t.Errorf("%v with slack %v: %d moves, want %d", c.counts, c.slack, len(changes), c.moves)
		}
	}
	within := holdings(104, 96, 100)
	within[0].Target = "node-0002"
	if got := shard.Plan(equalNodes(3), within, shard.Limits{}); len(got) != 4 {
		t.Errorf("with balancing under way: %v, want the rest, 4 moves", got)
	}
	within[0].Pinned = true
	if got := shard.Plan(equalNodes(3), within, shard.Limits{}); len(got) != 0 {
		t.Errorf("an operator's move begins balancing: %v", got)
	}
	// A node with few shards, where one is more than the slack, does not stir the big ones.
	small := equalNodes(3)
	small[0].Weight, small[1].Weight, small[2].Weight = 1000, 1000, 3
	for _, has := range []int{2, 4} { // of 2.998 and 3.001
		if got := shard.Plan(small, holdings(1030, 970, has), shard.Limits{}); len(got) != 0 {
			t.Errorf("%d shards of a share of 3: %v", has, got)
		}
	}
}

// What draining nodes will give fills gaps: the others need not.
func TestPlanSlackWhileDraining(t *testing.T) {
	t.Parallel()
	nodes := equalNodes(5)
	nodes[4].Drains = true
	for _, c := range []struct {
		name                   string
		leaving, drains, moves int
		change                 func(*shard.Holding)
	}{
		{"too few leave, later", 2, 0, 7, func(h *shard.Holding) { h.Waits = true }},
		{"enough leave, later", 8, 0, 0, func(h *shard.Holding) { h.Waits = true }},
		{"enough leave, having arrived", 8, 0, 0, func(h *shard.Holding) { h.Owner, h.Target = "node-0000", h.Owner }},
		{"too few leave, now", 4, 4, 6, func(*shard.Holding) {}},
		{"enough leave, now", 8, 8, 0, func(*shard.Holding) {}},
	} {
		held := holdings(103, 103, 103, 91, c.leaving)
		for s := range held {
			if held[s].Owner == "node-0004" {
				c.change(&held[s])
			}
		}
		drains, moves := 0, 0
		for _, change := range shard.Plan(nodes, held, shard.Limits{InFlight: -1}) {
			if change.From == "node-0004" {
				drains++
			} else {
				moves++
			}
		}
		if drains != c.drains || moves != c.moves {
			t.Errorf("%s: %d drain and %d move, want %d and %d", c.name, drains, moves, c.drains, c.moves)
		}
	}
}

// What is pinned above a node's share lowers the share of the others, which may put
// what is pinned to another above its own.
func TestPlanPinsLowerTheOthersShares(t *testing.T) {
	t.Parallel()
	held := holdings(3, 8, 2, 0) // 13: 3.25 each, then 1.67, then 1
	for s := range 11 {
		held[s].Pinned = true
	}
	got, want := shard.Plan(equalNodes(4), held, shard.Limits{}), []shard.Change{{Shard: 11, From: "node-0002", To: "node-0003"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// When a pair is at its limit, the next shard goes to the least loaded of the others.
func TestPlanAroundAFullPair(t *testing.T) {
	t.Parallel()
	nodes := equalNodes(4)
	nodes[0].Drains = true
	var to []string
	for _, c := range shard.Plan(nodes, holdings(20, 0, 12, 11), shard.Limits{InFlight: -1, PerPair: 2}) {
		to = append(to, c.To)
	}
	want := []string{"node-0001", "node-0001", "node-0003", "node-0002", "node-0003", "node-0002"}
	if !slices.Equal(to, want) {
		t.Errorf("%v, want %v", to, want)
	}
}

func TestPlanDefaults(t *testing.T) {
	t.Parallel()
	for shards, want := range map[int]int{1: 1, 9: 1, 20: 2, 8192: 819} {
		held := settledOn(equalNodes(1), shards)
		nodes := equalNodes(40)
		nodes[0].Drains = true
		to := map[string]int{}
		for _, c := range shard.Plan(nodes, held, shard.Limits{}) {
			to[c.To]++
		}
		sum := 0
		for n := range maps.Values(to) {
			sum += n
		}
		if sum != want {
			t.Errorf("%d moves of %d shards at a time, want %d", sum, shards, want)
		}
		if few := shard.Plan(nodes[:2], held, shard.Limits{}); len(few) != min(want, shard.DefaultPerPair) {
			t.Errorf("%d moves of %d shards from one to one at a time", len(few), shards)
		}
	}
}
