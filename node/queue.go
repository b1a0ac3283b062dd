package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// waiter is one turn that waits for an activation. All fields but at, word and ready
// are guarded by the mutex of the activation it waits for; once a runner has begun the
// turn they are the runner's, until it is done.
type waiter struct {
	prev, next *waiter
	at         atomic.Pointer[activation] // moves when its activation ends; reread under the lock
	word       atomic.Uint64              // who decides about the turn, see claim; not reset
	ready      chan struct{}              // capacity 1; one send per wait

	mode       object.Mode
	entry      entry         // the turn's
	up         *turn         // the turn that makes the call
	chained    bool          // its chain runs on this node: let it finish while the node drains
	bound      bool          // a timer's call: ends with the activation
	privileged bool          // a concurrent turn of its chain runs here and holds up the activation's end
	persists   bool          // create and delete: not concerned by another's failed activation
	turn       *turn         // one that a runner may run; nil: only its own goroutine
	watch      *watch        // looks out for the end of its context; nil: it does itself
	due        time.Duration // when it expires, since the node was made; 0: never by itself
	since      time.Duration // when it began to wait, on the same scale
	granted    bool
	activator  bool  // granted: run the activation first
	delegated  bool  // a runner has run the turn
	err        error // granted: refused with this error instead, or the outcome of the turn
}

// newWaiterPool returns a pool of waiters; a pooled one is clean but for its
// channel.
func newWaiterPool() *sync.Pool {
	return &sync.Pool{New: func() any { return &waiter{ready: make(chan struct{}, 1)} }}
}

// grant wakes the waiter: to run where err is nil, else to fail.
func (w *waiter) grant(err error) {
	w.granted, w.err = true, err
	w.ready <- struct{}{}
}

// queue is a list of waiters in arrival order. A nil queue is empty.
type queue struct {
	head, tail *waiter
	calls      int32 // waiters that count against the mailbox limit
	barriers   int32 // waiters that end the activation
	free       int32 // those of calls that are concurrent
	batch      *batch
	alarm      alarm
	watch      *watch
	last       <-chan struct{} // what ends the context of a call that came lately
}

// first returns the waiter who came first; nil without any.
func (q *queue) first() *waiter {
	if q == nil {
		return nil
	}
	return q.head
}

func (q *queue) len() int {
	if q == nil {
		return 0
	}
	return int(q.calls + q.barriers)
}

// isFullFor reports whether as many wait as the limit allows of what the turn is: calls, or
// else what ends the activation at somebody's request, which takes no place of a call's. The
// end that comes with a shard's, a node's or a client's is not refused.
func (q *queue) isFullFor(t *turn, limit int) bool {
	if t.mode != alone {
		return q.isFull(limit)
	}
	return q != nil && int(q.barriers) >= limit && !t.flags.has(inner)
}

// isFull reports whether as many calls wait as the limit allows.
func (q *queue) isFull(limit int) bool {
	if q == nil || int(q.calls)+batchSize < limit {
		return false
	}
	n := int(q.calls)
	for range q.batch.waiting {
		n++
	}
	return n >= limit
}

// since is when the call that has waited longest began to; somebody waits.
func (q *queue) since() time.Duration {
	for c := range q.batch.waiting {
		return c.since
	}
	return q.head.since
}

// barrierIsNext reports whether the first waiter ends the activation.
func (q *queue) barrierIsNext() bool { return q.head != nil && q.head.mode == alone }

func (q *queue) count(w *waiter, by int32) {
	if w.mode == alone {
		q.barriers += by
		return
	}
	q.calls += by
	if w.mode == object.Concurrent {
		q.free += by
	}
}

func (q *queue) push(w *waiter) { q.insertBefore(nil, w) }

// pushPrivileged queues w before the first barrier.
func (q *queue) pushPrivileged(w *waiter) {
	at := q.head
	for at != nil && at.mode != alone {
		at = at.next
	}
	q.insertBefore(at, w)
}

// insertBefore puts w before at, or last where at is nil.
func (q *queue) insertBefore(at, w *waiter) {
	w.next = at
	if at == nil {
		w.prev, q.tail = q.tail, w
	} else {
		w.prev, at.prev = at.prev, w
	}
	if w.prev == nil {
		q.head = w
	} else {
		w.prev.next = w
	}
	q.count(w, 1)
}

// remove takes a waiter out.
func (q *queue) remove(w *waiter) {
	q.unlink(w)
	q.settle()
}

// settle stops the alarm and the watch where nobody waits.
func (q *queue) settle() {
	if q.head != nil || q.batch != nil && q.batch.size > 0 {
		return
	}
	q.alarm.disarm()
	q.last = nil
	q.takeWatch().end()
}

func (q *queue) unlink(w *waiter) {
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	q.count(w, -1)
}
