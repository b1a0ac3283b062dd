package shard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

// newWorld makes a cluster in any state. It and the actions are random by a seed:
// rapid's own numbers are small and seldom make a cluster worth a plan.
func newWorld(t *rapid.T) *world {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	w := &world{
		rng:  rng,
		held: make([]shard.Holding, 1+rng.IntN(60)),
		limits: shard.Limits{
			InFlight: rng.IntN(10) - 1,
			PerPair:  rng.IntN(6) - 1,
			Slack:    []float64{-1, 0, 0.03, 0.2}[rng.IntN(4)],
		},
	}
	for range rng.IntN(7) {
		w.join()
	}
	if len(w.nodes) == 0 || rng.IntN(4) == 0 {
		return w // all shards without an owner
	}
	for s := range w.held {
		h := shard.Holding{Owner: w.node().ID, Pinned: rng.IntN(8) == 0, Waits: rng.IntN(8) == 0}
		if rng.IntN(8) == 0 {
			h.Owner = []string{"", "gone"}[rng.IntN(2)]
		}
		if to := w.node().ID; to != h.Owner && rng.IntN(10) == 0 {
			h.Target, h.Waits = to, false
		}
		w.held[s] = h
	}
	return w
}

func (w *world) node() *shard.Node { return &w.nodes[w.rng.IntN(len(w.nodes))] }

func (w *world) join() {
	w.born++
	w.nodes = append(w.nodes, shard.Node{
		ID: fmt.Sprintf("%c%d", 'a'+rune(w.rng.IntN(26)), w.born), Weight: 1 + w.rng.IntN(10),
		Accepts: w.rng.IntN(5) != 0, Drains: w.rng.IntN(6) == 0,
	})
}

// end ends every move with this probability: one of five is aborted.
func (w *world) end(probability float64) {
	for s := range w.held {
		if w.rng.Float64() < probability {
			w.finish(s, w.rng.IntN(5) != 0)
		}
	}
}

// shake takes a cluster, which the actions often brought to rest, out of balance.
func (w *world) shake() {
	for len(w.nodes) < 2+w.rng.IntN(5) {
		w.join()
	}
	for range w.rng.IntN(4) {
		w.node().Weight = 1 + w.rng.IntN(10)
	}
	pins := w.rng.IntN(4) // of four
	for range w.rng.IntN(1 + len(w.held)) {
		h := &w.held[w.rng.IntN(len(w.held))]
		h.Owner, h.Pinned = w.node().ID, w.rng.IntN(4) < pins
	}
}

// actions are what happens to a cluster.
func (w *world) actions() map[string]func(*rapid.T) {
	some := func(do func(*shard.Node)) func(*rapid.T) {
		return func(t *rapid.T) {
			if len(w.nodes) == 0 {
				t.Skip("no node")
			}
			do(w.node())
		}
	}
	held := func() *shard.Holding { return &w.held[w.rng.IntN(len(w.held))] }
	return map[string]func(*rapid.T){
		"join": func(t *rapid.T) {
			if len(w.nodes) >= 6 {
				t.Skip("enough")
			}
			w.join()
		},
		"die": some(func(dead *shard.Node) {
			id, cleared := dead.ID, w.rng.IntN(2) == 0 // the caller may say so, or not
			w.nodes = slices.DeleteFunc(w.nodes, func(n shard.Node) bool { return n.ID == id })
			for s := range w.held {
				if cleared && w.held[s].Owner == id {
					w.held[s].Owner = ""
				}
			}
		}),
		"accept": some(func(n *shard.Node) { n.Accepts = !n.Accepts }),
		"drain":  some(func(n *shard.Node) { n.Drains = !n.Drains }),
		"weight": some(func(n *shard.Node) { n.Weight = 1 + w.rng.IntN(10) }),
		"pin":    func(*rapid.T) { h := held(); h.Pinned = !h.Pinned },
		"wait":   func(*rapid.T) { h := held(); h.Waits = !h.Waits },
		"operate": some(func(n *shard.Node) { // an operator's move, wherever to
			if h := held(); h.Target == "" && w.find(h.Owner) != nil && h.Owner != n.ID {
				h.Target, h.Pinned = n.ID, true
			}
		}),
		"plan": func(t *rapid.T) { w.plan(t) },
		"run": func(t *rapid.T) {
			for range 3 {
				w.end(0.5)
				w.plan(t)
			}
		},
	}
}

// Whatever happens to a cluster, every plan obeys the rules; and when nothing more
// happens, the plans bring it to balance with as few moves as can be, although some of
// them are aborted, and then there is nothing left to plan.
func TestPlanProperties(t *testing.T) {
	t.Parallel()
	for range 10 { // a hundred clusters each, unless told otherwise
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			t.Repeat(w.actions())
			w.shake()
			settle(t, w)
		})
	}
}

func settle(t *rapid.T, w *world) {
	for s := range w.held {
		w.held[s].Waits = false
		w.finish(s, true)
		w.held[s].Waits = false
	}
	fewest, slack := w.fewest(), w.limits.Slack
	within := w.within(slack)
	w.done = 0
	for round := 0; ; round++ {
		waiting := slices.ContainsFunc(w.held, func(h shard.Holding) bool { return h.Waits })
		changes := w.plan(t)
		if all, _ := w.flights(); all == 0 && len(changes) == 0 && !waiting {
			break
		}
		if round > 20*len(w.held)+100 {
			t.Fatalf("no end in sight:\n%v", w)
		}
		for s := range w.held {
			w.held[s].Waits = false
		}
		if round < len(w.held) {
			w.end(0.5)
		} else { // from here on without aborts
			for s := range w.held {
				w.finish(s, true)
			}
		}
	}
	accepting, _ := w.shares()
	if len(accepting) == 0 {
		return
	}
	for _, h := range w.held {
		if n := w.find(h.Owner); n == nil || n.Drains || h.Target != "" {
			t.Fatalf("%+v is left:\n%v", h, w)
		}
	}
	if w.done > fewest || slack < 0 && w.done != fewest {
		t.Fatalf("%d moves, %d would do:\n%v", w.done, fewest, w)
	}
	if again := w.within(slack); !again {
		t.Fatalf("out of balance (before: %v):\n%v", !within, w)
	}
}
