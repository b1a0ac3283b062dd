package etcd_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// etcd comes back on its folder and port: nobody notices but by ErrUnavailable meanwhile.
func TestRestart(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	lease := grant(t, s, time.Hour)
	rev := put(t, s, "a", "1", lease.ID)
	f := follow(t, s, "", rev)
	if got := f.events(1)[0]; got.KV.Key != "a" {
		t.Fatalf("event %+v", got)
	}

	members[0].stop()
	_, _, err := s.Get(limit(t), "a")
	wantErr(t, "Get", err, coord.ErrUnavailable)
	_, err = s.Txn(limit(t), coord.Txn{Then: []coord.Op{coord.Put("a", nil)}})
	wantErr(t, "Txn", err, coord.ErrUnavailable)
	_, err = s.KeepAliveOnce(limit(t), lease.ID)
	wantErr(t, "KeepAliveOnce", err, coord.ErrUnavailable)
	_, err = s.Grant(limit(t), time.Second)
	wantErr(t, "Grant", err, coord.ErrUnavailable)
	wantErr(t, "Revoke", s.Revoke(limit(t), lease.ID), coord.ErrUnavailable)
	wantErr(t, "Compact", s.Compact(limit(t), rev), coord.ErrUnavailable)
	b := <-f.watch
	wantErr(t, "the watch", b.Err, coord.ErrUnavailable)
	wantText(t, b.Err, members[0].endpoint)
	if _, ok := <-f.watch; ok {
		t.Error("the watch goes on after its error")
	}
	wantErr(t, "a new watch", (<-s.Watch(t.Context(), "", rev)).Err, coord.ErrUnavailable)

	start(t, members...)
	other := open(t, etcd.Config{Endpoints: endpoints(members)})
	missed := put(t, other, "b", "2", coord.NoLease) // before the watch resumes
	if missed != rev+1 {
		t.Errorf("what was refused has made %d revisions", missed-rev-1)
	}
	if got := f.events(1)[0].KV; got.Key != "b" || got.ModRev != missed {
		t.Errorf("the resumed watch tells %+v, want b", got)
	}
	if kv := get(t, s, "a"); kv.ModRev != rev || kv.Lease != lease.ID {
		t.Errorf("a = %+v", kv)
	}
	if ttl, err := s.KeepAliveOnce(limit(t), lease.ID); err != nil || ttl != lease.TTL {
		t.Errorf("the lease after the restart: %v, %v", ttl, err)
	}
}

// writer puts one key after the other, each until it is certain, and counts in the key's value.
func writer(t *testing.T, s coord.Store, n int) {
	t.Helper()
	for i := range n {
		put(t, s, fmt.Sprintf("n/%04d", i), "", coord.NoLease)
	}
}

// quick is for clusters that a test lets elect leaders. (Under load they may do so of their own accord.)
func quick(cfg *embed.Config) { cfg.TickMs, cfg.ElectionMs = 50, 500 }

// The leader is stopped while a writer is at work: it comes to its end, and a watch has told all of it in order.
func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3, quick)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	lease := grant(t, s, time.Minute)
	f := follow(t, s, "n/", put(t, s, "leased", "", lease.ID)+1)
	const n = 300
	var wg sync.WaitGroup
	wg.Go(func() { writer(t, s, n) })
	told := f.events(1)

	for _, m := range members {
		if m.etcd.Server.Leader() == m.etcd.Server.MemberID() {
			m.stop()
			break
		}
	}
	wg.Wait()
	for last := get(t, s, fmt.Sprintf("n/%04d", n-1)); f.next <= last.ModRev; {
		told = append(told, f.batch().Events...)
	}
	keys, before := map[string]bool{}, int64(0)
	for _, e := range told {
		if e.KV.ModRev <= before {
			t.Errorf("revision %d is told after %d", e.KV.ModRev, before)
		}
		keys[e.KV.Key], before = true, e.KV.ModRev
	}
	if len(keys) != n {
		t.Errorf("the watch told %d keys of %d", len(keys), n)
	}
	eventually(t, "KeepAliveOnce", func(ctx context.Context) error {
		_, err := s.KeepAliveOnce(ctx, lease.ID)
		return err
	})
	if kv := get(t, s, "leased"); !kv.Exists() {
		t.Error("a lease was lost with the leader")
	}
}

// Without a quorum everything is refused, soon; when it is back all goes on with the same leases.
func TestQuorumLoss(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3, quick)
	start(t, members...)
	s := open(t, etcd.Config{Endpoints: endpoints(members)})
	lease := grant(t, s, time.Minute)
	rev := put(t, s, "a", "1", lease.ID)
	f := follow(t, s, "", rev)
	f.events(1)

	// The member of the watch survives.
	i := slices.IndexFunc(members, func(m *member) bool { return m.endpoint == s.CurrentEndpoint() })
	members[i], members[2] = members[2], members[i]
	members[0].stop()
	get(t, s, "a") // with one of three nothing is wrong
	put(t, s, "b", "", coord.NoLease)
	members[1].stop()

	// A leader that has lost its followers goes on renewing leases until it knows. That is safe: whoever comes after it
	// gives every lease its full time.
	eventually(t, "the leader resigns", func(context.Context) error {
		if members[2].etcd.Server.Leader() != 0 {
			return coord.ErrUnavailable
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for what, call := range map[string]func() error{
		"Get":           func() error { _, _, err := s.Get(ctx, "a"); return err },
		"Txn":           func() error { _, err := s.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Put("c", nil)}}); return err },
		"KeepAliveOnce": func() error { _, err := s.KeepAliveOnce(ctx, lease.ID); return err },
		"Grant":         func() error { _, err := s.Grant(ctx, time.Minute); return err },
		"a watch":       func() error { return (<-s.Watch(ctx, "", rev)).Err },
	} {
		wantErr(t, what, call(), coord.ErrUnavailable)
	}
	if ctx.Err() != nil {
		t.Error("the refusals have taken too long")
	}
	// A member without a leader ends the watch after three election timeouts.
	f.ends(coord.ErrUnavailable)

	start(t, members[0], members[1])
	if kv := get(t, s, "a"); kv.Lease != lease.ID || kv.ModRev != rev {
		t.Errorf("a = %+v", kv)
	}
	eventually(t, "KeepAliveOnce", func(ctx context.Context) error {
		_, err := s.KeepAliveOnce(ctx, lease.ID)
		return err
	})
	last := put(t, s, "last", "", coord.NoLease)
	for f.next <= last {
		f.batch()
	}
}

func TestOpenWithOneMemberDown(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 3, quick)
	start(t, members[:2]...)
	log := &logged{}
	s := open(t, etcd.Config{Endpoints: endpoints(members), Logger: log.logger(), DialTimeout: 20 * time.Second})
	put(t, s, "a", "", coord.NoLease)
	if said := strings.Join(log.all(), "\n"); !strings.Contains(said, "etcd endpoint") {
		t.Errorf("the dead endpoint was not mentioned:\n%s", said)
	}

	// The third is used when it is there and needed: without one of the first two.
	members[0].stop()
	start(t, members[2])
	put(t, s, "b", "", coord.NoLease)
	members[1].stop()
	start(t, members[0])
	put(t, s, "c", "", coord.NoLease)
}
