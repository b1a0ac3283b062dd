package grpc

import (
	"context"
	"time"
)

// alarm gives up the calls of a connection whose time is over, where their contexts do not do that: one timer for all,
// set for the next of them. Calls rarely take as long, and it goes off about once in the time that they have.
type alarm struct {
	timer *time.Timer
	at    time.Duration // when it goes off, on the scale of sent_at; 0: not at all
}

func (a *alarm) stop() {
	if a.at != 0 {
		a.timer.Stop()
		a.at = 0
	}
}

// armLocked has a waiter given up when it is due. It may find out that it is already, which it does not look for.
func (c *caller) armLocked(w *waiter, due time.Duration) (over bool) {
	w.due = max(due, 1)
	if a := &c.alarm; a.at != 0 && a.at <= w.due {
		return false
	}
	if c.now() >= w.due {
		return true
	}
	c.setAlarmLocked(w.due)
	return false
}

func (c *caller) setAlarmLocked(due time.Duration) {
	a := &c.alarm
	if a.at != 0 && a.at <= due {
		return
	}
	a.at = due
	d := max(due-c.now(), 0)
	if a.timer == nil {
		a.timer = c.clock.AfterFunc(d, c.expire)
		return
	}
	a.timer.Reset(d)
}

// expire gives up what is due. It runs on a goroutine of the timer's, which nobody needs to wait for: it waits for
// nothing but the connection's mutex.
func (c *caller) expire() {
	c.mu.Lock()
	if c.why != nil || c.alarm.at == 0 {
		c.mu.Unlock()
		return
	}
	c.alarm.at = 0
	var over []delivery
	now, next := c.now(), time.Duration(0)
	for _, s := range c.slots {
		switch w := s.waiter; {
		case w == nil || w.due == 0:
		case w.due <= now:
			over = append(over, delivery{number: w.number, waiter: w})
		case next == 0 || w.due < next:
			next = w.due
		}
	}
	for i := range over {
		d := &over[i]
		c.leaveLocked(d.number)
		d.outcome = outcome{why: context.DeadlineExceeded, executed: c.giveUpLocked(d.waiter)}
	}
	if next != 0 {
		c.setAlarmLocked(next)
	}
	c.mu.Unlock()
	for _, d := range over {
		d.waiter.giveUp(d.outcome)
	}
}
