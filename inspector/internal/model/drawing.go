package model

import "slices"

// linesPerParty bounds the edges of a graph, which else could be as many as the square of its
// parties: to be drawn, and sent to every reader twice a second.
const linesPerParty = 2

// moreID is the id of the party that stands for those left out: no object's, as types have
// no spaces.
const moreID = " more"

// drawing is what is drawn of many lines: the parties of the busiest of them, and the lines between these. It counts in
// whole numbers, so that sums do not depend on their order. The zero drawing is empty.
type drawing struct {
	limit   int            // of the parties
	number  map[string]int // of each party, by id
	parties []drawnParty
	lines   []ranked        // between parties, the busiest first
	rest    []line          // sums of those from and to parties, with moreID at the other end
	restAt  map[edgeKey]int // where they are
	more    uint64          // calls of all others

	ranks ranking // what is to be drawn
}

// drawnParty is a party, and how many calls come to it.
type drawnParty struct {
	id    string
	calls uint64
}

// begin makes the drawing an empty one of so many parties at most.
func (d *drawing) begin(limit int) {
	d.clear()
	d.limit = limit
	if d.number == nil {
		d.number, d.restAt = make(map[string]int), make(map[edgeKey]int)
	}
}

// clear forgets all but the room that it took.
func (d *drawing) clear() {
	clear(d.number)
	clear(d.restAt)
	clear(d.parties)
	clear(d.lines)
	clear(d.rest)
	clear(d.ranks)
	d.parties, d.lines, d.rest, d.ranks, d.more = d.parties[:0], d.lines[:0], d.rest[:0], d.ranks[:0], 0
}

// draw draws what is to be drawn.
func (d *drawing) draw() {
	all := d.ranks
	all.begin()
	for len(all) > 0 && len(d.parties) < d.limit {
		r := all.next()
		d.add(r, d.enter(r.from), d.enter(r.to))
	}
	between := all[:0] // no party comes any more: what is not between two of them is in no order
	for _, r := range all {
		if from, to := d.find(r.from), d.find(r.to); from >= 0 && to >= 0 {
			between = append(between, r)
		} else {
			d.add(r, from, to)
		}
	}
	between.begin()
	for len(between) > 0 && !d.full() {
		r := between.next()
		d.add(r, d.find(r.from), d.find(r.to))
	}
	for _, r := range between {
		d.add(r, d.find(r.from), d.find(r.to))
	}
}

// find is a party's number; -1: it is not drawn.
func (d *drawing) find(id string) int {
	if n, there := d.number[id]; there {
		return n
	}
	return -1
}

// enter is find of a party that is drawn if there is room.
func (d *drawing) enter(id string) int {
	n := d.find(id)
	if n < 0 && len(d.parties) < d.limit {
		n = len(d.parties)
		d.number[id] = n
		d.parties = append(d.parties, drawnParty{id: id})
	}
	return n
}

// full says whether there is no room for more lines between parties.
func (d *drawing) full() bool { return len(d.lines) >= linesPerParty*d.limit }

// add adds a line between parties of these numbers.
func (d *drawing) add(r ranked, from, to int) {
	if to >= 0 {
		d.parties[to].calls += r.calls
	}
	switch {
	case from >= 0 && to >= 0 && !d.full():
		d.lines = append(d.lines, r)
	case (from >= 0) == (to >= 0):
		d.more += r.calls
	case from < 0:
		d.sum(edgeKey{moreID, r.to, r.push}, r)
	default:
		d.sum(edgeKey{r.from, moreID, r.push}, r)
	}
}

// sum adds to a line whose other end is not drawn.
func (d *drawing) sum(key edgeKey, r ranked) {
	at, known := d.restAt[key]
	if !known {
		at = len(d.rest)
		d.restAt[key] = at
		d.rest = append(d.rest, line{edgeKey: key})
	}
	d.rest[at].add(r.edgeSum)
}

// ends puts all lines that are drawn in order, and returns how many calls come to the party that stands for those left out.
func (d *drawing) ends() (toMore uint64) {
	for i := range d.rest {
		l := &d.rest[i]
		d.lines = append(d.lines, ranked{l, l.calls})
		if l.to == moreID {
			toMore += l.calls
		}
	}
	slices.SortFunc(d.lines, ranked.compare)
	return toMore
}
