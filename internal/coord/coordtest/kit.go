package coordtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/util/clock"
)

// patience is how long a condition may take to come about.
const patience = 30 * time.Second

// kit is what a test works with: a store, and keys of its own in it.
type kit struct {
	coord.Store

	t      *testing.T
	ctx    context.Context // of the test
	clock  clock.Clock
	prefix string
}

func newKit(t *testing.T, store coord.Store) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &kit{Store: store, t: t, ctx: ctx, clock: clock.Virtual(), prefix: "/coordtest/" + rand.Text() + "/"}
}

// key is a key of the test.
func (k *kit) key(name string) string { return k.prefix + name }

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

// do runs operations without condition.
func (k *kit) do(ops ...coord.Op) coord.TxnResult {
	k.t.Helper()
	res, err := k.Txn(k.ctx, coord.Txn{Then: ops})
	k.must(err)
	if !res.Succeeded || len(res.Results) != len(ops) {
		k.t.Fatalf("transaction of %d operations without condition = %+v", len(ops), res)
	}
	return res
}

// put is the revision of a put.
func (k *kit) put(name, value string) int64 {
	k.t.Helper()
	return k.do(coord.Put(k.key(name), []byte(value))).Rev
}

// del is the revision of a deletion.
func (k *kit) del(name string) int64 {
	k.t.Helper()
	return k.do(coord.Delete(k.key(name))).Rev
}

func (k *kit) get(name string) coord.KV {
	k.t.Helper()
	kv, _, err := k.Get(k.ctx, k.key(name))
	k.must(err)
	return kv
}

// rev is the store's revision.
func (k *kit) rev() int64 {
	k.t.Helper()
	_, rev, err := k.Get(k.ctx, k.key("any"))
	k.must(err)
	return rev
}

// grant is a lease with the shortest TTL the store allows.
func (k *kit) grant() coord.Lease {
	k.t.Helper()
	lease, err := k.Grant(k.ctx, time.Second)
	k.must(err)
	if lease.ID == coord.NoLease || lease.TTL < time.Second {
		k.t.Fatalf("Grant(1s) = %+v", lease)
	}
	return lease
}

// checkKV compares all of a key.
func (k *kit) checkKV(what string, got, want coord.KV) {
	k.t.Helper()
	if show(got) != show(want) {
		k.t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

// show is a key on one line; a nil value and an empty one look alike, as etcd cannot tell them apart.
func show(kv coord.KV) string {
	return fmt.Sprintf("%q=%q create %d mod %d version %d lease %x",
		kv.Key, kv.Value, kv.CreateRev, kv.ModRev, kv.Version, kv.Lease)
}

// showEvent is a change on one line.
func showEvent(e coord.Event) string {
	if e.Deleted {
		return "delete " + show(e.KV)
	}
	return "put " + show(e.KV)
}

// names are the keys of a page without the test's prefix.
func (k *kit) names(kvs []coord.KV) []string {
	names := make([]string, len(kvs))
	for i, kv := range kvs {
		names[i] = kv.Key[len(k.prefix):]
	}
	return names
}

// pause lets a moment pass between two looks at a condition.
func (k *kit) pause(d time.Duration) {
	k.t.Helper()
	timer := k.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.ctx.Done():
		k.t.Fatalf("waited too long: %v", k.ctx.Err())
	}
}

// follow starts a watch of the test's keys that begin with name.
func (k *kit) follow(name string, fromRev int64) *follower {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.ctx)
	k.t.Cleanup(cancel)
	return &follower{k: k, cancel: cancel, batches: k.Watch(ctx, k.key(name), fromRev)}
}

// follower receives a watch and checks what holds for every watch.
type follower struct {
	k       *kit
	cancel  context.CancelFunc
	batches <-chan coord.Batch
	upTo    int64         // the Rev of the last batch
	pending []coord.Event // received, not yet asked for
}

// batch is the next batch; ok is false after the last.
func (f *follower) batch() (b coord.Batch, ok bool) {
	f.k.t.Helper()
	select {
	case b, ok = <-f.batches:
	case <-f.k.ctx.Done():
		f.k.t.Fatal("the watch says nothing")
	}
	if b.Err != nil || !ok {
		return b, ok
	}
	last := f.upTo
	for _, e := range b.Events {
		if e.KV.ModRev <= f.upTo || e.KV.ModRev > b.Rev || e.KV.ModRev < last {
			f.k.t.Errorf("event out of order: %s, after batch %d, in batch %d", showEvent(e), f.upTo, b.Rev)
		}
		last = e.KV.ModRev
	}
	f.upTo = b.Rev
	return b, ok
}

// event is the next event.
func (f *follower) event() coord.Event {
	f.k.t.Helper()
	for len(f.pending) == 0 {
		b, ok := f.batch()
		if !ok || b.Err != nil {
			f.k.t.Fatalf("the watch is over: %v", b.Err)
		}
		f.pending = b.Events
	}
	e := f.pending[0]
	f.pending = f.pending[1:]
	return e
}

// expect checks the next events.
func (f *follower) expect(want ...coord.Event) {
	f.k.t.Helper()
	for _, w := range want {
		if got := f.event(); showEvent(got) != showEvent(w) {
			f.k.t.Errorf("watch:\n got %s\nwant %s", showEvent(got), showEvent(w))
		}
	}
}

// ends checks that the watch ends, with the wanted error (nil: without a word), and its channel is closed.
func (f *follower) ends(want error) {
	f.k.t.Helper()
	var err error
	for {
		b, ok := f.batch()
		if !ok {
			break
		}
		if err != nil {
			f.k.t.Errorf("batch %+v after the watch's error", b)
		}
		err = b.Err
	}
	if want == nil && err != nil || !errors.Is(err, want) {
		f.k.t.Errorf("the watch ended with %v, want %v", err, want)
	}
}

// stop ends the watch and waits until it is closed, whatever it still says.
func (f *follower) stop() {
	f.k.t.Helper()
	f.cancel()
	for {
		select {
		case _, ok := <-f.batches:
			if !ok {
				return
			}
		case <-f.k.ctx.Done():
			f.k.t.Fatal("the watch does not close when its context has ended")
		}
	}
}
