package coordtest

import (
	"context"
	"errors"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

func testCompaction(k *kit) {
	k.put("gone", "")
	first := k.put("a", "1")
	k.put("b", "1")
	k.del("gone")
	at := k.put("a", "2")
	later := k.put("a", "3")
	k.must(k.Compact(k.ctx, at))

	for _, rev := range []int64{first, at - 1} {
		_, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: rev})
		k.refused("Range before the compaction", err, coord.ErrCompacted)
	}
	a := coord.KV{Key: k.key("a"), Value: []byte("2"), CreateRev: first, ModRev: at, Version: 2}
	b := coord.KV{Key: k.key("b"), Value: []byte("1"), CreateRev: first + 1, ModRev: first + 1, Version: 1}
	page, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: at})
	k.must(err)
	if len(page.KVs) != 2 {
		k.t.Fatalf("Range at the compaction's revision: %q, want a and b", k.names(page.KVs))
	}
	k.checkKV("at the compaction's revision", page.KVs[0], a)
	k.checkKV("at the compaction's revision", page.KVs[1], b)
	a.Value, a.ModRev, a.Version = []byte("3"), later, 3
	k.checkKV("now", k.get("a"), a)
	k.checkKV("now", k.get("b"), b)

	if now := k.rev(); now != later {
		k.t.Errorf("a compaction moved the revision from %d to %d", later, now)
	}
	k.refused("the same compaction again", k.Compact(k.ctx, at), coord.ErrCompacted)
	k.refused("an earlier compaction", k.Compact(k.ctx, at-1), coord.ErrCompacted)
	k.refused("a compaction in the future", k.Compact(k.ctx, later+1), coord.ErrFutureRev)
	k.must(k.Compact(k.ctx, later))
	k.checkKV("after a compaction of everything", k.get("a"), a)
	again := k.put("gone", "back")
	k.checkKV("a forgotten key", k.get("gone"), put1(k, "gone", "back", again).KV)
}

func testCompactedWatch(k *kit) {
	first := k.put("a", "1")
	k.put("a", "2")
	at := k.put("a", "3")
	next := k.put("b", "4")
	live := k.follow("b", next+1)
	k.must(k.Compact(k.ctx, at))

	k.follow("", first).ends(coord.ErrCompacted)
	k.follow("", at-1).ends(coord.ErrCompacted)
	k.follow("none", first).ends(coord.ErrCompacted) // lost is lost, whatever it was

	after := k.follow("", at+1)
	after.expect(put1(k, "b", "4", next))
	after.stop()

	// One that is up to date is not disturbed.
	k.must(k.Compact(k.ctx, next))
	rev := k.put("b0", "5")
	live.expect(put1(k, "b0", "5", rev))
	live.stop()
}

// An ended context is the error of every call, and nothing has happened.
func testEndedContext(k *kit) {
	lease, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	rev := k.do(coord.PutLeased(k.key("a"), []byte("1"), lease.ID)).Rev

	cancelled, cancel := context.WithCancel(k.ctx)
	cancel()
	expired, cancel := context.WithTimeout(k.ctx, 0)
	defer cancel()
	for ctx, want := range map[context.Context]error{cancelled: context.Canceled, expired: context.DeadlineExceeded} {
		for what, call := range map[string]func() error{
			"Get":   func() error { _, _, err := k.Get(ctx, k.key("a")); return err },
			"Range": func() error { _, err := k.Range(ctx, k.prefix, coord.RangeOptions{}); return err },
			"Txn": func() error {
				_, err := k.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Put(k.key("a"), nil)}})
				return err
			},
			"Grant":         func() error { _, err := k.Grant(ctx, time.Hour); return err },
			"KeepAliveOnce": func() error { _, err := k.KeepAliveOnce(ctx, lease.ID); return err },
			"Revoke":        func() error { return k.Revoke(ctx, lease.ID) },
			"Compact":       func() error { return k.Compact(ctx, rev) },
		} {
			if err := call(); !errors.Is(err, want) {
				k.t.Errorf("%s with an ended context: error %v, want %v", what, err, want)
			}
		}
	}
	k.checkKV("after calls that must not happen", k.get("a"), coord.KV{
		Key: k.key("a"), Value: []byte("1"), CreateRev: rev, ModRev: rev, Version: 1, Lease: lease.ID,
	})
	_, err = k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: rev - 1})
	k.must(err) // not compacted
	k.must(k.Revoke(k.ctx, lease.ID))
}
