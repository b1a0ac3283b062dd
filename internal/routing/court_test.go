package routing_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// court sees which turns run. Turns of one object must not overlap, except those of nodes that are dead; nor may turns
// that were answered, whatever the nodes are.
type court struct {
	mu     sync.Mutex
	inside map[string]*peer
	turns  map[string]int
	clash  []string
	lax    bool // nodes are cut off: turns that nobody answers may overlap
	begun  map[int]turn
	ended  map[string][]turn // of each object, those that were answered
	names  map[string]int    // how often calls with a name have run
	denied []string          // calls that have not run, as their callers were told
	count  int
}

// turn is one, numbered.
type turn struct {
	on         *peer
	begin, end time.Time
}

func (c *court) enter(p *peer, id string) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside == nil {
		c.inside, c.turns = make(map[string]*peer), make(map[string]int)
		c.begun, c.ended, c.names = make(map[int]turn), make(map[string][]turn), make(map[string]int)
	}
	if other := c.inside[id]; other != nil && !other.dead.Load() && !p.dead.Load() && !c.lax {
		c.clash = append(c.clash, fmt.Sprintf("%s runs on %s and on %s", id, other.name, p.name))
	}
	c.inside[id] = p
	c.turns[id]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.inside[id] == p {
			delete(c.inside, id)
		}
	}
}

// number numbers a turn that begins; end tells that it ends.
func (c *court) number(p *peer, name string) (n int, end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if c.names[name]++; c.names[name] > 1 && strings.HasPrefix(name, "once ") {
		c.clash = append(c.clash, fmt.Sprintf("a call that may run once runs on %s and on %s", name, p.name))
	}
	n = c.count
	c.begun[n] = turn{on: p, begin: time.Now()}
	return n, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		t := c.begun[n]
		t.end = time.Now()
		c.begun[n] = t
	}
}

// answered takes note that a turn was.
func (c *court) answered(id, number string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n int
	_, _ = fmt.Sscan(number, &n)
	c.ended[id] = append(c.ended[id], c.begun[n])
}

// deny takes note that a caller was told that its call has not run.
func (c *court) deny(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = append(c.denied, name)
}

// judge finds turns of one object that overlap although both were answered, and turns of calls that have not run.
func (c *court) judge() (cases int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.denied {
		if c.names[name] > 0 {
			c.clash = append(c.clash, fmt.Sprintf("%s has run, its caller knows that it has not", name))
		}
	}
	for id, turns := range c.ended {
		slices.SortFunc(turns, func(a, b turn) int { return cmp.Or(a.begin.Compare(b.begin), a.end.Compare(b.end)) })
		for i := 1; i < len(turns); i++ {
			cases++
			if a, b := turns[i-1], turns[i]; b.begin.Before(a.end) {
				c.clash = append(c.clash, fmt.Sprintf("%s was answered by %s, %v to %v, and by %s, %v to %v", id,
					a.on.name, a.begin.Format(clockTime), a.end.Format(clockTime), b.on.name, b.begin.Format(clockTime), b.end.Format(clockTime)))
			}
		}
	}
	return cases
}

const clockTime = "04:05.000"

// ran is how often an object's methods have run, wherever.
func (w *world) ran(id string) int {
	w.court.mu.Lock()
	defer w.court.mu.Unlock()
	return w.court.turns[id]
}

func (w *world) wantNoClash() {
	w.Helper()
	w.court.mu.Lock()
	defer w.court.mu.Unlock()
	for _, c := range w.court.clash {
		w.Error(c)
	}
}
