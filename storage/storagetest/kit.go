package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/storage"
)

// patience is how long a test may take.
const patience = 30 * time.Second

// allShards are the shards that the suite uses.
func allShards() []uint32 { return []uint32{0, 1, 2, 8191} }

// noon is a moment that every store can keep.
func noon() time.Time { return time.Date(2026, 2, 3, 12, 0, 0, 123456000, time.UTC) }

// kit is what a test works with.
type kit struct {
	storage.Store

	t   *testing.T
	ctx context.Context // of the test
}

func newKit(t *testing.T, store storage.Store) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &kit{Store: store, t: t, ctx: ctx}
}

// must fails the test for an error.
func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// refused fails the test unless err is the wanted one.
func (k *kit) refused(what string, err, want error) {
	k.t.Helper()
	if !errors.Is(err, want) {
		k.t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// equal compares what is printed alike.
func (k *kit) equal(what string, got, want any) {
	k.t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		k.t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func (k *kit) fence(shard uint32, epoch uint64) storage.Fence {
	k.t.Helper()
	f, err := k.Fence(k.ctx, shard, epoch)
	k.must(err)
	return f
}

// commit makes a commit that must succeed.
func (k *kit) commit(f storage.Fence, b storage.Batch) {
	k.t.Helper()
	k.must(k.Commit(k.ctx, f, b))
}

// write writes an object that has version expect.
func (k *kit) write(f storage.Fence, id string, expect int64, state string) {
	k.t.Helper()
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: id, Expect: expect, State: []byte(state)}}})
}

func (k *kit) load(id string) storage.Object {
	k.t.Helper()
	o, err := k.Load(k.ctx, id)
	k.must(err)
	return o
}

func (k *kit) outcome(id, key string) (storage.Outcome, bool) {
	k.t.Helper()
	o, found, err := k.Outcome(k.ctx, id, key)
	k.must(err)
	if !found {
		k.equal("an outcome that is not found", showOutcome(o), showOutcome(storage.Outcome{}))
	}
	return o, found
}

func (k *kit) sends() []storage.Send {
	k.t.Helper()
	sends, err := k.PendingSends(k.ctx, allShards(), storage.SendID{}, 1000)
	k.must(err)
	return sends
}

func (k *kit) reminders() []storage.Reminder {
	k.t.Helper()
	reminders, err := k.DueReminders(k.ctx, allShards(), noon().AddDate(1, 0, 0), 1000)
	k.must(err)
	return reminders
}

// dump is all that there is of the given objects, and all sends and reminders.
func (k *kit) dump(ids ...string) string {
	k.t.Helper()
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintln(&b, showObject(k.load(id)))
		for _, key := range []string{"k1", "k2"} {
			if o, found := k.outcome(id, key); found {
				fmt.Fprintln(&b, showOutcome(o))
			}
		}
	}
	for _, s := range k.sends() {
		fmt.Fprintln(&b, showSend(s))
	}
	for _, r := range k.reminders() {
		fmt.Fprintln(&b, showReminder(r))
	}
	return b.String()
}

// A nil slice and an empty one look alike: a store need not tell them apart.

func showObject(o storage.Object) string {
	return fmt.Sprintf("object %q of shard %d version %d state %q", o.ID, o.Shard, o.Version, o.State)
}

func showOutcome(o storage.Outcome) string {
	return fmt.Sprintf("outcome %q of %q digest %q done %v reply %q expires %s",
		o.Key, o.ID, o.Digest, o.Done, o.Reply, showTime(o.Expires))
}

func showSend(s storage.Send) string {
	return fmt.Sprintf("send %d.%d.%d from %q to %q message %q", s.Shard, s.Epoch, s.Seq, s.Source, s.Target, s.Message)
}

func showReminder(r storage.Reminder) string {
	return fmt.Sprintf("reminder %q of %q due %s period %v method %q request %q",
		r.Name, r.ID, showTime(r.Due), r.Period, r.Method, r.Request)
}

func showTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339Nano)
}
