package node

import "time"

// alarm expires the waiters of one queue at their own deadlines: one timer for all of
// them, armed only while somebody waits. It is guarded by the activation's mutex.
type alarm struct {
	timer *time.Timer
	at    time.Duration // when it goes off, since the node was made; 0: not armed
}

func (l *alarm) disarm() {
	if l.at != 0 {
		l.timer.Stop()
		l.at = 0
	}
}

// enqueue adds a waiter to the activation's queue.
func (n *Node) enqueue(a *activation, w *waiter, privileged bool) {
	if a.queue == nil {
		a.queue = new(queue)
		n.queues.add(a)
	}
	if w.privileged = privileged; privileged {
		a.queue.pushPrivileged(w)
	} else {
		a.queue.push(w)
	}
	if w.due > 0 {
		n.arm(a, w.due)
	}
}

// arm makes the alarm go off at the given time, if it does not before.
func (n *Node) arm(a *activation, due time.Duration) {
	l := &a.queue.alarm
	if l.at != 0 && l.at <= due {
		return
	}
	l.at = due
	d := due - n.elapsed()
	if l.timer == nil {
		l.timer = n.cfg.Clock.AfterFunc(d, func() { n.expire(a) })
		return
	}
	l.timer.Reset(d)
}

// expire refuses the waiters whose deadline has come.
func (n *Node) expire(a *activation) {
	a.lock()
	defer a.unlock()
	if a.queue == nil || a.queue.alarm.at == 0 {
		return
	}
	a.queue.alarm.at = 0
	now, next := n.elapsed(), time.Duration(0)
	for c := range a.queue.batch.waiting {
		switch {
		case c.due == 0:
		case c.due > now:
			next = earlier(next, c.due)
		case c.withdraw():
			c.w.grant(errExpired)
		}
	}
	for w := a.queue.head; w != nil; {
		following := w.next
		switch {
		case w.due == 0:
		case w.due <= now:
			a.queue.remove(w)
			w.grant(errExpired)
		default:
			next = earlier(next, w.due)
		}
		w = following
	}
	if next != 0 {
		n.arm(a, next)
	}
	a.admitNext() // one that ends the activation may have blocked others
}

// earlier returns the earlier of two times; 0 is none.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
