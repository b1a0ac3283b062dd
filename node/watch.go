package node

import (
	"context"
	"errors"
	"sync/atomic"
)

// errLeft refuses waiters whose caller's context has ended.
var errLeft = errors.New("left")

// watchFrom is how many waiting calls are worth a watch.
const watchFrom = 8

// watch looks out for the end of a context that many waiting calls of a long queue
// have in common, such as a server's or a load generator's, so that not every one of
// them does: waiting for two channels, of which all wait for one, is most of what
// waiting costs. It belongs to the queue and ends with it.
type watch struct {
	done <-chan struct{} // the context's
	at   atomic.Pointer[activation]
	stop func() bool
}

// watchFor returns the queue's watch, if there is one for the turn's context or the
// last two turns show that it is worth making it. The activation's lock is held.
func (a *activation) watchFor(t *turn) *watch {
	q := a.queue
	if q.calls < watchFrom {
		return nil
	}
	if _, nested := t.parent.(*turn); nested {
		return nil
	}
	done := t.parent.Done()
	switch {
	case done == nil:
		return nil
	case q.watch != nil && q.watch.done == done:
		return q.watch
	case q.watch != nil || q.last != done:
		q.last = done
		return nil
	}
	v := &watch{done: done}
	v.at.Store(a)
	v.stop = context.AfterFunc(t.parent, v.fire)
	q.watch = v
	return v
}

// fire refuses the waiters that rely on the watch.
func (v *watch) fire() {
	a := v.at.Load()
	for a.lock(); v.at.Load() != a; a.lock() {
		a.unlock()
		a = v.at.Load()
	}
	defer a.unlock()
	q := a.queue
	if q == nil || q.watch != v {
		return // nobody waits
	}
	for c := range q.batch.waiting {
		if c.watch == v && c.withdraw() {
			c.w.grant(errLeft)
		}
	}
	for w := q.head; w != nil; {
		following := w.next
		if w.watch == v {
			q.remove(w)
			w.grant(errLeft)
		}
		w = following
	}
	q.watch = nil
	a.admitNext() // one that ends the activation may have blocked others
}

// takeWatch takes the watch out of a queue whose waiters go elsewhere.
func (q *queue) takeWatch() (v *watch) {
	if q != nil {
		v, q.watch = q.watch, nil
	}
	return v
}

// moveTo lets the watch follow its waiters to another activation.
func (v *watch) moveTo(a *activation) {
	if v != nil {
		v.at.Store(a)
		a.queue.watch = v
	}
}

// end ends a watch on which nobody relies. A nil one has ended.
func (v *watch) end() {
	if v != nil {
		v.stop()
	}
}
