package shard

import (
	"cmp"
	"math"
	"slices"
)

// planner is the work of one call of Plan. Nodes are known by their index in seats.
type planner struct {
	holdings []Holding
	limits   Limits
	seats    []seat      // by ID
	places   []place     // by shard
	weight   int64       // of all seats that accept
	pool     int         // shards to be shared by the seats that accept
	orphans  int         // shards without an owner
	leaving  int         // shards at, or on their way to, a draining seat, with no move away begun
	budget   int         // planned moves that may still begin
	pairs    map[hop]int // planned moves under way
	running  bool        // balancing has begun: a move of it is under way
	queue    []int32     // a heap of the seats that accept, the next to get a shard first
	changes  []Change
}

// seat is a node with its shards.
type seat struct {
	id      string
	weight  int64
	accepts bool
	drains  bool
	held    bool    // its goal is what is pinned to it
	stuck   bool    // no seat with room may get more from it now
	load    int     // shards it has when all moves under way are done
	pinned  int     // those of them that balancing leaves
	share   float64 // its part of the pool
	goal    int     // the share, rounded up or down; 0 unless it accepts
	rest    int64   // what rounding down takes from the share
}

// place is where a shard is: the seats of its owner and of the target of its move.
type place struct{ owner, target int32 }

// hop is a pair of seats, from and to.
type hop struct{ from, to int32 }

// nobody is the index of no seat.
const nobody = int32(-1)

// seatNodes puts the nodes in the order of their IDs and finds the places of the shards.
func (p *planner) seatNodes(nodes []Node) {
	p.seats = make([]seat, len(nodes))
	for i, n := range nodes {
		p.seats[i] = seat{
			id: n.ID, weight: int64(min(max(n.Weight, 1), MaxWeight)),
			accepts: n.Accepts && !n.Drains, drains: n.Drains,
		}
	}
	slices.SortFunc(p.seats, func(a, b seat) int { return cmp.Compare(a.id, b.id) })
	index := make(map[string]int32, len(nodes))
	for i := range p.seats {
		index[p.seats[i].id] = int32(i)
		if p.seats[i].accepts {
			p.weight += p.seats[i].weight
		}
	}
	find := func(id string) int32 {
		if id == "" {
			return nobody
		}
		if i, ok := index[id]; ok {
			return i
		}
		return nobody
	}
	p.places = make([]place, len(p.holdings))
	for s := range p.holdings {
		p.places[s] = place{owner: find(p.holdings[s].Owner), target: find(p.holdings[s].Target)}
	}
}

// count finds what each seat has, and what is under way.
func (p *planner) count() {
	p.budget = p.limits.InFlight
	for s, at := range p.places {
		h := &p.holdings[s]
		if at.owner == nobody {
			p.orphans++
			p.pool++
			continue
		}
		if h.Target != "" {
			p.budget--
		}
		n := &p.seats[at.owner]
		if at.target != nobody {
			p.begin(hop{at.owner, at.target})
			from := n
			n = &p.seats[at.target]
			p.running = p.running || from.accepts && n.accepts && !h.Pinned
		}
		n.load++
		if h.Pinned {
			n.pinned++
		}
		if n.drains {
			p.leaving++
		}
		if n.accepts || n.drains {
			p.pool++
		}
	}
}

func (p *planner) begin(h hop) {
	if p.pairs == nil {
		p.pairs = make(map[hop]int)
	}
	p.pairs[h]++
}

