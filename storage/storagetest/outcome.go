package storagetest

import (
	"errors"
	"time"

	"github.com/xiaonanln/goverse/storage"
)

func isConflict(err error) bool { return errors.Is(err, storage.ErrConflict) }

func testOutcomes(k *kit) {
	f := k.fence(1, 1)
	record := func(o storage.Outcome) error {
		return k.Commit(k.ctx, f, storage.Batch{Outcomes: []storage.Outcome{o}})
	}
	started := storage.Outcome{ID: "T-a", Key: "k1", Digest: []byte{1, 0, 2}}
	done := storage.Outcome{
		ID: "T-a", Key: "k1", Digest: []byte{1, 0, 2}, Done: true, Reply: []byte("yes"),
		Expires: noon().Add(7 * time.Nanosecond).In(time.FixedZone("east", 3600)),
	}
	kept := done
	kept.Expires = noon()

	if _, found := k.outcome("T-a", "k1"); found {
		k.t.Error("an outcome was found in an empty store")
	}
	k.must(record(started))
	o, _ := k.outcome("T-a", "k1")
	k.equal("a call that has begun", showOutcome(o), showOutcome(started))
	k.refused("a second call that begins", record(started), storage.ErrConflict)
	k.must(record(done))
	o, _ = k.outcome("T-a", "k1")
	k.equal("a call that is over", showOutcome(o), showOutcome(kept))
	k.refused("a call that is over begins", record(started), storage.ErrConflict)
	k.refused("a call is over twice", record(done), storage.ErrConflict)

	// The key means another call on another object, and another key another call on this.
	for _, other := range [][2]string{{"T-b", "k1"}, {"T-a", "k2"}, {"T-a", "k"}} {
		if _, found := k.outcome(other[0], other[1]); found {
			k.t.Errorf("an outcome was found for %q", other)
		}
		k.must(record(storage.Outcome{ID: other[0], Key: other[1], Done: true}))
	}

	k.commit(f, storage.Batch{Forget: []storage.OutcomeKey{{ID: "T-a", Key: "k1"}, {ID: "T-none", Key: "k1"}}})
	if _, found := k.outcome("T-a", "k1"); found {
		k.t.Error("a forgotten outcome was found")
	}
	if _, found := k.outcome("T-a", "k2"); !found {
		k.t.Error("an outcome was forgotten with another one")
	}
	k.must(record(started))
}

func testOutcomesBelongToTheirObject(k *kit) {
	f := k.fence(1, 1)
	k.commit(f, storage.Batch{
		Objects:  []storage.ObjectWrite{{ID: "T-a"}, {ID: "T-ab"}},
		Outcomes: []storage.Outcome{{ID: "T-a", Key: "k1", Done: true}, {ID: "T-a", Key: "k2"}, {ID: "T-ab", Key: "k1"}},
	})
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-a", Expect: 1, Delete: true}}})
	for _, tc := range []struct {
		id, key string
		want    bool
	}{{"T-a", "k1", false}, {"T-a", "k2", false}, {"T-ab", "k1", true}} {
		if _, found := k.outcome(tc.id, tc.key); found != tc.want {
			k.t.Errorf("outcome %q of %q found: %v, want %v", tc.key, tc.id, found, tc.want)
		}
	}

	// Also those of an object that has no state.
	k.commit(f, storage.Batch{Outcomes: []storage.Outcome{{ID: "T-c", Key: "k1"}}})
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-c", Delete: true}}})
	if _, found := k.outcome("T-c", "k1"); found {
		k.t.Error("the outcome of a deleted object without state was found")
	}
}

func testPrune(k *kit) {
	f := k.fence(1, 1)
	expires := map[string]time.Time{
		"past": noon().Add(-time.Hour), "now": noon(), "soon": noon().Add(time.Microsecond), "never": {},
	}
	for key, at := range expires {
		k.commit(f, storage.Batch{Outcomes: []storage.Outcome{{ID: "T-a", Key: key, Expires: at}}})
	}
	prune := func(now time.Time, limit, want int) {
		k.t.Helper()
		n, err := k.Prune(k.ctx, now, limit)
		k.must(err)
		k.equal("pruned", n, want)
	}
	left := func(keys ...string) {
		k.t.Helper()
		want := map[string]bool{}
		for _, key := range keys {
			want[key] = true
		}
		for key := range expires {
			if _, found := k.outcome("T-a", key); found != want[key] {
				k.t.Errorf("outcome %q found: %v, want %v", key, found, want[key])
			}
		}
	}
	prune(noon().Add(-2*time.Hour), 10, 0)
	prune(noon(), 0, 0)
	left("past", "now", "soon", "never")
	prune(noon(), 1, 1)
	prune(noon(), 10, 1)
	left("soon", "never")
	prune(noon().AddDate(10, 0, 0), 10, 1)
	left("never")
}
