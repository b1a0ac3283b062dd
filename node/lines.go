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

// sending is an effect with the turn whose it is.
type sending struct {
	effect

	turn *turn
}

// append puts an effect at the end of its line; false: there is none.
func (l *lines) append(t *turn, e effect) bool {
	if l.count.Load() == 0 {
		return false
	}
	way := line{t.id(), e.id}
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, there := l.waiting[way]
	if there {
		l.waiting[way] = append(queue, sending{e, t})
	}
	return there
}

// begin puts an effect into a line that may be new.
func (l *lines) begin(t *turn, e effect) {
	if l.append(t, e) {
		return
	}
	way := line{t.id(), e.id}
	l.mu.Lock()
	defer l.mu.Unlock()
	queue, there := l.waiting[way]
	if l.waiting == nil {
		l.waiting = make(map[line][]sending)
	}
	l.waiting[way] = append(queue, sending{e, t})
	if !there {
		l.count.Add(1)
		t.node().run(func() { t.node().sendAll(way) })
	}
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
	l.waiting[way] = queue[1:]
	return queue[0], true
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
	n.awaitResume(s.turn.act.shard)
	if s.turn.act.lost.Load() {
		return
	}
	opts := []object.CallOption{object.OneWay(), object.WithIdempotencyKey(s.key)}
	for k, v := range s.meta {
		opts = append(opts, object.WithMetadata(k, v))
	}
	if _, err := n.cfg.Runtime.Call(n.killed, s.id, s.method, s.req, opts...); err != nil {
		n.notSent(s.turn, s.effect, err)
	}
}
