package storagetest

import (
	"errors"
	"math"
	"sync"

	"github.com/xiaonanln/goverse/storage"
)

func testFence(k *kit) {
	first := k.fence(1, 5)
	if first.Shard != 1 || first.Epoch != 5 {
		k.t.Errorf("the fence of shard 1 and epoch 5 is %+v", first)
	}
	again := k.fence(1, 5)
	if again.Epoch != 5 || again.Gen <= first.Gen {
		k.t.Errorf("the fence after %+v is %+v, want a greater generation", first, again)
	}
	if newer := k.fence(1, 7); newer.Epoch != 7 {
		k.t.Errorf("the fence of epoch 7 is %+v", newer)
	}
	for _, old := range []uint64{6, 5, 1} {
		_, err := k.Fence(k.ctx, 1, old)
		k.refused("an old epoch", err, storage.ErrFenced)
	}
	for _, wrong := range []uint64{0, math.MaxInt64 + 1, math.MaxUint64} {
		_, err := k.Fence(k.ctx, 1, wrong)
		k.refused("an epoch out of range", err, storage.ErrInvalid)
	}

	// The refusals have changed nothing, and other shards have nothing to do with it.
	k.commit(k.fence(1, 7), storage.Batch{})
	k.commit(k.fence(0, 1), storage.Batch{})
	k.commit(k.fence(8191, math.MaxInt64), storage.Batch{})
}

// Of fences made at the same time each is another one, and the newest alone is good.
func testFenceRace(k *kit) {
	fences := make([]storage.Fence, 8)
	var wg sync.WaitGroup
	for i := range fences {
		wg.Go(func() {
			var err error
			if fences[i], err = k.Fence(k.ctx, 1, 3); err != nil {
				k.t.Error(err)
			}
		})
	}
	wg.Wait()
	seen, newest := map[uint64]bool{}, storage.Fence{}
	for _, f := range fences {
		seen[f.Gen] = true
		if f.Gen > newest.Gen {
			newest = f
		}
	}
	if len(seen) != len(fences) {
		k.t.Errorf("two fences are the same: %+v", fences)
	}
	for _, f := range fences {
		err := k.Commit(k.ctx, f, storage.Batch{})
		if want := f == newest; (err == nil) != want {
			k.t.Errorf("commit under %+v, the newest being %+v: %v", f, newest, err)
		}
	}
}

func testMaxEpoch(k *kit) {
	want := func(epoch uint64) {
		k.t.Helper()
		got, err := k.MaxEpoch(k.ctx)
		k.must(err)
		k.equal("greatest epoch", got, epoch)
	}
	want(0)
	k.fence(2, 4)
	want(4)
	k.fence(1, 3)
	want(4)
	k.fence(1, 9)
	want(9)
	k.fence(8191, math.MaxInt64)
	want(math.MaxInt64)
}

func testCommitNeedsTheNewestFence(k *kit) {
	old := k.fence(1, 5)
	k.write(old, "T-a", 0, "old")
	sameEpoch := k.fence(1, 5)
	write := func(f storage.Fence, expect int64) error {
		return k.Commit(k.ctx, f, storage.Batch{
			Objects: []storage.ObjectWrite{{ID: "T-a", Expect: expect, State: []byte("evil")}},
		})
	}
	k.refused("an old generation", write(old, 1), storage.ErrFenced)
	newest := k.fence(1, 8)
	for what, f := range map[string]storage.Fence{
		"an old epoch":                       sameEpoch,
		"an old epoch's first generation":    old,
		"a generation to come":               {Shard: 1, Epoch: 8, Gen: newest.Gen + 1},
		"an epoch to come":                   {Shard: 1, Epoch: 9, Gen: newest.Gen},
		"the old epoch, the new generation":  {Shard: 1, Epoch: 5, Gen: newest.Gen},
		"a shard without a fence":            {Shard: 2, Epoch: 8, Gen: newest.Gen},
		"another shard without a fence":      {Shard: 0, Epoch: 8, Gen: newest.Gen},
		"the new epoch, an older generation": {Shard: 1, Epoch: 8, Gen: newest.Gen - 1},
	} {
		k.refused(what, write(f, 1), storage.ErrFenced)
		k.refused(what+", a conflict as well", write(f, 7), storage.ErrFenced)
		k.refused(what+", nothing to write", k.Commit(k.ctx, f, storage.Batch{}), storage.ErrFenced)
	}
	k.refused("no fence at all", k.Commit(k.ctx, storage.Fence{}, storage.Batch{}), storage.ErrInvalid)
	k.refused("an epoch out of range", write(storage.Fence{Shard: 1, Epoch: math.MaxUint64, Gen: 1}, 1), storage.ErrInvalid)
	k.equal("after the refusals", showObject(k.load("T-a")),
		showObject(storage.Object{ID: "T-a", Shard: 1, Version: 1, State: []byte("old")}))

	k.commit(newest, storage.Batch{}) // only compares
	k.write(newest, "T-a", 1, "new")
	k.write(newest, "T-a", 2, "newer")
}

// Once a fence is there, nothing that goes on under an older one changes what is read. This is what all is about.
func testFenceStopsCommitsUnderWay(k *kit) {
	const rounds, writers = 60, 4
	total := int64(0)
	for round := range uint64(rounds) {
		f := k.fence(1, round+1)
		var wg sync.WaitGroup
		counts := make([]int64, writers)
		running := make(chan struct{}, writers)
		for w := range writers {
			wg.Go(func() { counts[w] = commitUntilFenced(k, f, running) })
		}
		for range writers {
			<-running
		}
		k.fence(1, round+2)
		read := k.load("T-a").Version
		wg.Wait()
		for _, n := range counts {
			total += n
		}
		if now := k.load("T-a").Version; now != read || now != total {
			k.t.Fatalf("round %d: version %d when the fence was there, %d at the end, and %d commits were acknowledged",
				round, read, now, total)
		}
	}
}

// commitUntilFenced is how many commits succeeded. It says when it has begun.
func commitUntilFenced(k *kit, f storage.Fence, running chan<- struct{}) (n int64) {
	for first := true; ; first = false {
		o, err := k.Load(k.ctx, "T-a")
		if err == nil {
			err = k.Commit(k.ctx, f, storage.Batch{
				Objects: []storage.ObjectWrite{{ID: "T-a", Expect: o.Version, State: []byte("x")}},
			})
		}
		if first {
			running <- struct{}{}
		}
		switch {
		case err == nil:
			n++
		case errors.Is(err, storage.ErrFenced):
			return n
		case !errors.Is(err, storage.ErrConflict): // another writer was faster
			k.t.Error(err)
			return n
		}
	}
}
