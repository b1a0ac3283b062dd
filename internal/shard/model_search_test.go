package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// search tries all orders, shortest first, until a rule breaks or so many states have
// been seen.
type search struct {
	params

	seen   map[uint64]struct{}
	buffer []byte
	states []visit // in the order in which they were found
	depth  int
}

// visit is how a state was reached.
type visit struct {
	from int32
	name label
}

// found is the outcome of a search.
type found struct {
	rule   string   // that broke, or ""
	trace  []string // how
	states int
	depth  int
	whole  bool // there are no other states
}

func explore(p params, limit int, look func(*world)) found {
	s := search{params: p, seen: make(map[uint64]struct{})}
	first := p.start()
	s.seen[s.hash(&first)] = struct{}{}
	s.states = append(s.states, visit{from: -1})
	level := []*placed{{first, 0}}
	for len(level) > 0 {
		s.depth++
		var next []*placed
		for i := range level {
			if broke := s.expand(level[i], &next, look); broke != "" {
				return found{rule: broke, trace: s.trace(len(s.states) - 1), states: len(s.seen), depth: s.depth}
			}
			if len(s.seen) >= limit {
				return found{states: len(s.seen), depth: s.depth}
			}
		}
		level = next
	}
	return found{states: len(s.seen), depth: s.depth, whole: true}
}

// placed is a state and its place among the visits.
type placed struct {
	world world
	at    int32
}

// expand adds the states that follow one, and says which rule is broken in the last.
func (s *search) expand(from *placed, next *[]*placed, look func(*world)) (broke string) {
	from.world.next(s.params, func(name label, w *world) {
		if broke != "" {
			return
		}
		hash := s.hash(w)
		if _, known := s.seen[hash]; known {
			return
		}
		s.seen[hash] = struct{}{}
		s.states = append(s.states, visit{from.at, name})
		if broke = w.check(s.params); broke != "" {
			return
		}
		if look != nil {
			look(w)
		}
		*next = append(*next, &placed{*w, int32(len(s.states) - 1)})
	})
	return broke
}

// hash tells states apart. Two that differ have the same hash once in about 10^8 searches.
func (s *search) hash(w *world) uint64 {
	s.buffer = w.encode(s.params, s.buffer[:0])
	return xxhash.Sum64(s.buffer)
}

func (s *search) trace(at int) (names []string) {
	for i := int32(at); i > 0; i = s.states[i].from {
		names = append(names, s.states[i].name.String())
	}
	slices.Reverse(names)
	return names
}

func (f found) String() string {
	return fmt.Sprintf("%d states, depth %d, all of them: %v", f.states, f.depth, f.whole)
}

// modelLimit ends a search that has got out of hand.
const modelLimit = 1_000_000

// worlds are the bounds within which all orders are tried. Each is about something.
var worlds = map[string]params{
	"move":           {nodes: 2, shards: 1, writes: 3, losses: 1, turns: 1, timeouts: 1},
	"renewals":       {nodes: 2, shards: 1, owner: 1, lasting: 1, ticks: 4, writes: 1, renewals: 2},
	"eviction":       {nodes: 2, shards: 1, owner: 1, lasting: 1, ticks: 5, writes: 1, renewals: 1, evictions: 1},
	"lease and move": {nodes: 2, shards: 1, owner: 1, lasting: 1, ticks: 4, writes: 2, losses: 1},
	"deposed":        {nodes: 2, shards: 1, ticks: 4, writes: 1, campaigns: 1, renewals: 1},
	"three":          {nodes: 3, shards: 1, lasting: 2, owner: 2, ticks: 4, writes: 1, crashes: 1, campaigns: 1},
	"two shards":     {nodes: 2, shards: 2, writes: 2, losses: 1, turns: 1},
	"deleted record": {nodes: 2, shards: 1, writes: 2, deletions: 1, losses: 1},
}

// flawed are the guards, each with the bounds within which leaving it out breaks a rule.
var flawed = map[string]params{
	"unfence without reading":         {nodes: 2, shards: 1, owner: 1, lasting: 1, ticks: 4, writes: 1, renewals: 1, evictions: 1, flaws: Flaws{UnfenceUnread: true}},
	"deadline from receipt":           {nodes: 2, shards: 1, owner: 1, lasting: 1, ticks: 5, writes: 1, renewals: 1, flaws: Flaws{DeadlineFromReceipt: true}},
	"forced drain":                    {nodes: 2, shards: 1, writes: 1, turns: 1, timeouts: 1, flaws: Flaws{ForcedDrain: true}},
	"allocator without term":          {nodes: 2, shards: 1, ticks: 4, writes: 1, campaigns: 1, flaws: Flaws{NoTerm: true}},
	"no compare of the record":        {nodes: 2, shards: 1, writes: 3, losses: 1, flaws: Flaws{NoCompare: true}},
	"no compare of epochs":            {nodes: 2, shards: 1, writes: 1, flaws: Flaws{SameEpoch: true}},
	"older records believed":          {nodes: 2, shards: 1, owner: 1, writes: 3, losses: 1, flaws: Flaws{TakeOlder: true}},
	"unknown transfer taken for lost": {nodes: 2, shards: 1, writes: 1, losses: 1, flaws: Flaws{TransferGuess: true}},
	"failover of the living":          {nodes: 2, shards: 1, writes: 1, flaws: Flaws{NoLiveness: true}},
}

// A guard that is left out is found out: the search could find what it does not find.
func TestModelFindsFlaws(t *testing.T) {
	t.Parallel()
	for name, p := range flawed {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			f := explore(p, modelLimit, nil)
			t.Logf("%v, %v: %s, after\n\t%s", f, time.Since(begun), f.rule, strings.Join(f.trace, "\n\t"))
			if f.rule == "" {
				t.Error("not found")
			}
			p.flaws = Flaws{}
			if f := explore(p, 5000, nil); f.rule != "" {
				t.Errorf("without the flaw: %s, after\n\t%s", f.rule, strings.Join(f.trace, "\n\t"))
			} else {
				t.Logf("without the flaw: %v", f)
			}
		})
	}
}

func TestModelHolds(t *testing.T) {
	t.Parallel()
	for name, p := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			n := 0
			f := explore(p, modelLimit, func(w *world) {
				if n++; n%100 == 0 {
					if unrest := w.settle(p); unrest != "" {
						t.Errorf("nothing gets it going: %s", unrest)
					}
				}
			})
			t.Logf("%v, %v", f, time.Since(begun))
			if !f.whole && f.rule == "" {
				t.Error("not all orders were tried: narrow the bounds")
			}
			if f.rule != "" {
				t.Errorf("%s, after\n\t%s", f.rule, strings.Join(f.trace, "\n\t"))
			}
		})
	}
}
