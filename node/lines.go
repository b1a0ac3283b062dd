package node

import (
	"sync"
	"sync/atomic"

	"github.com/xiaonanln/goverse/object"
)

// lines are the one-way calls of turns that have ended which this node could not run:
// the runtime finds their objects. Those from one object to another keep their order;
// no line waits for another.
type lines struct {
	count atomic.Int64 // of the lines

	mu      sync.Mutex
	waiting map[line][]sending // guarded by mu: not those that are on their way
}

// line is the way from one object to another.
type line struct{ from, to string }

// sending is an effect with what is to be known of the turn whose it is: the turn itself,
// with its request and its reply, is not kept.
type sending struct {
	effect

	act  *activation
	what string // the turn's method or hook
}

func newSending(t *turn, e effect) sending { return sending{e, t.act, t.what()} }

// append puts an effect at the end of its line; false: there is none.
func (l *lines) append(t *turn, e effect) bool {
	return l.count.Load() != 0 && l.join(newSending(t, e), false)
}

// begin puts an effect into a line that may be new.
func (l *lines) begin(t *turn, e effect) { l.join(newSending(t, e), true) }

// join puts an effect into its line, where as many wait as in the mailbox of an object at
// most: the runtime may look for the object for as long as a call may take. False: there
// is no line, and none is to begin.
func (l *lines) join(s sending, mayBegin bool) bool {
	n, way := s.act.shard.node, line{s.act.id, s.id}
	l.mu.Lock()
	queue, there := l.waiting[way]
	full := n.isFull(s.id, len(queue))
	switch {
	case !there && !mayBegin:
		l.mu.Unlock()
		return false
	case !there:
		l.count.Add(1)
		n.run(func() { n.sendAll(way) })
	}
	if l.waiting == nil {
		l.waiting = make(map[line][]sending)
	}
	if !full {
		l.waiting[way] = append(queue, s)
	}
	l.mu.Unlock()
	if full {
		n.notSent(s, object.Refuse(object.CodeResourceExhausted, object.Overloaded, "call", s.id, s.method,
			"as many one-way calls as its mailbox takes wait for the object to be found"))
	}
	return true
}

// isFull reports whether so many calls are all that may wait for an object.
func (n *Node) isFull(id string, waiting int) bool {
	if waiting == 0 {
		return false
	}
	typ, err := n.typeOf("call", id)
	return err == nil && typ.MailboxLimit > 0 && waiting >= typ.MailboxLimit
}

// next takes the first effect of a line; false: the line has ended.
func (l *lines) next(way line) (s sending, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[way]
	if len(queue) == 0 {
		delete(l.waiting, way)
		l.count.Add(-1)
		return sending{}, false
	}
	s, queue[0] = queue[0], sending{} // the array outlives it
	l.waiting[way] = queue[1:]
	return s, true
}

// sendAll brings a line to its end.
func (n *Node) sendAll(way line) {
	for s, ok := n.lines.next(way); ok; s, ok = n.lines.next(way) {
		n.send(s)
	}
}

// send lets the runtime find the object of a one-way call. What a turn did on a node that
// is cut off must not leave: whether it happened turns out later.
func (n *Node) send(s sending) {
	n.awaitResume(s.act.shard)
	if s.act.lost.Load() {
		return
	}
	opts := []object.CallOption{object.OneWay(), object.WithIdempotencyKey(s.key)}
	for k, v := range s.meta {
		opts = append(opts, object.WithMetadata(k, v))
	}
	if _, err := n.cfg.Onward(s.ctx, s.id, s.method, s.req, opts...); err != nil {
		n.notSent(s, err)
	}
}
