package storagetest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/xiaonanln/goverse/storage"
)

func testObjectLife(k *kit) {
	f := k.fence(1, 1)
	check := func(what string, version int64, shard uint32, state string) {
		k.t.Helper()
		k.equal(what, showObject(k.load("T-a")),
			showObject(storage.Object{ID: "T-a", Shard: shard, Version: version, State: []byte(state)}))
	}
	check("never written", 0, 0, "")
	k.write(f, "T-a", 0, "one")
	check("created", 1, 1, "one")
	k.write(f, "T-a", 1, "two")
	check("changed", 2, 1, "two")
	k.write(f, "T-a", 2, "two")
	check("changed to the same", 3, 1, "two")
	k.write(f, "T-a", 3, "")
	check("changed to nothing", 4, 1, "")

	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-a", Expect: 4, Delete: true}}})
	check("deleted", 0, 0, "")
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-a", Expect: 0, Delete: true}}})
	check("deleted again", 0, 0, "")
	k.write(f, "T-a", 0, "anew")
	check("created again", 1, 1, "anew")
}

func testObjectConflicts(k *kit) {
	f := k.fence(1, 1)
	k.write(f, "T-a", 0, "one")
	k.write(f, "T-a", 1, "two")
	for _, w := range []storage.ObjectWrite{
		{ID: "T-a", Expect: 0},
		{ID: "T-a", Expect: 1},
		{ID: "T-a", Expect: 3},
		{ID: "T-a", Expect: 0, Delete: true},
		{ID: "T-a", Expect: 1, Delete: true},
		{ID: "T-none", Expect: 1},
		{ID: "T-none", Expect: 1, Delete: true},
	} {
		k.refused(fmt.Sprintf("%+v", w), k.Commit(k.ctx, f, storage.Batch{Objects: []storage.ObjectWrite{w}}),
			storage.ErrConflict)
	}
	k.equal("after the conflicts", showObject(k.load("T-a")),
		showObject(storage.Object{ID: "T-a", Shard: 1, Version: 2, State: []byte("two")}))
	k.equal("never written", k.load("T-none").Version, 0)
}

// The fence of a shard does not protect the objects of another.
func testObjectKeepsItsShard(k *kit) {
	one, two := k.fence(1, 1), k.fence(2, 1)
	k.write(one, "T-a", 0, "one")
	for _, w := range []storage.ObjectWrite{{ID: "T-a", Expect: 1}, {ID: "T-a", Expect: 1, Delete: true}} {
		k.refused("a write under another shard", k.Commit(k.ctx, two, storage.Batch{Objects: []storage.ObjectWrite{w}}),
			storage.ErrConflict)
	}
	k.write(one, "T-a", 1, "two")
}

// IDs, keys and names are told apart byte for byte, whatever characters they have.
func testNamesAreBytes(k *kit) {
	f := k.fence(1, 1)
	names := []string{
		"T-a", "T-A", "t-a", "T-a ", "T- a", "T-á", "T-a\u0301", "T-ａ", "T-%", "T-_", "T-'", `T-"`, "T-\\", "T-;--", "T-🦫",
		"T-" + strings.Repeat("x", 254), "T-" + strings.Repeat("x", 253) + "y",
	}
	for i, name := range names {
		k.commit(f, storage.Batch{
			Objects:   []storage.ObjectWrite{{ID: name, State: fmt.Append(nil, i)}},
			Outcomes:  []storage.Outcome{{ID: name, Key: "k", Done: true, Reply: fmt.Append(nil, i)}, {ID: "T-keys", Key: name}},
			Reminders: []storage.ReminderWrite{{Reminder: storage.Reminder{ID: "T-names", Name: name, Due: noon()}}},
		})
	}
	for i, name := range names {
		if got := string(k.load(name).State); got != strconv.Itoa(i) {
			k.t.Errorf("the state of %q is %s, want %d", name, got, i)
		}
		if o, _ := k.outcome(name, "k"); string(o.Reply) != strconv.Itoa(i) {
			k.t.Errorf("the reply of %q is %s, want %d", name, o.Reply, i)
		}
		if o, found := k.outcome("T-keys", name); !found || o.Key != name {
			k.t.Errorf("the outcome of key %q is of key %q", name, o.Key)
		}
	}
	k.equal("reminders", len(k.reminders()), len(names))
}

func testLargeState(k *kit) {
	f := k.fence(1, 1)
	all := make([]byte, 1<<20)
	for i := range all {
		all[i] = byte(i ^ i>>8)
	}
	k.commit(f, storage.Batch{
		Objects:  []storage.ObjectWrite{{ID: "T-a", State: all}},
		Outcomes: []storage.Outcome{{ID: "T-a", Key: "k", Done: true, Reply: all}},
		Sends:    []storage.NewSend{{Source: "T-a", Target: "T-b", Message: all}},
	})
	o, _ := k.outcome("T-a", "k")
	if !bytes.Equal(k.load("T-a").State, all) || !bytes.Equal(o.Reply, all) || !bytes.Equal(k.sends()[0].Message, all) {
		k.t.Error("a megabyte did not come back as it was")
	}
}

// Of commits that expect the same version one succeeds.
func testConcurrentCommitsOfOneObject(k *kit) {
	const writers, each = 4, 25
	f := k.fence(1, 1)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				o, err := k.Load(k.ctx, "T-a")
				if err != nil {
					k.t.Error(err)
					return
				}
				n := 0
				_, _ = fmt.Sscan(string(o.State), &n) // absent: 0
				switch changed, err := increment(k, f, "T-a", o.Version, n); {
				case err != nil:
					k.t.Error(err)
					return
				case changed:
					done++
				}
			}
		})
	}
	wg.Wait()
	k.equal("the counter", showObject(k.load("T-a")),
		showObject(storage.Object{ID: "T-a", Shard: 1, Version: writers * each, State: fmt.Append(nil, writers*each)}))
}

// Commits of different objects do not fail each other, on one shard or several.
func testConcurrentCommitsOfManyObjects(k *kit) {
	const each = 25
	var wg sync.WaitGroup
	fences := []storage.Fence{k.fence(0, 1), k.fence(1, 1), k.fence(2, 1)}
	ids := []string{"T-0", "T-1", "T-2", "T-3", "T-4", "T-5"}
	for i, id := range ids {
		wg.Go(func() {
			for n := range each {
				changed, err := increment(k, fences[i%len(fences)], id, int64(n), n)
				if !changed || err != nil {
					k.t.Errorf("commit %d of %q alone: changed %v, %v", n, id, changed, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		k.equal("the counter", string(k.load(id).State), each)
	}
}

// increment says whether it changed the counter from n; it did not if another writer was faster.
func increment(k *kit, f storage.Fence, id string, version int64, n int) (changed bool, err error) {
	err = k.Commit(k.ctx, f, storage.Batch{
		Objects: []storage.ObjectWrite{{ID: id, Expect: version, State: fmt.Append(nil, n+1)}},
	})
	if isConflict(err) {
		return false, nil
	}
	return err == nil, err
}
