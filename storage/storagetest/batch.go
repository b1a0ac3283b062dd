package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/xiaonanln/goverse/storage"
)

// A batch fails as a whole, whichever part of it does not fit.
func testFailedCommitLeavesNothing(k *kit) {
	f := k.fence(1, 1)
	k.commit(f, storage.Batch{
		Objects:   []storage.ObjectWrite{{ID: "T-a", State: []byte("old")}, {ID: "T-b", State: []byte("old")}, {ID: "T-x"}},
		Outcomes:  []storage.Outcome{{ID: "T-a", Key: "k1", Done: true}, {ID: "T-b", Key: "k1"}, {ID: "T-x", Key: "k2", Done: true}},
		Sends:     []storage.NewSend{{Seq: 1, Source: "T-a", Target: "T-b"}, {Seq: 2, Source: "T-a", Target: "T-b"}},
		Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Name: "n1", Due: noon()}}, {Reminder: storage.Reminder{ID: "T-b", Name: "n1", Due: noon()}}},
	})
	ids := []string{"T-a", "T-b", "T-c", "T-x"}
	before := k.dump(ids...)

	// good is a change of everything.
	good := func() storage.Batch {
		return storage.Batch{
			Objects: []storage.ObjectWrite{
				{ID: "T-a", Expect: 1, Delete: true}, {ID: "T-b", Expect: 1, State: []byte("new")}, {ID: "T-c", State: []byte("new")},
			},
			Forget:   []storage.OutcomeKey{{ID: "T-x", Key: "k2"}},
			Outcomes: []storage.Outcome{{ID: "T-b", Key: "k1", Done: true}, {ID: "T-c", Key: "k2", Done: true}},
			Sent:     []storage.SendID{{Shard: 1, Epoch: 1, Seq: 1}},
			Sends:    []storage.NewSend{{Seq: 3, Source: "T-a", Target: "T-b"}},
			Reminders: []storage.ReminderWrite{
				{Reminder: storage.Reminder{ID: "T-b", Name: "n1", Due: noon().Add(time.Hour)}, Expect: noon()},
				{Reminder: storage.Reminder{ID: "T-c", Name: "n1", Due: noon()}},
			},
		}
	}
	for what, spoil := range map[string]func(*storage.Batch){
		"an object": func(b *storage.Batch) { b.Objects = append(b.Objects, storage.ObjectWrite{ID: "T-x", Expect: 9}) },
		"an outcome": func(b *storage.Batch) {
			b.Outcomes = append(b.Outcomes, storage.Outcome{ID: "T-x", Key: "k2", Done: true})
			b.Forget = nil
		},
		"a send": func(b *storage.Batch) {
			b.Sends = append(b.Sends, storage.NewSend{Seq: 2, Source: "T-a", Target: "T-b"})
		},
		"a reminder": func(b *storage.Batch) {
			b.Reminders = append(b.Reminders, storage.ReminderWrite{
				Reminder: storage.Reminder{ID: "T-x", Name: "n1", Due: noon()}, Expect: noon(),
			})
		},
	} {
		batch := good()
		spoil(&batch)
		k.refused(what+" that does not fit", k.Commit(k.ctx, f, batch), storage.ErrConflict)
		k.equal("after "+what+" that does not fit", k.dump(ids...), before)
	}
	k.refused("an old fence", k.Commit(k.ctx, storage.Fence{Shard: 1, Epoch: 1, Gen: f.Gen + 1}, good()), storage.ErrFenced)
	k.equal("after an old fence", k.dump(ids...), before)
	k.commit(f, good())
	if k.dump(ids...) == before {
		k.t.Error("a batch that fits has changed nothing")
	}
}

