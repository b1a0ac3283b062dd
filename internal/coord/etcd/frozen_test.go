package etcd_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/etcd"
)

// proxied is a store whose three endpoints are proxies before one member.
func proxied(t *testing.T) (*etcd.Store, []*proxy, *logged) {
	t.Helper()
	members := newMembers(t, 1, nil)
	start(t, members...)
	proxies, eps := make([]*proxy, 3), make([]string, 3)
	for i := range proxies {
		proxies[i] = newProxy(t, members[0].endpoint)
		eps[i] = proxies[i].endpoint
	}
	log := &logged{}
	return open(t, etcd.Config{Endpoints: eps, Logger: log.logger()}), proxies, log
}

// freezeCurrent freezes the endpoint in use: the one of whose silence a read takes notice.
func freezeCurrent(t *testing.T, s *etcd.Store, proxies []*proxy) *proxy {
	t.Helper()
	current := s.CurrentEndpoint()
	for _, p := range proxies {
		if p.endpoint == current {
			p.freeze(true)
			return p
		}
	}
	t.Fatal("no proxy is in use")
	return nil
}

// A member stops answering while its connections stand. Reads and keepalives go on over another; and what hangs on its
// connection fails long before gRPC would find out.
func TestFrozenEndpoint(t *testing.T) {
	t.Parallel()
	s, proxies, log := proxied(t)
	lease := grant(t, s, time.Minute)
	rev := put(t, s, "a", "1", lease.ID)
	f := follow(t, s, "", rev)
	f.events(1)

	frozen := freezeCurrent(t, s, proxies)
	hanging := make(chan error, 1)
	go func() {
		_, err := s.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("hanging", nil)}})
		hanging <- err
	}()
	// One call, and no error: the silent one costs Patience.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := s.KeepAliveOnce(ctx, lease.ID); err != nil {
		t.Errorf("KeepAliveOnce: %v", err)
	}
	if s.CurrentEndpoint() == frozen.endpoint {
		t.Error("the frozen endpoint is still in use")
	}
	select {
	case err := <-hanging:
		if err != nil { // it may have come late enough to use another endpoint
			wantErr(t, "the transaction on the frozen connection", err, coord.ErrUnavailable)
		}
	case <-ctx.Done():
		t.Fatal("a transaction hangs on the frozen connection")
	}
	later := put(t, s, "b", "", coord.NoLease)
	for f.next <= later {
		f.batch()
	}
	if f.broken == 0 {
		t.Error("the watch went on over the frozen connection")
	}
	if said := strings.Join(log.all(), "\n"); !strings.Contains(said, "closing its connection") || !strings.Contains(said, frozen.endpoint) {
		t.Errorf("nothing was logged of the frozen endpoint:\n%s", said)
	}

	// It thaws, and is good for use again when the others freeze.
	frozen.freeze(false)
	for _, p := range proxies {
		if p != frozen {
			p.freeze(true)
		}
	}
	if kv := get(t, s, "a"); kv.ModRev != rev {
		t.Errorf("a = %+v", kv)
	}
}

// A write that was not answered in its time has the silent member asked as well, and its connection closed.
func TestAWriteThatIsTooLateFindsTheFrozenEndpoint(t *testing.T) {
	t.Parallel()
	s, proxies, log := proxied(t)
	frozen := freezeCurrent(t, s, proxies)
	ctx, cancel := context.WithTimeout(t.Context(), etcd.Patience/4)
	defer cancel()
	_, err := s.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
	wantErr(t, "Txn", err, context.DeadlineExceeded)
	eventually(t, "the end of the connection", func(context.Context) error {
		if said := strings.Join(log.all(), "\n"); !strings.Contains(said, "closing its connection") || !strings.Contains(said, frozen.endpoint) {
			return coord.ErrUnavailable
		}
		return nil
	})
	put(t, s, "k", "", coord.NoLease)
}

// Where nobody asks for anything, gRPC's pings find the silence out.
func TestSilenceEndsAnIdleWatch(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	p := newProxy(t, members[0].endpoint)
	s := open(t, etcd.Config{Endpoints: []string{p.endpoint}})
	f := follow(t, s, "k", put(t, s, "k", "", coord.NoLease))
	f.events(1)
	p.freeze(true)
	f.ends(coord.ErrUnavailable)
}

func TestOpenWithAFrozenEndpoint(t *testing.T) {
	t.Parallel()
	members := newMembers(t, 1, nil)
	start(t, members...)
	p := newProxy(t, members[0].endpoint)
	p.freeze(true)
	s := open(t, etcd.Config{Endpoints: []string{p.endpoint, members[0].endpoint}, DialTimeout: time.Hour})
	put(t, s, "a", "", coord.NoLease)
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	_, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{p.endpoint}, DialTimeout: 100 * time.Millisecond})
	wantErr(t, "Open of a frozen endpoint", err, coord.ErrUnavailable)
	wantText(t, err, p.endpoint)
}

// The answer to a write is lost with the connection: it is not sent again.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	s, proxies, _ := proxied(t)
	for _, p := range proxies {
		p.silence()
	}
	other := open(t, etcd.Config{Endpoints: []string{proxies[0].target}})
	rev := put(t, other, "k", "", coord.NoLease)
	written := make(chan error, 1)
	go func() {
		_, err := s.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
		written <- err
	}()
	follow(t, other, "k", rev+1).events(1) // it was carried out
	for _, p := range proxies {
		p.cut()
	}
	wantErr(t, "Txn", <-written, coord.ErrUnavailable)
	if kv := get(t, other, "k"); kv.Version != 2 {
		t.Errorf("the write was carried out %d times", kv.Version-1)
	}
}
