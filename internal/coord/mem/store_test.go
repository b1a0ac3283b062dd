package mem_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/coord/mem"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestGrantedTTL(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a := r.t, r.a
		for ttl, want := range map[time.Duration]time.Duration{
			-time.Second:            2 * time.Second,
			time.Second:             2 * time.Second,
			2*time.Second + 1:       3 * time.Second,
			6 * time.Second:         6 * time.Second,
			6500 * time.Millisecond: 7 * time.Second,
		} {
			if got := grant(t, a, ttl).TTL; got != want {
				t.Errorf("Grant(%v) granted %v, want %v", ttl, got, want)
			}
		}
	})
}

// Leases expire at their moment, watched or not, each at a revision of its own and in the order of their ends.
func TestLeasesExpireOnTime(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, s, a, b := r.t, r.s, r.a, r.b
		start := time.Now()
		for i, ttl := range []time.Duration{5 * time.Second, 3 * time.Second, 9 * time.Second, 3 * time.Second} {
			put(t, a, fmt.Sprint("k", i), "", grant(t, a, ttl).ID)
		}
		watch := b.Watch(t.Context(), "", s.Rev()+1)
		rev := s.Rev()
		for _, want := range []struct {
			keys []string
			at   time.Duration
		}{{[]string{"k1", "k3"}, 3 * time.Second}, {[]string{"k0"}, 5 * time.Second}, {[]string{"k2"}, 9 * time.Second}} {
			var events []coord.Event
			for len(events) < len(want.keys) {
				events = append(events, (<-watch).Events...)
			}
			if at := time.Since(start); at != want.at {
				t.Errorf("%v expired after %v, want %v", want.keys, at, want.at)
			}
			for i, e := range events {
				rev++
				if e.KV.Key != want.keys[i] || e.KV.ModRev != rev || !e.Deleted {
					t.Errorf("event %+v, want %s at revision %d", e, want.keys[i], rev)
				}
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{Retain: 100}, func(r rig) {
		t, s, a := r.t, r.s, r.a
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow := a.Watch(ctx, "", 2)
		idle := a.Watch(ctx, "other", 2)
		for i := range 1000 {
			put(t, a, "k", strconv.Itoa(i), coord.NoLease)
			synctest.Wait()
		}
		_, err := a.Range(t.Context(), "", coord.RangeOptions{Rev: s.Rev() - 201})
		wantErr(t, "the distant past", err, coord.ErrCompacted)
		if _, err := a.Range(t.Context(), "", coord.RangeOptions{Rev: s.Rev() - 100}); err != nil {
			t.Errorf("the recent past: %v", err)
		}

		// A watch that was not received lost its place, one that had nothing to tell did not.
		batch := <-slow
		if batch.Err == nil { // what it was about to say
			batch = <-slow
		}
		wantErr(t, "a watch that is not received", batch.Err, coord.ErrCompacted)
		rev := put(t, a, "other", "", coord.NoLease)
		if batch := <-idle; batch.Rev != rev {
			t.Errorf("a watch that had nothing to tell: %+v", batch)
		}
	})
}

// A long history is told in pieces that keep revisions whole.
func TestWatchOfALongHistory(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, s, a := r.t, r.s, r.a
		ops := make([]coord.Op, coord.MaxOps)
		for i := range ops {
			ops[i] = coord.Put(fmt.Sprintf("%03d", i), nil)
		}
		const revs = 50
		for range revs {
			if _, err := a.Txn(t.Context(), coord.Txn{Then: ops}); err != nil {
				t.Fatal(err)
			}
		}
		batches, events := 0, 0
		upTo := int64(1)
		for batch := range a.Watch(t.Context(), "", 2) {
			if n := int(batch.Rev-upTo) * coord.MaxOps; len(batch.Events) != n {
				t.Fatalf("batch from revision %d to %d has %d events, want %d", upTo, batch.Rev, len(batch.Events), n)
			}
			batches, events, upTo = batches+1, events+len(batch.Events), batch.Rev
			if upTo == s.Rev() {
				break
			}
		}
		if events != revs*coord.MaxOps || batches < 2 {
			t.Errorf("%d events in %d batches, want %d in several", events, batches, revs*coord.MaxOps)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(clock.Virtual(), mem.Options{})
		a, b := s.Connect(), s.Connect()
		put(t, a, "k", "", coord.NoLease)
		unread, idle := a.Watch(t.Context(), "", 1), b.Watch(t.Context(), "none", 1)
		b.SetFaults(mem.Faults{Hang: true})
		hung := make(chan error, 1)
		go func() {
			_, _, err := b.Get(t.Context(), "k")
			hung <- err
		}()
		synctest.Wait()

		a.Close()
		a.Close()
		if batch, ok := <-unread; ok {
			t.Errorf("a closed client's watch says %+v", batch)
		}
		_, _, err := a.Get(t.Context(), "k")
		wantErr(t, "Get on a closed client", err, coord.ErrUnavailable)
		if _, ok := <-a.Watch(t.Context(), "", 1); ok {
			t.Error("a closed client watches")
		}

		s.Close()
		s.Close()
		wantErr(t, "a call that hung", <-hung, coord.ErrUnavailable)
		if batch, ok := <-idle; ok {
			t.Errorf("a closed store's watch says %+v", batch)
		}
		_, _, err = s.Connect().Get(t.Context(), "k")
		wantErr(t, "Get on a closed store", err, coord.ErrUnavailable)
	})
}

func TestDelayedCallEndsWithTheClient(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(r rig) {
		t, a := r.t, r.a
		a.SetFaults(mem.Faults{RequestDelay: time.Hour})
		done := make(chan error, 1)
		go func() {
			_, _, err := a.Get(t.Context(), "k")
			done <- err
		}()
		synctest.Wait()
		a.Close()
		wantErr(t, "Get", <-done, coord.ErrUnavailable)
	})
}

func BenchmarkFailoverTxn(b *testing.B) {
	s := mem.New(clock.System(), mem.Options{})
	b.Cleanup(s.Close)
	c := s.Connect()
	ops := make([]coord.Op, 100)
	for i := range ops {
		ops[i] = coord.Put(fmt.Sprintf("shards/%04d", i), make([]byte, 150))
	}
	for b.Loop() {
		if _, err := c.Txn(b.Context(), coord.Txn{If: []coord.Compare{coord.Absent("x")}, Then: ops}); err != nil {
			b.Fatal(err)
		}
	}
}
