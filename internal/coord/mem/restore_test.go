package mem_test

import (
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
)

func TestRestoreIsFoundOut(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, s, a, b := r.t, r.s, r.a, r.b
		lease := grant(t, a, 10*time.Second)
		old := put(t, a, "k", "old", lease.ID)
		before := s.Snapshot()
		put(t, b, "k", "new", coord.NoLease)
		seen := put(t, b, "l", "", coord.NoLease)
		if err := b.Revoke(t.Context(), lease.ID); err != nil {
			t.Fatal(err)
		}
		watch := b.Watch(t.Context(), "", seen+1)
		sleep(9 * time.Second)

		s.Restore(before)
		wantErr(t, "the watch", (<-watch).Err, coord.ErrUnavailable)
		if rev := s.Rev(); rev != old {
			t.Fatalf("revision %d after the restore, want %d", rev, old)
		}
		// The lease of then lives again, and a keepalive alone does not tell.
		if _, err := b.KeepAliveOnce(t.Context(), lease.ID); err != nil {
			t.Error(err)
		}
		wantErr(t, "a watch that resumes", (<-b.Watch(t.Context(), "", seen+1)).Err, coord.ErrRestored)
		checkRestored(t, b, lease.ID)

		// The other has seen nothing that is not there, but shall not be told what is new twice.
		kv, _, err := a.Get(t.Context(), "k")
		if err != nil || string(kv.Value) != "old" {
			t.Errorf("Get = %+v, %v", kv, err)
		}
		for range 5 {
			put(t, a, "k", "again", coord.NoLease)
		}
		checkRestored(t, b, lease.ID) // for ever

		s.Restore(before)
		_, _, err = a.Get(t.Context(), "k")
		wantErr(t, "Get after a second restore", err, coord.ErrRestored)
		c := s.Connect()
		if kv := get(t, c); string(kv.Value) != "old" || kv.Lease != lease.ID {
			t.Errorf("the snapshot has changed: %+v", kv)
		}
		put(t, c, "k", "other", lease.ID)
		if kv := get(t, c); kv.Version != 2 {
			t.Errorf("the snapshot has changed: a second put makes %+v", kv)
		}
		sleep(10 * time.Second)
		if exists(t, c) {
			t.Error("the lease of the snapshot lives for ever")
		}
	})
}

func get(t *testing.T, c *mem.Client) coord.KV {
	t.Helper()
	kv, _, err := c.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// checkRestored checks that every call is refused.
func checkRestored(t *testing.T, c *mem.Client, lease coord.LeaseID) {
	t.Helper()
	ctx, rev := t.Context(), int64(1)
	_, _, err := c.Get(ctx, "k")
	wantErr(t, "Get", err, coord.ErrRestored)
	_, err = c.Range(ctx, "", coord.RangeOptions{})
	wantErr(t, "Range", err, coord.ErrRestored)
	_, err = c.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
	wantErr(t, "Txn", err, coord.ErrRestored)
	_, err = c.Grant(ctx, time.Second)
	wantErr(t, "Grant", err, coord.ErrRestored)
	_, err = c.KeepAliveOnce(ctx, lease)
	wantErr(t, "KeepAliveOnce", err, coord.ErrRestored)
	wantErr(t, "Revoke", c.Revoke(ctx, lease), coord.ErrRestored)
	wantErr(t, "Compact", c.Compact(ctx, rev), coord.ErrRestored)
	wantErr(t, "a watch", (<-c.Watch(ctx, "", rev)).Err, coord.ErrRestored)
}

// What the client was never told does not count: its link lost the reply.
func TestRestoreOfWhatNobodySaw(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, s, a := r.t, r.s, r.a
		put(t, a, "k", "old", coord.NoLease)
		before := s.Snapshot()
		a.SetFaults(mem.Faults{LoseReplies: true})
		_, err := a.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("k", []byte("new"))}})
		wantErr(t, "Txn", err, coord.ErrUnavailable)
		a.SetFaults(mem.Faults{})
		s.Restore(before)
		if got := string(get(t, a).Value); got != "old" {
			t.Errorf("k = %q, want old", got)
		}
	})
}
