package mem_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/util/clock"
)

// rig is what a test works with: a store and two links to it.
type rig struct {
	t    *testing.T
	s    *mem.Store
	a, b *mem.Client
}

// inBubble runs f on virtual time.
func inBubble(t *testing.T, opts mem.Options, f func(rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(clock.Virtual(), opts)
		t.Cleanup(s.Close)
		f(rig{t: t, s: s, a: s.Connect(), b: s.Connect()})
	})
}

// sleep lets virtual time pass.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

func put(t *testing.T, c *mem.Client, key, value string, lease coord.LeaseID) int64 {
	t.Helper()
	res, err := c.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.PutLeased(key, []byte(value), lease)}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Rev
}

// exists says whether the key k is there.
func exists(t *testing.T, c *mem.Client) bool {
	t.Helper()
	kv, _, err := c.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	return kv.Exists()
}

func grant(t *testing.T, c *mem.Client, ttl time.Duration) coord.Lease {
	t.Helper()
	lease, err := c.Grant(t.Context(), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func TestUnavailableCutsOneLinkAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, s, a, b := r.t, r.s, r.a, r.b
		watchA, watchB := a.Watch(t.Context(), "", 2), b.Watch(t.Context(), "", 2)
		a.SetFaults(mem.Faults{Unavailable: true})
		ctx := t.Context()
		_, _, err := a.Get(ctx, "k")
		wantErr(t, "Get", err, coord.ErrUnavailable)
		_, err = a.Range(ctx, "", coord.RangeOptions{})
		wantErr(t, "Range", err, coord.ErrUnavailable)
		_, err = a.Txn(ctx, coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
		wantErr(t, "Txn", err, coord.ErrUnavailable)
		_, err = a.Grant(ctx, time.Second)
		wantErr(t, "Grant", err, coord.ErrUnavailable)
		_, err = a.KeepAliveOnce(ctx, 1)
		wantErr(t, "KeepAliveOnce", err, coord.ErrUnavailable)
		wantErr(t, "Revoke", a.Revoke(ctx, 1), coord.ErrUnavailable)
		wantErr(t, "Compact", a.Compact(ctx, 1), coord.ErrUnavailable)
		wantErr(t, "the watch", (<-watchA).Err, coord.ErrUnavailable)
		if _, ok := <-watchA; ok {
			t.Error("the watch goes on after its error")
		}
		wantErr(t, "a new watch", (<-a.Watch(ctx, "", 2)).Err, coord.ErrUnavailable)
		if s.Rev() != 1 {
			t.Errorf("a refused call made revision %d", s.Rev())
		}

		put(t, b, "k", "", coord.NoLease)
		if batch := <-watchB; len(batch.Events) != 1 {
			t.Errorf("the other link's watch: %+v", batch)
		}
		a.SetFaults(mem.Faults{})
		if !exists(t, a) {
			t.Error("the link is not back")
		}
	})
}

func TestHangHoldsUpUntilItIsLifted(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a, b := r.t, r.a, r.b
		watch := a.Watch(t.Context(), "", 2)
		a.SetFaults(mem.Faults{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := a.Get(ctx, "k")
		wantErr(t, "Get", err, context.DeadlineExceeded)

		done := make(chan error, 1)
		go func() {
			_, err := a.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
			done <- err
		}()
		put(t, b, "other", "", coord.NoLease)
		sleep(time.Hour)
		select {
		case err := <-done:
			t.Errorf("a hanging put returned %v", err)
		case batch := <-watch:
			t.Errorf("a hanging watch said %+v", batch)
		default:
		}
		if exists(t, b) {
			t.Error("a hanging put has happened")
		}

		a.SetFaults(mem.Faults{})
		if err := <-done; err != nil {
			t.Errorf("the put failed when the link was back: %v", err)
		}
		if batch := <-watch; batch.Events[0].KV.Key != "other" {
			t.Errorf("the watch lost what happened meanwhile: %+v", batch)
		}
	})
}

func TestLostRepliesHaveTheirEffect(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a, b := r.t, r.a, r.b
		a.SetFaults(mem.Faults{LoseReplies: true})
		_, err := a.Txn(t.Context(), coord.Txn{Then: []coord.Op{coord.Put("k", nil)}})
		wantErr(t, "Txn", err, coord.ErrUnavailable)
		if !exists(t, b) {
			t.Error("nothing has happened: only the reply should be lost")
		}
	})
}