// The parts of a batch are carried out in the order of its fields.
func testBatchOrder(k *kit) {
	f := k.fence(1, 1)
	k.commit(f, storage.Batch{
		Objects:   []storage.ObjectWrite{{ID: "T-a", State: []byte("old")}},
		Outcomes:  []storage.Outcome{{ID: "T-a", Key: "k1", Done: true, Reply: []byte("old")}},
		Sends:     []storage.NewSend{{Seq: 1, Source: "T-a", Target: "T-old"}},
		Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Name: "old", Due: noon()}}},
	})
	deletion := storage.Batch{
		Objects:   []storage.ObjectWrite{{ID: "T-a", Expect: 1, Delete: true}},
		Outcomes:  []storage.Outcome{{ID: "T-a", Key: "k1", Done: true, Reply: []byte("new")}},
		Sent:      []storage.SendID{{Shard: 1, Epoch: 1, Seq: 1}},
		Sends:     []storage.NewSend{{Seq: 1, Source: "T-a", Target: "T-new"}},
		Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Name: "old", Due: noon()}, Expect: noon()}},
	}
	k.refused("a reminder expected of an object that was just deleted", k.Commit(k.ctx, f, deletion), storage.ErrConflict)
	deletion.Reminders[0].Expect = time.Time{}
	k.commit(f, deletion)
	o, _ := k.outcome("T-a", "k1")
	k.equal("the reply", string(o.Reply), "new")
	k.equal("the send's target", k.sends()[0].Target, "T-new")
	k.equal("reminders", len(k.reminders()), 1)
	k.equal("version", k.load("T-a").Version, 0)
}

func testInvalidBatches(k *kit) {
	f := k.fence(1, 1)
	reminder := storage.Reminder{ID: "T-a", Name: "n", Due: noon()}
	send := storage.NewSend{Seq: 1, Source: "T-a", Target: "T-b"}
	for what, b := range map[string]storage.Batch{
		"object without an ID":        {Objects: []storage.ObjectWrite{{}}},
		"object twice":                {Objects: []storage.ObjectWrite{{ID: "T-a"}, {ID: "T-a", Expect: 1}}},
		"object with version below 0": {Objects: []storage.ObjectWrite{{ID: "T-a", Expect: -1}}},
		"object with the last version": {
			Objects: []storage.ObjectWrite{{ID: "T-a", Expect: math.MaxInt64}},
		},
		"outcome without an ID":       {Outcomes: []storage.Outcome{{Key: "k1"}}},
		"outcome without a key":       {Outcomes: []storage.Outcome{{ID: "T-a"}}},
		"outcome twice":               {Outcomes: []storage.Outcome{{ID: "T-a", Key: "k1"}, {ID: "T-a", Key: "k1", Done: true}}},
		"outcome forgotten and made":  {Outcomes: []storage.Outcome{{ID: "T-a", Key: "k1"}}, Forget: []storage.OutcomeKey{{ID: "T-a", Key: "k1"}}},
		"outcome without key forgot":  {Forget: []storage.OutcomeKey{{ID: "T-a"}}},
		"send without a source":       {Sends: []storage.NewSend{{Target: "T-b"}}},
		"send without a target":       {Sends: []storage.NewSend{{Source: "T-a"}}},
		"send twice":                  {Sends: []storage.NewSend{send, send}},
		"send number out of range":    {Sends: []storage.NewSend{{Seq: math.MaxInt64 + 1, Source: "T-a", Target: "T-b"}}},
		"reminder without an ID":      {Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{Name: "n", Due: noon()}}}},
		"reminder without a name":     {Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Due: noon()}}}},
		"reminder without a time":     {Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Name: "n"}}}},
		"reminder with period < 0":    {Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Name: "n", Due: noon(), Period: -1}}}},
		"reminder set twice":          {Reminders: []storage.ReminderWrite{{Reminder: reminder}, {Reminder: reminder}}},
		"reminder set and removed":    {Reminders: []storage.ReminderWrite{{Reminder: reminder}, {Reminder: reminder, Remove: true}}},
		"removed send of other shard": {Sent: []storage.SendID{{Shard: 2, Epoch: 1}}},
	} {
		b.Objects = append(b.Objects, storage.ObjectWrite{ID: "T-x"})
		k.refused(what, k.Commit(k.ctx, f, b), storage.ErrInvalid)
	}
	k.equal("after the refusals", k.dump("T-x"), fmt.Sprintln(showObject(storage.Object{ID: "T-x"})))
}

