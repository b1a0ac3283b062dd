package shard

import "time"

// LeaseState is how far a member may trust its lease.
type LeaseState uint8

// The states of a lease.
const (
	LeaseValid   LeaseState = iota + 1
	LeaseSuspect            // valid, but not renewed for long
	LeaseFenced             // its time is over; the member may come back if it proves that nothing has changed
	LeaseDead               // it ended, or what it owned is another's: the member never comes back
)

// String is the state's name in lower case.
func (s LeaseState) String() string {
	switch s {
	case LeaseValid:
		return "valid"
	case LeaseSuspect:
		return "suspect"
	case LeaseFenced:
		return "fenced"
	case LeaseDead:
		return "dead"
	}
	return "none"
}

// Margin is how much earlier than the store a member takes its lease for over: 15 % of
// the TTL, and at least 750 ms where that leaves most of a short TTL (a fifth is the
// most for that reason). It pays for clocks that run at different rates and for what
// happens between a check of the lease and its effect.
func Margin(ttl time.Duration) time.Duration {
	return max(ttl*15/100, min(750*time.Millisecond, ttl/5))
}

// Lease is a member's own view of its lease, on a clock that counts suspend. It errs
// to the safe side: the store's lease lives at least as long, if the rates of the two
// clocks differ by less than the margin.
type Lease struct {
	State      LeaseState
	ValidUntil time.Duration // from then on the member is fenced, whether somebody tells it or not
	SuspectAt  time.Duration
	granted    time.Duration
	pending    time.Duration // fenced: what ValidUntil will be once verified; 0: no renewal yet
	barred     time.Duration // what was promised until then, or less, is not proven by what was read
	flaws      Flaws
}

// LeaseEventKind is what happened to a lease.
type LeaseEventKind uint8

// The events of a lease.
const (
	LeaseTick     LeaseEventKind = iota + 1 // time has passed
	LeaseRenewed                            // the store granted TTL again, asked at Sent
	LeaseLost                               // the store does not know the lease, or the member's key was deleted
	LeaseVerified                           // read after the renewal that promised Until: key and shards are as the member knows them
	LeaseRefuted                            // … they are not
	LeaseDoubted                            // the store may have died, with all that it has promised
)

// LeaseEvent is something that happened, at the time Now.
type LeaseEvent struct {
	Kind LeaseEventKind
	Now  time.Duration
	Sent time.Duration // LeaseRenewed: when the renewal was asked for
	TTL  time.Duration // LeaseRenewed: what was granted
	// Until is [Lease.Doubt] as it was when the reading began. What was read before a
	// renewal proves nothing about what the renewal promises, but all about what those
	// before it did: a reading may take longer than the pause between two renewals.
	Until time.Duration
}

// LeaseAction is what a member has to do now.
type LeaseAction uint8

// The actions of a lease.
const (
	Suspend LeaseAction = iota + 1 // stop answering; keep what is in memory
	Verify                         // read own key and own shards, then tell
	Resume                         // answer again
	Die                            // give up all that is in memory
)

// NewLease is a lease of ttl that was asked for at sent, before which nobody can have
// begun to count, and granted at received.
func NewLease(sent, received, ttl time.Duration, flaws Flaws) Lease {
	l := Lease{State: LeaseValid, granted: ttl, flaws: flaws}
	l.extend(LeaseEvent{Now: received, Sent: sent, TTL: ttl})
	return l
}

// until is what a renewal makes of the deadline.
func (l *Lease) until(e LeaseEvent) (valid, suspect time.Duration) {
	from, ttl := e.Sent, min(e.TTL, l.granted)
	if l.flaws.DeadlineFromReceipt {
		from = e.Now
	}
	return from + ttl - Margin(ttl), from + ttl*6/10
}

func (l *Lease) extend(e LeaseEvent) {
	valid, suspect := l.until(e)
	l.ValidUntil, l.SuspectAt = max(l.ValidUntil, valid), max(l.SuspectAt, suspect)
}

// Step takes note of an event and says what to do.
func (l *Lease) Step(e LeaseEvent) []LeaseAction {
	var actions []LeaseAction
	if l.State == LeaseDead {
		return nil
	}
	if (l.State == LeaseValid || l.State == LeaseSuspect) && e.Now >= l.ValidUntil {
		l.State, l.pending = LeaseFenced, 0
		actions = append(actions, Suspend)
	}
	switch e.Kind {
	case LeaseTick:
	case LeaseRenewed:
		actions = append(actions, l.renewed(e)...)
	case LeaseVerified:
		if l.State == LeaseFenced && e.Now < e.Until && e.Until > l.barred {
			l.State, l.ValidUntil = LeaseValid, e.Until
			actions = append(actions, Resume)
		}
	case LeaseDoubted:
		actions = append(actions, l.doubted(e)...)
	case LeaseLost, LeaseRefuted:
		if e.Kind == LeaseRefuted && l.State != LeaseFenced {
			break
		}
		if l.State != LeaseFenced {
			actions = append(actions, Suspend)
		}
		l.State, l.ValidUntil = LeaseDead, 0
		return append(actions, Die)
	}
	if l.State == LeaseValid && e.Now >= l.SuspectAt {
		l.State = LeaseSuspect
	}
	return actions
}

func (l *Lease) renewed(e LeaseEvent) []LeaseAction {
	if l.State != LeaseFenced {
		l.extend(e)
		l.State = LeaseValid
		return nil
	}
	valid, suspect := l.until(e)
	if e.Now >= valid {
		return nil // too late again
	}
	l.pending, l.SuspectAt = max(l.pending, valid), max(l.SuspectAt, suspect)
	if l.flaws.UnfenceUnread {
		l.State, l.ValidUntil = LeaseValid, l.pending
		return []LeaseAction{Resume}
	}
	return []LeaseAction{Verify}
}

// doubted fences the member at once: a store that begins anew knows nothing of its lease.
// What was read from the old one, or is being read, proves nothing any more; a renewal and
// a reading after it do, as only the same store, alive, gives both.
func (l *Lease) doubted(e LeaseEvent) []LeaseAction {
	l.barred = max(l.barred, l.pending, l.ValidUntil)
	l.pending, l.ValidUntil = 0, min(l.ValidUntil, e.Now)
	if l.State == LeaseFenced {
		return nil
	}
	l.State = LeaseFenced
	return []LeaseAction{Suspend}
}

// Doubt is until when a reading that begins now would prove the lease valid: what the
// newest renewal since the fence has promised; 0 if there is nothing to be verified.
func (l *Lease) Doubt() time.Duration {
	if l.State != LeaseFenced {
		return 0
	}
	return l.pending
}

// Next is when time alone changes the state; ok is false if it does not.
func (l *Lease) Next() (at time.Duration, ok bool) {
	switch l.State {
	case LeaseValid:
		return min(l.SuspectAt, l.ValidUntil), true
	case LeaseSuspect:
		return l.ValidUntil, true
	case LeaseFenced, LeaseDead:
	}
	return 0, false
}