// A keepalive counts from when it reaches the store, not from when the node hears of it.
func TestDelays(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a, b := r.t, r.a, r.b
		for _, tc := range []struct {
			faults mem.Faults
			left   time.Duration // of the lease when the reply comes
		}{
			{mem.Faults{RequestDelay: 4 * time.Second}, 10 * time.Second},
			{mem.Faults{ReplyDelay: 4 * time.Second}, 6 * time.Second},
		} {
			lease := grant(t, a, 10*time.Second)
			put(t, a, "k", "", lease.ID)
			start := time.Now()
			a.SetFaults(tc.faults)
			if _, err := a.KeepAliveOnce(t.Context(), lease.ID); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took != 4*time.Second {
				t.Errorf("%+v: the call took %v", tc.faults, took)
			}
			a.SetFaults(mem.Faults{})
			sleep(tc.left - time.Nanosecond)
			if !exists(t, b) {
				t.Errorf("%+v: the lease expired early", tc.faults)
			}
			sleep(time.Nanosecond)
			if exists(t, b) {
				t.Errorf("%+v: the lease expired late", tc.faults)
			}
		}
		a.SetFaults(mem.Faults{RequestDelay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := a.Get(ctx, "k")
		wantErr(t, "Get", err, context.DeadlineExceeded)
	})
}

func TestStaleKeepAliveRenewsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a, b := r.t, r.a, r.b
		lease := grant(t, a, 10*time.Second)
		put(t, a, "k", "", lease.ID)
		a.SetFaults(mem.Faults{StaleKeepAlive: true})
		sleep(9 * time.Second)
		if ttl, err := a.KeepAliveOnce(t.Context(), lease.ID); ttl != 10*time.Second || err != nil {
			t.Errorf("KeepAliveOnce = %v, %v", ttl, err)
		}
		sleep(time.Second)
		if exists(t, b) {
			t.Error("a stale keepalive renewed the lease")
		}
		if ttl, err := a.KeepAliveOnce(t.Context(), lease.ID); ttl <= 0 || err != nil {
			t.Errorf("KeepAliveOnce of a dead lease = %v, %v; want a lie", ttl, err)
		}
	})
}

func TestDroppedWatchResumesWithoutAGap(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a, b := r.t, r.a, r.b
		next := int64(2)
		var got []string
		for round := range 5 {
			watch := a.Watch(t.Context(), "", next)
			put(t, b, fmt.Sprint("k", round), "", coord.NoLease)
			if round%2 == 0 {
				for len(got) <= round { // what was missed may come apart from what is new
					batch := <-watch
					if batch.Err != nil {
						t.Fatal(batch.Err)
					}
					for _, e := range batch.Events {
						got = append(got, e.KV.Key)
					}
					next = batch.Rev + 1
				}
			} else {
				synctest.Wait() // the event is on its way, and lost
			}
			a.DropWatches()
			wantErr(t, "the watch", (<-watch).Err, coord.ErrUnavailable)
		}
		if fmt.Sprint(got) != "[k0 k1 k2 k3 k4]" {
			t.Errorf("resumed watches told %v", got)
		}
	})
}

func TestOutageFreezesLeases(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, s, a, b := r.t, r.s, r.a, r.b
		lease := grant(t, a, 10*time.Second)
		rev := put(t, a, "k", "", lease.ID)
		watch := b.Watch(t.Context(), "", rev+1)
		sleep(9 * time.Second)

		s.SetOutage(true)
		wantErr(t, "the watch", (<-watch).Err, coord.ErrUnavailable)
		_, _, err := b.Get(t.Context(), "k")
		wantErr(t, "Get", err, coord.ErrUnavailable)
		wantErr(t, "a new watch", (<-b.Watch(t.Context(), "", 1)).Err, coord.ErrUnavailable)
		sleep(time.Hour)

		s.SetOutage(false)
		if !exists(t, b) {
			t.Error("a lease expired while there was no quorum")
		}
		sleep(10*time.Second - time.Nanosecond)
		if !exists(t, b) {
			t.Error("a lease did not get its TTL back")
		}
		sleep(time.Nanosecond)
		if exists(t, b) {
			t.Error("a lease lives for ever after an outage")
		}
	})
}
