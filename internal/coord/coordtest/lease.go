package coordtest

import (
	"errors"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// All keys of a lease, and only they, go at one revision, not before its time.
func testLeaseExpiry(k *kit) {
	before := k.clock.Monotonic()
	lease := k.grant()
	other, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	rev := k.do(
		coord.PutLeased(k.key("n/1"), []byte("1"), lease.ID),
		coord.PutLeased(k.key("n/2"), []byte("2"), lease.ID),
		coord.PutLeased(k.key("n/other"), nil, other.ID),
		coord.Put(k.key("n/none"), nil)).Rev
	k.do(coord.PutLeased(k.key("n/3"), []byte("3"), lease.ID))
	k.checkKV("a key with a lease", k.get("n/1"), coord.KV{
		Key: k.key("n/1"), Value: []byte("1"), CreateRev: rev, ModRev: rev, Version: 1, Lease: lease.ID,
	})

	f := k.follow("", rev+2)
	first := f.event()
	if passed := k.clock.Monotonic() - before; passed < lease.TTL {
		k.t.Errorf("a lease of %v expired after %v", lease.TTL, passed)
	}
	gone := first.KV.ModRev
	if want := showEvent(deletion(k, "n/1", gone)); showEvent(first) != want {
		k.t.Errorf("watch:\n got %s\nwant %s", showEvent(first), want)
	}
	f.expect(deletion(k, "n/2", gone), deletion(k, "n/3", gone))

	// Nothing else went with it, before or after.
	mark := k.put("mark", "")
	f.expect(coord.Event{KV: coord.KV{Key: k.key("mark"), CreateRev: mark, ModRev: mark, Version: 1}})
	if mark != gone+1 {
		k.t.Errorf("the revision after the expiry is %d, want %d", mark, gone+1)
	}
	page, err := k.Range(k.ctx, k.key("n/"), coord.RangeOptions{})
	k.must(err)
	if got := k.names(page.KVs); len(got) != 2 || got[0] != "n/none" || got[1] != "n/other" {
		k.t.Errorf("left over: %q, want n/none and n/other", got)
	}
	k.must(k.Revoke(k.ctx, other.ID))
	f.stop()
}

func deletion(k *kit, name string, rev int64) coord.Event {
	return coord.Event{Deleted: true, KV: coord.KV{Key: k.key(name), ModRev: rev}}
}

// A lease lives as long as it is kept alive, and its TTL longer, counted from the last time.
func testLeaseKeepAlive(k *kit) {
	const attempts = 5
	for range attempts {
		if keepAliveForTwoTTLs(k) {
			return
		}
	}
	k.t.Errorf("the machine stood still for longer than a TTL in each of %d attempts", attempts)
}

// keepAliveForTwoTTLs says false if it was too slow itself to prove anything.
func keepAliveForTwoTTLs(k *kit) bool {
	k.t.Helper()
	lease := k.grant()
	start := k.clock.Monotonic()
	renewed := start
	k.do(coord.PutLeased(k.key("n"), nil, lease.ID))
	for k.clock.Monotonic()-start < 2*lease.TTL {
		k.pause(lease.TTL / 4)
		sent := k.clock.Monotonic()
		ttl, err := k.KeepAliveOnce(k.ctx, lease.ID)
		if errors.Is(err, coord.ErrLeaseNotFound) && k.clock.Monotonic()-renewed >= lease.TTL {
			return false
		}
		k.must(err)
		if ttl != lease.TTL {
			k.t.Errorf("KeepAliveOnce = %v for a lease of %v", ttl, lease.TTL)
		}
		renewed = sent
	}
	if !k.get("n").Exists() && k.clock.Monotonic()-renewed < lease.TTL {
		k.t.Error("the key is gone while its lease lives")
	}
	for k.get("n").Exists() {
		k.pause(20 * time.Millisecond)
	}
	if passed := k.clock.Monotonic() - renewed; passed < lease.TTL {
		k.t.Errorf("a lease of %v expired %v after it was kept alive", lease.TTL, passed)
	}
	_, err := k.KeepAliveOnce(k.ctx, lease.ID)
	k.refused("KeepAliveOnce of an expired lease", err, coord.ErrLeaseNotFound)
	return true
}

func testLeaseRevoke(k *kit) {
	lease, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	if lease.TTL < time.Hour {
		k.t.Errorf("Grant(1h) granted %v", lease.TTL)
	}
	rev := k.do(coord.PutLeased(k.key("b"), nil, lease.ID), coord.PutLeased(k.key("a"), nil, lease.ID)).Rev
	k.must(k.Revoke(k.ctx, lease.ID))
	f := k.follow("", rev+1)
	f.expect(deletion(k, "a", rev+1), deletion(k, "b", rev+1))
	f.stop()

	empty, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	if empty.ID == lease.ID {
		k.t.Errorf("lease %x was granted twice", empty.ID)
	}
	k.must(k.Revoke(k.ctx, empty.ID))
	if now := k.rev(); now != rev+1 {
		k.t.Errorf("a lease without keys moved the revision from %d to %d", rev+1, now)
	}
}

// A key belongs to the lease of its last put.
func testLeaseOfALaterPut(k *kit) {
	first, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	second, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	for _, name := range []string{"moved", "freed", "reborn", "again"} {
		k.do(coord.PutLeased(k.key(name), nil, first.ID))
	}
	k.do(coord.PutLeased(k.key("moved"), nil, second.ID), coord.PutLeased(k.key("again"), nil, first.ID))
	k.put("freed", "")
	k.del("reborn")
	k.put("reborn", "")

	if got := k.get("freed").Lease; got != coord.NoLease {
		k.t.Errorf("a key put without a lease has lease %x", got)
	}
	k.must(k.Revoke(k.ctx, first.ID))
	for name, want := range map[string]bool{"moved": true, "freed": true, "reborn": true, "again": false} {
		if got := k.get(name).Exists(); got != want {
			k.t.Errorf("after the first lease's end %q exists: %v, want %v", name, got, want)
		}
	}
	k.must(k.Revoke(k.ctx, second.ID))
	if k.get("moved").Exists() {
		k.t.Error("a key outlives its lease")
	}
}

func testDeadLease(k *kit) {
	lease, err := k.Grant(k.ctx, time.Hour)
	k.must(err)
	k.must(k.Revoke(k.ctx, lease.ID))
	rev := k.rev()

	k.refused("Revoke of a dead lease", k.Revoke(k.ctx, lease.ID), coord.ErrLeaseNotFound)
	_, err = k.KeepAliveOnce(k.ctx, lease.ID)
	k.refused("KeepAliveOnce of a dead lease", err, coord.ErrLeaseNotFound)
	_, err = k.Txn(k.ctx, coord.Txn{Then: []coord.Op{coord.PutLeased(k.key("a"), nil, lease.ID)}})
	k.refused("a put with a dead lease", err, coord.ErrLeaseNotFound)
	_, err = k.Txn(k.ctx, coord.Txn{Then: []coord.Op{
		coord.Put(k.key("b"), nil), coord.PutLeased(k.key("a"), nil, lease.ID), coord.Put(k.key("c"), nil),
	}})
	k.refused("a put with a dead lease among others", err, coord.ErrLeaseNotFound)
	if now := k.rev(); now != rev {
		k.t.Errorf("what was refused moved the revision from %d to %d", rev, now)
	}

	res, err := k.Txn(k.ctx, coord.Txn{
		If:   []coord.Compare{coord.Absent(k.key("a"))},
		Then: []coord.Op{coord.Put(k.key("b"), nil)},
		Else: []coord.Op{coord.PutLeased(k.key("a"), nil, lease.ID)},
	})
	k.must(err)
	if !res.Succeeded {
		k.t.Error("a dead lease in a branch not taken made a difference")
	}
}
