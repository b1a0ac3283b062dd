package memory

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/xiaonanln/goverse/storage"
)

// tables is what the store holds. It is plain data, which the Store's mutex guards, and shares no memory with anybody.
type tables struct {
	objects   map[string]storage.Object
	outcomes  map[string]map[string]storage.Outcome // by object and key
	sends     map[uint32][]storage.Send             // by shard, in the order of their IDs
	reminders map[string]map[string]*reminder       // by object and name
	byDue     []*reminder                           // all reminders, in the order of reminder.compare
}

// reminder is a reminder with the shard it belongs to. It is never changed.
type reminder struct {
	storage.Reminder

	shard uint32
}

func (r *reminder) compare(other *reminder) int {
	return cmp.Or(r.Due.Compare(other.Due), strings.Compare(r.ID, other.ID), strings.Compare(r.Name, other.Name))
}

func newTables() tables {
	return tables{
		objects:   map[string]storage.Object{},
		outcomes:  map[string]map[string]storage.Outcome{},
		sends:     map[uint32][]storage.Send{},
		reminders: map[string]map[string]*reminder{},
	}
}

func (t *tables) object(id string) storage.Object {
	o := t.objects[id]
	o.ID = id
	o.State = bytes.Clone(o.State)
	return o
}

func (t *tables) outcome(id, key string) (storage.Outcome, bool) {
	o, ok := t.outcomes[id][key]
	return cloneOutcome(o), ok
}

func (t *tables) due(shards []uint32, until time.Time, limit int) []storage.Reminder {
	var due []storage.Reminder
	wanted := set(shards)
	for _, r := range t.byDue {
		if len(due) >= limit || r.Due.After(until) {
			break
		}
		if _, ok := wanted[r.shard]; ok {
			due = append(due, cloneReminder(r.Reminder))
		}
	}
	return due
}

func (t *tables) pending(shards []uint32, after storage.SendID, limit int) []storage.Send {
	var pending []storage.Send
	for _, shard := range slices.Sorted(maps.Keys(set(shards))) {
		sends := t.sends[shard]
		i, found := searchSend(sends, after)
		if found {
			i++
		}
		for _, s := range sends[i:] {
			if len(pending) >= limit {
				return pending
			}
			s.Message = bytes.Clone(s.Message)
			pending = append(pending, s)
		}
	}
	return pending
}

// prune is how many expired outcomes it removed, at most limit.
func (t *tables) prune(now time.Time, limit int) int {
	n := 0
	for id, outcomes := range t.outcomes {
		for key, o := range outcomes {
			if n >= limit {
				return n
			}
			if !o.Expires.IsZero() && !o.Expires.After(now) {
				t.removeOutcome(id, key)
				n++
			}
		}
	}
	return n
}

func (t *tables) putOutcome(o storage.Outcome) {
	if t.outcomes[o.ID] == nil {
		t.outcomes[o.ID] = map[string]storage.Outcome{}
	}
	t.outcomes[o.ID][o.Key] = o
}

func (t *tables) removeOutcome(id, key string) {
	delete(t.outcomes[id], key)
	if len(t.outcomes[id]) == 0 {
		delete(t.outcomes, id)
	}
}

// putReminder adds a reminder that is not there.
func (t *tables) putReminder(r *reminder) {
	if t.reminders[r.ID] == nil {
		t.reminders[r.ID] = map[string]*reminder{}
	}
	t.reminders[r.ID][r.Name] = r
	i, _ := slices.BinarySearchFunc(t.byDue, r, (*reminder).compare)
	t.byDue = slices.Insert(t.byDue, i, r)
}

// removeReminder removes a reminder that is there.
func (t *tables) removeReminder(r *reminder) {
	delete(t.reminders[r.ID], r.Name)
	if len(t.reminders[r.ID]) == 0 {
		delete(t.reminders, r.ID)
	}
	i, _ := slices.BinarySearchFunc(t.byDue, r, (*reminder).compare)
	t.byDue = slices.Delete(t.byDue, i, i+1)
}

// putSend adds a send that is not there.
func (t *tables) putSend(s storage.Send) {
	i, _ := searchSend(t.sends[s.Shard], s.SendID)
	t.sends[s.Shard] = slices.Insert(t.sends[s.Shard], i, s)
}

// removeSend removes a send that is there.
func (t *tables) removeSend(id storage.SendID) {
	i, _ := searchSend(t.sends[id.Shard], id)
	t.sends[id.Shard] = slices.Delete(t.sends[id.Shard], i, i+1)
	if len(t.sends[id.Shard]) == 0 {
		delete(t.sends, id.Shard)
	}
}

func searchSend(sends []storage.Send, id storage.SendID) (int, bool) {
	return slices.BinarySearchFunc(sends, id, func(s storage.Send, id storage.SendID) int { return s.Compare(id) })
}

func set(shards []uint32) map[uint32]struct{} {
	m := make(map[uint32]struct{}, len(shards))
	for _, shard := range shards {
		m[shard] = struct{}{}
	}
	return m
}

func cloneOutcome(o storage.Outcome) storage.Outcome {
	o.Digest = bytes.Clone(o.Digest)
	o.Reply = bytes.Clone(o.Reply)
	return o
}

func cloneReminder(r storage.Reminder) storage.Reminder {
	r.Request = bytes.Clone(r.Request)
	return r
}
