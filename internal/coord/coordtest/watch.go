package coordtest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/xiaonanln/goverse/internal/coord"
)

// put1 is the event of a first put.
func put1(k *kit, name, value string, rev int64) coord.Event {
	return coord.Event{KV: coord.KV{Key: k.key(name), Value: []byte(value), CreateRev: rev, ModRev: rev, Version: 1}}
}

// A watch from a past revision tells it all again, and goes on with the present.
func testWatchThePast(k *kit) {
	r1 := k.put("a", "1")
	r2 := k.put("a", "2")
	r3 := k.del("a")
	r4 := k.put("a", "4")
	second := coord.Event{KV: coord.KV{Key: k.key("a"), Value: []byte("2"), CreateRev: r1, ModRev: r2, Version: 2}}

	all, late := k.follow("", r1), k.follow("", r3)
	all.expect(put1(k, "a", "1", r1), second, deletion(k, "a", r3), put1(k, "a", "4", r4))
	late.expect(deletion(k, "a", r3), put1(k, "a", "4", r4))

	r5 := k.put("b", "5")
	all.expect(put1(k, "b", "5", r5))
	late.expect(put1(k, "b", "5", r5))
	all.stop()
	late.stop()
}

// A watch tells nothing from before its first revision, even one that does not exist yet.
func testWatchTheFuture(k *kit) {
	rev := k.put("a", "1")
	next, later := k.follow("", rev+1), k.follow("", rev+3)
	k.put("b", "")
	k.put("c", "")
	k.put("d", "")
	next.expect(put1(k, "b", "", rev+1), put1(k, "c", "", rev+2), put1(k, "d", "", rev+3))
	later.expect(put1(k, "d", "", rev+3))
	next.stop()
	later.stop()
}

// All changes of a revision come in one batch, in the order of the transaction.
func testWatchKeepsRevisionsWhole(k *kit) {
	ops, want := make([]coord.Op, coord.MaxOps), make([]coord.Event, coord.MaxOps)
	rev := k.rev() + 1
	for i := range ops {
		name := fmt.Sprintf("%04d", (i*37)%coord.MaxOps)
		ops[i], want[i] = coord.Put(k.key(name), []byte(name)), put1(k, name, name, rev)
	}
	live := k.follow("", rev)
	k.do(ops...)
	k.do(coord.DeletePrefix(k.key("000")))
	past := k.follow("", rev)
	for what, f := range map[string]*follower{"present": live, "past": past} {
		batch, _ := f.batch()
		if n := len(batch.Events); n < len(ops) {
			k.t.Errorf("%s: %d events of a revision of %d in the first batch", what, n, len(ops))
		}
		f.pending = batch.Events
		f.expect(want...)
		for i := range 10 {
			f.expect(deletion(k, fmt.Sprintf("%04d", i), rev+1))
		}
		f.stop()
	}
}

func testWatchByPrefix(k *kit) {
	start := k.rev() + 1
	prefix, everything := k.follow("n/", start), k.follow("", start)
	k.put("m", "")
	a := k.do(coord.Put(k.key("n"), nil), coord.Put(k.key("n/a"), nil), coord.Put(k.key("n0"), nil)).Rev
	k.do(coord.Delete(k.key("m")))
	b := k.put("n/\xff", "")

	prefix.expect(put1(k, "n/a", "", a), put1(k, "n/\xff", "", b))
	everything.expect(put1(k, "m", "", start), put1(k, "n", "", a), put1(k, "n/a", "", a), put1(k, "n0", "", a),
		deletion(k, "m", a+1), put1(k, "n/\xff", "", b))
	prefix.stop()
	everything.stop()

	ctx, cancel := context.WithCancel(k.ctx)
	all := &follower{k: k, cancel: cancel, batches: k.Watch(ctx, "", b)}
	all.expect(put1(k, "n/\xff", "", b))
	all.stop()
}

// Writers at work: the watch tells every revision once, in order and whole, and adds up to what is there.
func testWatchUnderLoad(k *kit) {
	const writers, each = 3, 40
	start := k.rev() + 1
	f := k.follow("", start)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { writeLoad(k, w, each) })
	}
	state := map[string]string{}
	for seen := 0; seen < writers*each; {
		e := f.event()
		if e.KV.ModRev < start {
			k.t.Errorf("an event from before the watch: %s", showEvent(e))
		}
		if e.Deleted {
			delete(state, e.KV.Key)
			continue
		}
		state[e.KV.Key] = show(e.KV)
		if strings.HasPrefix(e.KV.Key, k.key("own/")) {
			seen++ // one in each revision, the last
		}
	}
	wg.Wait()
	f.stop()

	page, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{})
	k.must(err)
	want := map[string]string{}
	for _, kv := range page.KVs {
		want[kv.Key] = show(kv)
	}
	if page.Rev != f.upTo || page.Rev != start+writers*each-1 {
		k.t.Errorf("revision %d, the watch is at %d, want %d", page.Rev, f.upTo, start+writers*each-1)
	}
	if !maps.Equal(state, want) {
		k.t.Errorf("the watch adds up to\n%v\nwant\n%v", state, want)
	}
}

// writeLoad makes n revisions that change keys of all writers and one of this writer.
func writeLoad(k *kit, writer, n int) {
	for i := range n {
		ops := []coord.Op{
			coord.Put(k.key(fmt.Sprint("shared/", i%5)), fmt.Append(nil, writer, i)),
			coord.Put(k.key(fmt.Sprint("own/", writer)), fmt.Append(nil, i)),
		}
		if i%4 == 3 {
			ops[0] = coord.Delete(k.key(fmt.Sprint("shared/", (i-1)%5)))
		}
		if _, err := k.Txn(k.ctx, coord.Txn{Then: ops}); err != nil {
			k.t.Error(err)
		}
	}
}

func testWatchEnds(k *kit) {
	rev := k.put("a", "")

	idle := k.follow("nothing", rev)
	idle.stop()

	unread := k.follow("", rev)
	for range 5 {
		k.put("a", "")
	}
	unread.stop()

	k.follow("", 0).ends(coord.ErrInvalid)
	k.follow("", -1).ends(coord.ErrInvalid)

	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	ended := &follower{k: k, cancel: cancel, batches: k.Watch(ctx, k.prefix, rev)}
	ended.stop()
}
