package memory

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/storage"
)

// change is a batch being applied: each step is done at once, and remembers how to undo it.
type change struct {
	*tables

	fence storage.Fence
	undo  []func()
}

// apply makes all changes of a batch, or none.
func (t *tables) apply(fence storage.Fence, batch storage.Batch) error {
	c := &change{tables: t, fence: fence}
	if err := c.run(batch); err != nil {
		for _, undo := range slices.Backward(c.undo) {
			undo()
		}
		return err
	}
	return nil
}

func (c *change) run(b storage.Batch) error {
	for _, w := range b.Objects {
		if err := c.object(w); err != nil {
			return err
		}
	}
	for _, k := range b.Forget {
		c.forget(k.ID, k.Key)
	}
	for _, o := range b.Outcomes {
		if err := c.record(o); err != nil {
			return err
		}
	}
	for _, id := range b.Sent {
		c.sent(id)
	}
	for _, s := range b.Sends {
		if err := c.send(s); err != nil {
			return err
		}
	}
	for _, w := range b.Reminders {
		if err := c.remind(w); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) object(w storage.ObjectWrite) error {
	old, stored := c.objects[w.ID]
	if old.Version != w.Expect {
		return conflict("object %q has version %d, want %d", w.ID, old.Version, w.Expect)
	}
	if stored && old.Shard != c.fence.Shard {
		return conflict("object %q belongs to shard %d", w.ID, old.Shard)
	}
	if stored {
		c.undo = append(c.undo, func() { c.objects[w.ID] = old })
	} else {
		c.undo = append(c.undo, func() { delete(c.objects, w.ID) })
	}
	if !w.Delete {
		c.objects[w.ID] = storage.Object{
			ID: w.ID, Shard: c.fence.Shard, Version: w.Expect + 1, State: bytes.Clone(w.State),
		}
		return nil
	}
	delete(c.objects, w.ID)
	for _, key := range slices.Collect(maps.Keys(c.outcomes[w.ID])) {
		c.forget(w.ID, key)
	}
	for _, r := range slices.Collect(maps.Values(c.reminders[w.ID])) {
		c.cancel(r)
	}
	return nil
}

func (c *change) forget(id, key string) {
	old, ok := c.outcomes[id][key]
	if !ok {
		return
	}
	c.removeOutcome(id, key)
	c.undo = append(c.undo, func() { c.putOutcome(old) })
}

func (c *change) record(o storage.Outcome) error {
	if old, ok := c.outcomes[o.ID][o.Key]; ok {
		if old.Done || !o.Done {
			return conflict("outcome %q of object %q is there", o.Key, o.ID)
		}
		c.forget(o.ID, o.Key)
	}
	o = cloneOutcome(o)
	o.Expires = stored(o.Expires)
	c.putOutcome(o)
	c.undo = append(c.undo, func() { c.removeOutcome(o.ID, o.Key) })
	return nil
}

func (c *change) sent(id storage.SendID) {
	i, found := searchSend(c.sends[id.Shard], id)
	if !found {
		return
	}
	old := c.sends[id.Shard][i]
	c.removeSend(id)
	c.undo = append(c.undo, func() { c.putSend(old) })
}

func (c *change) send(n storage.NewSend) error {
	s := storage.Send{
		SendID:  storage.SendID{Shard: c.fence.Shard, Epoch: c.fence.Epoch, Seq: n.Seq},
		Source:  n.Source,
		Target:  n.Target,
		Message: bytes.Clone(n.Message),
	}
	if _, found := searchSend(c.sends[s.Shard], s.SendID); found {
		return conflict("send %+v is there", s.SendID)
	}
	c.putSend(s)
	c.undo = append(c.undo, func() { c.removeSend(s.SendID) })
	return nil
}

func (c *change) remind(w storage.ReminderWrite) error {
	old := c.reminders[w.ID][w.Name]
	if !w.Expect.IsZero() && (old == nil || !old.Due.Equal(stored(w.Expect))) {
		return conflict("reminder %q of object %q is not due %v", w.Name, w.ID, w.Expect)
	}
	if old != nil {
		c.cancel(old)
	}
	if w.Remove {
		return nil
	}
	r := &reminder{Reminder: cloneReminder(w.Reminder), shard: c.fence.Shard}
	r.Due = stored(r.Due)
	r.Period = r.Period.Truncate(time.Microsecond)
	c.putReminder(r)
	c.undo = append(c.undo, func() { c.removeReminder(r) })
	return nil
}

func (c *change) cancel(r *reminder) {
	c.removeReminder(r)
	c.undo = append(c.undo, func() { c.putReminder(r) })
}

// stored is a time as every store keeps it.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

func conflict(format string, args ...any) error {
	return fmt.Errorf("%w: %s", storage.ErrConflict, fmt.Sprintf(format, args...))
}
