package shard

// OwnerPhase is what a member does with a shard.
type OwnerPhase uint8

// The phases of a shard on a member.
const (
	Closed       OwnerPhase = iota // it has nothing of the shard
	Opening                        // it owns the shard, and makes it ready
	Serving                        // it answers for the shard
	Draining                       // it answers what it had begun, and hands over
	Transferring                   // it has asked the store to make another the owner: it answers nothing
)

// String is the phase's name in lower case.
func (p OwnerPhase) String() string {
	return [...]string{"closed", "opening", "serving", "draining", "transferring"}[p]
}

// OwnerEventKind is what happened to a shard on a member.
type OwnerEventKind uint8

// The events of a shard on a member. Those with a number are the ends of the actions of
// that number; of an action that was called off they mean nothing.
const (
	RecordSeen  OwnerEventKind = iota + 1 // Record was at Rev in the store, heard of in whatever order
	Opened                                // number: the shard is ready
	Drained                               // number: nothing runs any more, what it had is handed out
	DrainFailed                           // number: it did not come to that in time
	Written                               // number: Record was written, at Rev
	Refused                               // number: the write was not done, and never will be
	Denied                                // number: the write was not done, as the store does none now
	Unknown                               // number: the write may have been done, or may be done yet
	Read                                  // number: Record was at Rev in the store after the action began
	Quit                                  // the member gives up the shard, for the reason Why, and takes no other
)

// OwnerEvent is something that happened.
type OwnerEvent struct {
	Kind   OwnerEventKind
	Number uint64
	Record Record
	Rev    int64 // of Record: a mod revision
	Why    ReleaseReason
}

// OwnerActionKind is what a member has to do with a shard.
type OwnerActionKind uint8

// The actions. Those with a number end with an event of that number; the others only
// have to be done. All are done one after the other, in their order, but for CallOff.
const (
	Open          OwnerActionKind = iota + 1 // number: make the shard ready for Epoch, install Handover; ends with Opened alone
	Drain                                    // number: let running turns end, hand over to Target
	Reopen                                   // take a drain back
	Release                                  // the shard is not the member's, for the reason Why
	WriteTransfer                            // number: replace the record of revision Rev by Record
	WriteAbort                               // number: the same, and it is the same owner's
	ReadRecord                               // number
	CallOff                                  // at once: the action under way is to end, its outcome does not matter
)

// OwnerAction is something to do.
type OwnerAction struct {
	Kind      OwnerActionKind
	Number    uint64
	Epoch     uint64
	Handover  int64
	Target    string // Drain
	TargetRev int64
	Why       ReleaseReason
	Record    Record
	Rev       int64
}

// ReleaseReason is why a member no longer has a shard.
type ReleaseReason uint8

// The reasons.
const (
	ReleaseMoved   ReleaseReason = iota + 1 // it was handed over
	ReleaseLost                             // the store names another owner
	ReleaseLeaving                          // the member leaves, and nobody took the shard
	ReleaseDead                             // the member's lease is lost
)

// String is the reason in lower case.
func (r ReleaseReason) String() string {
	return [...]string{"none", "moved", "lost", "leaving", "lease lost"}[r]
}

// Owner is one shard on one member. The zero value is not useful; see [NewOwner].
type Owner struct {
	Phase  OwnerPhase
	Epoch  uint64 // under which the member has the shard, unless Closed
	Record Record // the newest seen
	Rev    int64  // its revision

	self    string
	selfRev int64
	number  uint64 // of the last action
	waits   bool   // the action of that number has not ended
	refused int64  // the revision of a move that the member gave up or was refused
	unsure  int64  // the revision of a move of which a write may have been done, or may be done yet
	quit    bool
	flaws   Flaws
}

// NewOwner is a shard that the member, an incarnation whose node key has the create
// revision rev, has nothing of.
func NewOwner(incarnation string, rev int64, flaws Flaws) Owner {
	return Owner{self: incarnation, selfRev: rev, flaws: flaws}
}

// Settled says whether all that there is to know of the shard follows from its record: the
// member serves it, and nothing is asked for or under way. [ServingOwner] brings it back, so
// that a member need not keep an Owner for each of its shards.
func (o *Owner) Settled() bool {
	return o.Phase == Serving && !o.waits && !o.quit &&
		o.Record.OwnedBy(o.self, o.selfRev) && o.Record.Epoch == o.Epoch && !o.Record.Moving()
}

// ServingOwner is a shard that was settled under the record of revision at. Its actions are
// numbered anew, so those from before must have ended.
func ServingOwner(incarnation string, rev int64, record Record, at int64, flaws Flaws) Owner {
	o := NewOwner(incarnation, rev, flaws)
	o.Phase, o.Epoch, o.Record, o.Rev = Serving, record.Epoch, record, at
	return o
}

// Step takes note of an event and says what to do.
func (o *Owner) Step(e OwnerEvent) []OwnerAction {
	var a []OwnerAction
	switch e.Kind {
	case RecordSeen:
		if e.Rev > o.Rev || o.flaws.TakeOlder && e.Rev != o.Rev {
			a = o.follow(a, o.adopt(e))
		}
		return a
	case Quit:
		o.quit = true
		if o.Phase != Closed {
			a = o.release(a, e.Why)
		}
		return a
	case Opened, Drained, DrainFailed, Written, Refused, Denied, Unknown, Read:
	}
	if !o.waits || e.Number != o.number {
		return nil // of an action that was called off
	}
	o.waits = false
	switch e.Kind {
	case Opened:
		o.Phase = Serving
		a = o.follow(a, o.Rev)
	case Drained:
		a = o.transfer(a)
	case DrainFailed:
		a = o.drainFailed(a)
	case Written:
		before := o.Rev
		if e.Rev > o.Rev {
			o.adopt(e)
		}
		a = o.follow(a, before)
	case Refused:
		o.refused = o.Rev
		a = o.ask(a, OwnerAction{Kind: ReadRecord})
	case Denied:
		a = o.denied(a)
	case Unknown:
		o.unsure = o.Rev
		a = o.unknown(a)
	case Read:
		a = o.read(a, e)
	case RecordSeen, Quit:
	}
	return a
}

