package storage

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Batch is what one commit changes, in the order of its fields. Nothing may be changed twice.
type Batch struct {
	// Objects to create, change or delete.
	Objects []ObjectWrite
	// Forget are outcomes to remove; those that are not there do not matter.
	Forget []OutcomeKey
	// Outcomes to record. One that is there already is ErrConflict, but that one which is not Done may become Done.
	Outcomes []Outcome
	// Sent are sends to remove, of the fence's shard; those that are not there do not matter.
	Sent []SendID
	// Sends to record.
	Sends []NewSend
	// Reminders to set or remove.
	Reminders []ReminderWrite
}

// ObjectWrite creates, changes or deletes an object. A deletion takes the object's outcomes and reminders with it, but
// not its sends, nor what the rest of the batch records.
type ObjectWrite struct {
	ID     string
	Expect int64 // the stored version, 0: not stored; anything else is ErrConflict. The version written is one more.
	State  []byte
	Delete bool // then State is not used; with Expect 0 too, for an object that has nothing but outcomes or reminders
}

// OutcomeKey names an outcome.
type OutcomeKey struct {
	ID, Key string
}

// NewSend is a send to record. Its SendID has the fence's shard and epoch; a number that was used before in that epoch
// and is still pending is ErrConflict.
type NewSend struct {
	Seq     uint64
	Source  string
	Target  string
	Message []byte
}

// ReminderWrite sets or removes a reminder.
type ReminderWrite struct {
	Reminder

	Remove bool      // then only ID and Name are used
	Expect time.Time // if not zero: the stored Due, truncated likewise; another one, or no reminder, is ErrConflict
}

// Validate says why a store must refuse the fence whatever it holds: its epoch is not one.
func (f Fence) Validate() error {
	if f.Epoch == 0 || f.Epoch > math.MaxInt64 {
		return fmt.Errorf("%w: epoch %d of shard %d", ErrInvalid, f.Epoch, f.Shard)
	}
	return nil
}

// Validate says why a store must refuse to commit the batch under the fence whatever it holds: an empty name, a number
// out of range, or something changed twice. Implementations call it first.
func (b Batch) Validate(fence Fence) error {
	if err := fence.Validate(); err != nil {
		return err
	}
	seen := changes{}
	for _, w := range b.Objects {
		if w.Expect < 0 || w.Expect == math.MaxInt64 {
			return fmt.Errorf("%w: object %q with version %d", ErrInvalid, w.ID, w.Expect)
		}
		if err := seen.add("object", w.ID, "-"); err != nil {
			return err
		}
	}
	for _, k := range b.Forget {
		if err := seen.add("outcome", k.ID, k.Key); err != nil {
			return err
		}
	}
	for _, o := range b.Outcomes {
		if err := seen.add("outcome", o.ID, o.Key); err != nil {
			return err
		}
	}
	if err := b.validateSends(fence, seen); err != nil {
		return err
	}
	return b.validateReminders(seen)
}

func (b Batch) validateReminders(seen changes) error {
	for _, r := range b.Reminders {
		if r.Period < 0 || !r.Remove && r.Due.IsZero() {
			return fmt.Errorf("%w: reminder %q of object %q: due %v, period %v", ErrInvalid, r.Name, r.ID, r.Due, r.Period)
		}
		if err := seen.add("reminder", r.ID, r.Name); err != nil {
			return err
		}
	}
	return nil
}

func (b Batch) validateSends(fence Fence, seen changes) error {
	for _, id := range b.Sent {
		if id.Shard != fence.Shard {
			return fmt.Errorf("%w: send %+v is not of shard %d", ErrInvalid, id, fence.Shard)
		}
	}
	for _, s := range b.Sends {
		if s.Seq > math.MaxInt64 || s.Source == "" || s.Target == "" {
			return fmt.Errorf("%w: send %d from %q to %q", ErrInvalid, s.Seq, s.Source, s.Target)
		}
		if err := seen.add("send", "-", strconv.FormatUint(s.Seq, 10)); err != nil {
			return err
		}
	}
	return nil
}

// changes is what a batch has changed so far.
type changes map[[3]string]struct{}

func (c changes) add(kind, id, name string) error {
	if id == "" || name == "" {
		return fmt.Errorf("%w: %s without a name (object %q, name %q)", ErrInvalid, kind, id, name)
	}
	key := [3]string{kind, id, name}
	if _, ok := c[key]; ok {
		return fmt.Errorf("%w: %s %q of object %q is changed twice", ErrInvalid, kind, name, id)
	}
	c[key] = struct{}{}
	return nil
}
