package etcd_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// An operator puts yesterday's data behind today's address.
func TestRestoredToThePast(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	m := members[0]
	start(t, m)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	lease := grant(t, s, time.Hour)
	put(t, s, "k", "old", lease.ID)
	m.stop()
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}

	start(t, m)
	seen := put(t, s, "k", "new", lease.ID)
	f := follow(t, s, "", seen)
	f.events(1)
	m.stop()
	if err := os.RemoveAll(m.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(m.dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}

	start(t, m)
	// The lease is in the backup, so it can be kept alive: that alone tells nothing.
	eventually(t, "KeepAliveOnce", func(ctx context.Context) error {
		_, err := s.KeepAliveOnce(ctx, lease.ID)
		return err
	})
	// The watch would wait for a future that has been already.
	f.ends(coord.ErrUnavailable)
	wantErr(t, "the resumed watch", (<-s.Watch(t.Context(), "", seen+1)).Err, coord.ErrRestored)
	other := open(t, etcd.Config{Endpoints: endpoints(members)})
	for range 5 {
		put(t, other, "k", "again", coord.NoLease)
	}
	checkRestored(t, s)
	if kv := get(t, other, "k"); string(kv.Value) != "again" {
		t.Errorf("k = %+v: a refused write has happened", kv)
	}
}

// checkRestored checks that every call is refused, for ever.
func checkRestored(t *testing.T, s *etcd.Store) {
	t.Helper()
	for method, call := range requests(s) {
		wantErr(t, method, call(t.Context()), coord.ErrRestored)
	}
	wantErr(t, "a watch", (<-s.Watch(t.Context(), "", 1)).Err, coord.ErrRestored)
}

// Which answers give a restored store away.
func TestWhatGivesARestoreAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method  string
		cluster uint64
		rev     int64 // after 10 was seen
		want    error
	}{
		"the same revision":      {"Range", 1, 10, nil},
		"an older read":          {"Range", 1, 9, coord.ErrRestored},
		"an older write":         {"Txn", 1, 9, coord.ErrRestored},
		"a member lagging a bit": {"LeaseKeepAlive", 1, 9, nil},
		"another cluster, 1":     {"Range", 2, 11, coord.ErrRestored},
		"another cluster, 2":     {"Txn", 2, 11, coord.ErrRestored},
		"another cluster, 3":     {"LeaseKeepAlive", 2, 11, coord.ErrRestored},
		"another cluster, 4":     {"LeaseGrant", 2, 11, coord.ErrRestored},
		"another cluster, 5":     {"LeaseRevoke", 2, 11, coord.ErrRestored},
		"another cluster, 6":     {"Compact", 2, 11, coord.ErrRestored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, 1)
			s := f.open(t)
			f.set(func(f *fakes) {
				f.answer = func(_ context.Context, n int) (int64, error) {
					if n == 0 {
						return 10, nil
					}
					return tc.rev, nil
				}
			})
			if err := requests(s)["Range"](t.Context()); err != nil {
				t.Fatal(err)
			}
			f.set(func(f *fakes) { f.cluster = tc.cluster })
			wantErr(t, tc.method, requests(s)[tc.method](t.Context()), tc.want)
			if tc.want != nil {
				checkRestored(t, s)
			}
		})
	}
}

// Two reads that overtake each other are no restore.
func TestOvertakenRead(t *testing.T) {
	t.Parallel()
	f := newFakes(t, 1)
	s := f.open(t)
	release := make(chan struct{})
	f.set(func(f *fakes) {
		f.answer = func(_ context.Context, n int) (int64, error) {
			if n == 0 {
				<-release
				return 5, nil
			}
			return 9, nil
		}
	})
	slow := make(chan error, 1)
	go func() { slow <- requests(s)["Range"](t.Context()) }()
	f.sent(t, 1)
	if err := requests(s)["Txn"](t.Context()); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the overtaken read: %v", err)
	}
	f.set(func(f *fakes) { f.answer = func(context.Context, int) (int64, error) { return 8, nil } })
	wantErr(t, "a read of less than the later one", requests(s)["Range"](t.Context()), coord.ErrRestored)
}