// ask adds an action that ends with an event.
func (o *Owner) ask(a []OwnerAction, action OwnerAction) []OwnerAction {
	o.number++
	o.waits = true
	action.Number, action.Epoch = o.number, o.Epoch
	return append(a, action)
}

// callOff ends the action under way.
func (o *Owner) callOff(a []OwnerAction) []OwnerAction {
	if !o.waits {
		return a
	}
	o.waits = false
	return append(a, OwnerAction{Kind: CallOff, Number: o.number})
}

func (o *Owner) release(a []OwnerAction, why ReleaseReason) []OwnerAction {
	a = o.callOff(a)
	a = append(a, OwnerAction{Kind: Release, Epoch: o.Epoch, Why: why})
	o.Phase, o.refused = Closed, 0
	return a
}

func (o *Owner) reopen(a []OwnerAction) []OwnerAction {
	a = o.callOff(a)
	o.Phase = Serving
	return append(a, OwnerAction{Kind: Reopen, Epoch: o.Epoch})
}

// adopt makes the event's record the newest, and returns the revision of the one before.
func (o *Owner) adopt(e OwnerEvent) (before int64) {
	before, o.Record, o.Rev = o.Rev, e.Record, e.Rev
	return before
}

// follow brings what the member does in line with the newest record. The revision of the one
// before tells a transfer, which names it, from a failover in the meantime.
func (o *Owner) follow(a []OwnerAction, before int64) []OwnerAction {
	mine := o.Record.OwnedBy(o.self, o.selfRev)
	if o.Phase != Closed && (!mine || o.Record.Epoch != o.Epoch) {
		why := ReleaseLost
		if o.Phase == Transferring && o.Record.Handover == before {
			why = ReleaseMoved
		}
		a = o.release(a, why)
	}
	switch o.Phase {
	case Closed:
		if mine && !o.quit {
			o.Phase, o.Epoch = Opening, o.Record.Epoch
			a = o.ask(a, OwnerAction{Kind: Open, Handover: o.Record.Handover})
		}
	case Opening:
	case Serving:
		a = o.serve(a)
	case Draining, Transferring: // the record changed: the move that these were about is off, and can no longer be written
		a = o.serve(o.reopen(a))
	}
	return a
}

// serve begins what the record asks a serving owner for.
func (o *Owner) serve(a []OwnerAction) []OwnerAction {
	switch {
	case !o.Record.Moving():
		return o.callOff(a) // a write of an abort that somebody else has written
	case o.refused == o.Rev:
		return a
	}
	a = o.callOff(a)
	o.Phase = Draining
	return o.ask(a, OwnerAction{Kind: Drain, Handover: o.Rev, Target: o.Record.Target, TargetRev: o.Record.TargetRev, Record: o.Record.Transferred(o.Rev)})
}

// transfer makes the target the owner. From here on the member is not.
func (o *Owner) transfer(a []OwnerAction) []OwnerAction {
	o.Phase = Transferring
	next := o.Record.Transferred(o.Rev)
	if o.flaws.SameEpoch {
		next.Epoch = o.Record.Epoch
	}
	return o.ask(a, OwnerAction{Kind: WriteTransfer, Record: next, Rev: o.Rev})
}

// abort takes the move out of the record.
func (o *Owner) abort(a []OwnerAction) []OwnerAction {
	return o.ask(a, OwnerAction{Kind: WriteAbort, Record: o.Record.Settled(), Rev: o.Rev})
}

func (o *Owner) drainFailed(a []OwnerAction) []OwnerAction {
	if o.flaws.ForcedDrain {
		return o.transfer(a)
	}
	o.refused = o.Rev
	return o.abort(o.reopen(a))
}

// denied takes a move back of which nothing was or will be written: the member need not
// stand still until the store writes again.
func (o *Owner) denied(a []OwnerAction) []OwnerAction {
	if o.Phase != Transferring || o.unsure == o.Rev {
		return o.ask(a, OwnerAction{Kind: ReadRecord})
	}
	o.refused = o.Rev
	return o.abort(o.reopen(a))
}

func (o *Owner) unknown(a []OwnerAction) []OwnerAction {
	if o.flaws.TransferGuess && o.Phase == Transferring {
		o.refused = o.Rev
		return o.abort(o.reopen(a))
	}
	return o.ask(a, OwnerAction{Kind: ReadRecord})
}

// read decides after a write that was refused or whose outcome is unknown.
func (o *Owner) read(a []OwnerAction, e OwnerEvent) []OwnerAction {
	if e.Rev > o.Rev {
		return o.follow(a, o.adopt(e))
	}
	switch { // still the moving record: a write under way may come yet, so it is answered by one that excludes it
	case !o.Record.Moving():
		return a
	case o.Phase == Transferring && o.refused != o.Rev:
		return o.transfer(a)
	case o.Phase == Transferring, o.Phase == Serving:
		return o.abort(a)
	}
	return a
}
