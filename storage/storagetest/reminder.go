package storagetest

import (
	"time"

	"github.com/xiaonanln/goverse/storage"
)

// remind sets a reminder.
func remind(k *kit, f storage.Fence, id, name string, due time.Time) {
	k.t.Helper()
	k.commit(f, storage.Batch{Reminders: []storage.ReminderWrite{
		{Reminder: storage.Reminder{ID: id, Name: name, Due: due}},
	}})
}

func testReminders(k *kit) {
	f := k.fence(1, 1)
	k.write(f, "T-a", 0, "")
	r := storage.Reminder{
		ID: "T-a", Name: "daily", Due: noon().Add(999 * time.Nanosecond).In(time.FixedZone("west", -3600)),
		Period: 24*time.Hour + 1500*time.Nanosecond, Method: "Digest", Request: []byte{0, 1, 2},
	}
	kept := r
	kept.Due, kept.Period = noon(), 24*time.Hour+time.Microsecond
	k.commit(f, storage.Batch{Reminders: []storage.ReminderWrite{{Reminder: r}}})
	all := k.reminders()
	k.equal("reminders", len(all), 1)
	k.equal("a reminder", showReminder(all[0]), showReminder(kept))
	if !all[0].Due.Equal(noon()) {
		k.t.Errorf("due %v, want %v", all[0].Due, noon())
	}

	// Setting it again replaces all of it.
	r = storage.Reminder{ID: "T-a", Name: "daily", Due: noon().Add(time.Hour)}
	k.commit(f, storage.Batch{Reminders: []storage.ReminderWrite{{Reminder: r}}})
	remind(k, f, "T-a", "other", noon())
	remind(k, f, "T-ab", "daily", noon())
	all = k.reminders()
	k.equal("reminders", len(all), 3)
	k.equal("the replaced reminder is due last", showReminder(all[2]), showReminder(r))

	remove := func(id, name string) {
		k.commit(f, storage.Batch{Reminders: []storage.ReminderWrite{
			{Reminder: storage.Reminder{ID: id, Name: name}, Remove: true},
		}})
	}
	remove("T-a", "none")
	remove("T-a", "other")
	remove("T-a", "other")
	k.equal("reminders after one was removed", len(k.reminders()), 2)

	// They go with their object.
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-a", Expect: 1, Delete: true}}})
	all = k.reminders()
	k.equal("reminders after their object's end", len(all), 1)
	k.equal("the other object's reminder", all[0].ID, "T-ab")
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-ab", Delete: true}}}) // it has no state
	k.equal("reminders after all objects' end", len(k.reminders()), 0)
}

func testDueReminders(k *kit) {
	one, two := k.fence(1, 1), k.fence(2, 1)
	remind(k, one, "T-b", "n1", noon())
	remind(k, one, "T-a", "n2", noon())
	remind(k, two, "T-c", "late", noon().Add(time.Microsecond))
	remind(k, one, "T-a", "n1", noon())
	remind(k, two, "T-c", "early", noon().Add(-time.Hour))
	remind(k, one, "T-d", "far", noon().AddDate(100, 0, 0))
	for _, tc := range []struct {
		what   string
		shards []uint32
		until  time.Time
		limit  int
		want   []string
	}{
		{"nothing yet", []uint32{1, 2}, noon().Add(-time.Hour - time.Microsecond), 10, nil},
		{"due just then", []uint32{1, 2}, noon().Add(-time.Hour), 10, []string{"T-c early"}},
		{
			"in order",
			[]uint32{1, 2},
			noon(), 10,
			[]string{"T-c early", "T-a n1", "T-a n2", "T-b n1"},
		},
		{
			"a microsecond later",
			[]uint32{2, 1, 2},
			noon().Add(time.Microsecond), 10,
			[]string{"T-c early", "T-a n1", "T-a n2", "T-b n1", "T-c late"},
		},
		{"up to the limit", []uint32{1, 2}, noon(), 2, []string{"T-c early", "T-a n1"}},
		{"no limit is none", []uint32{1, 2}, noon(), 0, nil},
		{"of one shard", []uint32{2}, noon().AddDate(1, 0, 0), 10, []string{"T-c early", "T-c late"}},
		{"of one shard up to the limit", []uint32{1}, noon().AddDate(1, 0, 0), 2, []string{"T-a n1", "T-a n2"}},
		{"of an empty shard", []uint32{0}, noon().AddDate(1, 0, 0), 10, nil},
		{"of no shard", nil, noon().AddDate(1, 0, 0), 10, nil},
	} {
		for range 2 { // naming them changes nothing
			due, err := k.DueReminders(k.ctx, tc.shards, tc.until, tc.limit)
			k.must(err)
			var got []string
			for _, r := range due {
				got = append(got, r.ID+" "+r.Name)
			}
			k.equal(tc.what, got, tc.want)
		}
	}
}

// A reminder that fired is moved on only if it is still the one that fired.
func testReminderExpectations(k *kit) {
	f := k.fence(1, 1)
	r := storage.Reminder{ID: "T-a", Name: "n", Due: noon()}
	move := func(expect, due time.Time, remove bool) error {
		r.Due = due
		return k.Commit(k.ctx, f, storage.Batch{
			Reminders: []storage.ReminderWrite{{Reminder: r, Remove: remove, Expect: expect}},
		})
	}
	next := noon().Add(time.Hour)
	k.refused("moving one that is not there", move(noon(), next, false), storage.ErrConflict)
	k.refused("removing one that is not there", move(noon(), next, true), storage.ErrConflict)
	k.equal("reminders", len(k.reminders()), 0)

	k.must(move(time.Time{}, noon(), false))
	k.refused("moving another one", move(noon().Add(time.Microsecond), next, false), storage.ErrConflict)
	k.refused("removing another one", move(next, next, true), storage.ErrConflict)
	k.equal("the reminder", showTime(k.reminders()[0].Due), showTime(noon()))

	k.must(move(noon().Add(time.Nanosecond), next, false))
	k.equal("the reminder", showTime(k.reminders()[0].Due), showTime(next))
	k.refused("moving it again", move(noon(), next, false), storage.ErrConflict)
	k.must(move(next, next, true))
	k.equal("reminders", len(k.reminders()), 0)
}
