package model

import "slices"

// linesPerParty bounds the edges of a graph, which else could be as many as the square of its
// parties: to be drawn, and sent to every reader twice a second.
const linesPerParty = 2

// moreID is the id of the party that stands for those left out: no object's, as types have
// no spaces.
const moreID = " more"

// drawing is what is drawn of many lines: the parties of the busiest of them, and the lines between these. It counts in
// whole numbers, so that sums do not depend on their order.
type drawing struct {
	limit   int            // of the parties
	number  map[string]int // of each party, by id
	parties []drawnParty
	lines   []ranked          // between parties
	rest    map[edgeKey]*line // sums of those from and to parties, with moreID at the other end
	more    uint64            // calls of all others
}

// drawnParty is a party, and how many calls come to it.
type drawnParty struct {
	id    string
	calls uint64
}

func newDrawing(limit int) *drawing {
	return &drawing{limit: limit, number: make(map[string]int), rest: make(map[edgeKey]*line)}
}

// draw draws lines, once. It leaves them in another order.
func (d *drawing) draw(all ranking) {
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
	l := d.rest[key]
	if l == nil {
		l = &line{edgeKey: key}
		d.rest[key] = l
	}
	l.add(r.edgeSum)
}

// ends puts all lines that are drawn in order, and returns how many calls come to those that are not.
func (d *drawing) ends() (lines []ranked, others uint64) {
	for key, l := range d.rest {
		d.lines = append(d.lines, ranked{l.calls, l})
		if key.to == moreID {
			others += l.calls
		}
	}
	slices.SortFunc(d.lines, ranked.compare)
	return d.lines, others
}