// A store shares no memory with who writes or reads.
func testBytesAreCopies(k *kit) {
	f := k.fence(1, 1)
	bytes := [][]byte{[]byte("good"), []byte("good"), []byte("good"), []byte("good"), []byte("good")}
	k.commit(f, storage.Batch{
		Objects:   []storage.ObjectWrite{{ID: "T-a", State: bytes[0]}},
		Outcomes:  []storage.Outcome{{ID: "T-a", Key: "k1", Digest: bytes[1], Reply: bytes[2]}},
		Sends:     []storage.NewSend{{Seq: 1, Source: "T-a", Target: "T-b", Message: bytes[3]}},
		Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-a", Name: "n", Due: noon(), Request: bytes[4]}}},
	})
	read := func() [][]byte {
		o, _ := k.outcome("T-a", "k1")
		return [][]byte{k.load("T-a").State, o.Digest, o.Reply, k.sends()[0].Message, k.reminders()[0].Request}
	}
	for _, b := range bytes {
		copy(b, "evil")
	}
	for i, b := range read() {
		k.equal(fmt.Sprintf("bytes %d after what was written was changed", i), string(b), "good")
		copy(b, "evil")
	}
	for i, b := range read() {
		k.equal(fmt.Sprintf("bytes %d after what was read was changed", i), string(b), "good")
	}
}

// calls are all calls of a store that can fail. The commit writes T-z.
func calls(k *kit, f storage.Fence) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Fence":    func(ctx context.Context) error { _, err := k.Fence(ctx, f.Shard, f.Epoch); return err },
		"MaxEpoch": func(ctx context.Context) error { _, err := k.MaxEpoch(ctx); return err },
		"Load":     func(ctx context.Context) error { _, err := k.Load(ctx, "T-a"); return err },
		"Outcome":  func(ctx context.Context) error { _, _, err := k.Outcome(ctx, "T-a", "k1"); return err },
		"DueReminders": func(ctx context.Context) error {
			_, err := k.DueReminders(ctx, allShards(), noon(), 1)
			return err
		},
		"PendingSends": func(ctx context.Context) error {
			_, err := k.PendingSends(ctx, allShards(), storage.SendID{}, 1)
			return err
		},
		"Commit": func(ctx context.Context) error {
			return k.Commit(ctx, f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-z"}}})
		},
		"Prune": func(ctx context.Context) error { _, err := k.Prune(ctx, noon(), 1); return err },
	}
}

// An ended context is the error of every call, and nothing has happened.
func testEndedContext(k *kit) {
	f := k.fence(1, 1)
	k.commit(f, storage.Batch{Outcomes: []storage.Outcome{{ID: "T-a", Key: "k1", Expires: noon()}}})
	cancelled, cancel := context.WithCancel(k.ctx)
	cancel()
	expired, cancel := context.WithTimeout(k.ctx, 0)
	defer cancel()
	for ctx, want := range map[context.Context]error{cancelled: context.Canceled, expired: context.DeadlineExceeded} {
		for what, call := range calls(k, f) {
			err := call(ctx)
			k.refused(what+" with an ended context", err, want)
			if errors.Is(err, storage.ErrUnknown) {
				k.t.Errorf("%s with an ended context: the outcome is known: nothing has happened", what)
			}
		}
	}
	k.commit(f, storage.Batch{}) // the fence is still good
	k.equal("version", k.load("T-z").Version, 0)
	if _, found := k.outcome("T-a", "k1"); !found {
		k.t.Error("an outcome was pruned")
	}
}

func testClose(k *kit) {
	f := k.fence(1, 1)
	k.must(k.Close())
	for what, call := range calls(k, f) {
		k.refused(what+" after Close", call(k.ctx), storage.ErrUnavailable)
	}
	k.must(k.Close())
}