// setGoals shares the pool among the seats that accept. A seat with more pinned shards
// than its share keeps them, and the others share the rest.
func (p *planner) setGoals() {
	pool, weight := int64(p.pool), p.weight
	for again := true; again; {
		again = false
		for i := range p.seats {
			n := &p.seats[i]
			if pinned := int64(n.pinned); n.accepts && !n.held && pinned*weight > pool*n.weight {
				n.held, n.goal, n.share = true, n.pinned, float64(n.pinned)
				pool, weight, again = pool-pinned, weight-n.weight, true
			}
		}
	}
	left, down := int(pool), make([]int32, 0, len(p.seats))
	for i := range p.seats {
		n := &p.seats[i]
		if !n.accepts || n.held {
			continue
		}
		n.share = float64(pool*n.weight) / float64(weight)
		n.goal, n.rest = int(pool*n.weight/weight), pool*n.weight%weight
		left -= n.goal
		if n.rest != 0 {
			down = append(down, int32(i))
		}
	}
	p.roundUp(down, left)
}

// roundUp gives one more shard each to so many of the seats whose goals were rounded
// down: first to those that have it already, which saves a move.
func (p *planner) roundUp(down []int32, left int) {
	slices.SortFunc(down, func(i, j int32) int {
		a, b := &p.seats[i], &p.seats[j]
		if has := a.load > a.goal; has != (b.load > b.goal) {
			if has {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.rest, a.rest), cmp.Compare(i, j))
	})
	for _, i := range down[:left] {
		p.seats[i].goal++
	}
}

// expect keeps room for the shards that lost their owner while they moved: each goes to
// its target, where it is awaited, if there is room.
func (p *planner) expect() {
	for s, at := range p.places {
		if at.owner != nobody || at.target == nobody {
			continue
		}
		if n := &p.seats[at.target]; n.load < n.goal {
			n.load++
		} else {
			p.places[s].target = nobody
		}
	}
}

// takeOver gives every shard without an owner to a seat. The goals have room for all.
func (p *planner) takeOver() {
	if p.orphans == 0 {
		return
	}
	p.changes = make([]Change, 0, p.orphans)
	for s, at := range p.places {
		if at.owner != nobody {
			continue
		}
		if at.target == nobody {
			at.target = p.queue[0]
			p.seats[at.target].load++
			p.sink(0)
		}
		p.changes = append(p.changes, Change{Shard: s, To: p.seats[at.target].id})
	}
}

// drain begins moves away from seats that drain.
func (p *planner) drain() {
	if p.leaving == 0 {
		return
	}
	p.leaving -= p.move(func(from *seat, _ *Holding) bool { return from.drains })
}

// balance begins moves from seats above their goals.
func (p *planner) balance() {
	p.move(func(from *seat, h *Holding) bool {
		return from.accepts && from.load > from.goal && !h.Pinned
	})
}

// uneven says whether balancing goes on, or shall begin: a seat has more than its slack
// allows, or so much less that what still comes from draining seats cannot fill it.
func (p *planner) uneven() bool {
	if p.running {
		return true
	}
	missing := 0
	for _, i := range p.queue {
		n := &p.seats[i]
		slack := n.share * p.limits.Slack
		if float64(n.load) > max(n.share+slack, math.Ceil(n.share)) {
			return true
		}
		if least := math.Ceil(min(n.share-slack, math.Floor(n.share))); float64(n.load) < least {
			missing += int(least) - n.load
		}
	}
	return missing > p.leaving
}

// move begins a planned move of every shard that may move and is due, while the limits
// allow, and returns how many it began.
func (p *planner) move(due func(from *seat, h *Holding) bool) int {
	begun := 0
	for s, at := range p.places {
		if p.budget <= 0 {
			break
		}
		h := &p.holdings[s]
		if at.owner == nobody || h.Target != "" || h.Waits {
			continue
		}
		from := &p.seats[at.owner]
		if from.stuck || !due(from, h) {
			continue
		}
		k := p.receiver(at.owner)
		if k < 0 {
			from.stuck = true
			continue
		}
		to := p.queue[k]
		p.begin(hop{at.owner, to})
		from.load--
		p.seats[to].load++
		p.sink(k)
		p.changes = append(p.changes, Change{Shard: s, From: from.id, To: p.seats[to].id})
		p.budget--
		begun++
	}
	return begun
}
