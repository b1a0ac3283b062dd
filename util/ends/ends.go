// Package ends lets something follow the end of a context at the cost of a link in a list.
//
// To wait for a context's Done, the context must have a channel, and so must all that it hangs on: contexts that are
// made for every call would rather have none. They are a [Source] instead. Who follows one is told of its end, but for
// that which its deadline brings: who follows knows that, and most have an alarm for many deadlines at once.
//
// A [Point] is an end, a [Follower] a place in the list of those who are told, a [Joint] an end that others bring
// about. The package starts no goroutine: followers are told on that of whoever ends a point. All methods may be used
// concurrently, those of one follower by its owner only.
package ends

import (
	"context"
	"sync"
)

// Source is a context whose end can be followed without its Done.
type Source interface {
	context.Context

	// Follow has f told once the context ends for another reason than its deadline, until [Follower.Leave]. It is
	// false where f is not told, as the context has ended or can only be followed by its Done.
	Follow(f *Follower) bool
}

// Told is who follows.
type Told interface {
	// Ended says that what f followed has ended. The mutex of the point is held: it must not wait for anybody who
	// follows, leaves or ends the same point.
	Ended(f *Follower)
}

// Follower is a place in the list of a point. It may be used again when it has left, and must not be copied.
type Follower struct {
	Told Told // who is told; set before Follow

	at         *Point    // the last one
	prev, next *Follower // guarded by at.mu
	listed     bool      // guarded by at.mu
}

// Leave ends the following. Nobody is told of anything when it has returned. It may be called again, also where nothing
// was followed.
func (f *Follower) Leave() {
	if f.at != nil {
		f.at.drop(f)
		f.at = nil // of what is kept for others, nothing keeps what it followed
	}
}

// drop takes a follower out of the list, if it is there.
func (p *Point) drop(f *Follower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !f.listed {
		return
	}
	if f.prev == nil {
		p.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	}
	f.prev, f.next, f.listed = nil, nil, false
}

// Point is an end that can be followed. The zero value is one that has not come.
type Point struct {
	mu    sync.Mutex // guards the fields below
	over  bool
	first *Follower
}

// Follow has f told when the end comes; false: it has come. f must follow nothing else.
func (p *Point) Follow(f *Follower) bool {
	f.at = p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	if f.next = p.first; f.next != nil {
		f.next.prev = f
	}
	p.first, f.listed = f, true
	return true
}

// End is the end: all who follow are told, and none follows any more. It may be called again.
func (p *Point) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for f := p.first; f != nil; f = p.first {
		if p.first = f.next; p.first != nil {
			p.first.prev = nil
		}
		f.prev, f.next, f.listed = nil, nil, false
		f.Told.Ended(f)
	}
}

// Joint is a point that ends, at the latest, with what its two followers follow.
type Joint struct {
	Point

	Up [2]Follower
}

// NewJoint is a joint that follows nothing yet.
func NewJoint() *Joint { return new(Joint).Init() }

// Init makes the zero value, which has not been used yet, a joint that follows nothing.
func (j *Joint) Init() *Joint {
	j.Up[0].Told, j.Up[1].Told = j, j
	return j
}

// Ended implements [Told].
func (j *Joint) Ended(*Follower) { j.End() }

// Close is the end of the joint, which follows nothing any more. It may be called again.
func (j *Joint) Close() {
	j.Up[0].Leave()
	j.Up[1].Leave()
	j.End()
}
