package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

func TestWhichMembershipsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err        error
		first, was bool
	}{
		{nil, false, false},
		{cluster.ErrLeaseLost, true, true},
		{fmt.Errorf("join cluster: %w", coord.ErrUnavailable), false, true},
		{context.DeadlineExceeded, false, true},
		{coord.ErrRestored, false, false},
		{shard.ErrIncompatible, false, false},
		{errors.New("panic"), false, false},
	} {
		if first, was := mayRejoin(c.err, false), mayRejoin(c.err, true); first != c.first || was != c.was {
			t.Errorf("%v: %v, and %v after it was ready", c.err, first, was)
		}
	}
}

func TestPausesBeforeRejoining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{clock: clock.Virtual()}
		for tries, most := range []time.Duration{0, rejoinPause, 2 * rejoinPause, 4 * rejoinPause, 100: maxRejoinPause} {
			if tries > 3 && tries < 100 {
				continue
			}
			began := time.Now()
			if !s.restBeforeRejoin(t.Context(), tries) {
				t.Error("no more tries")
			}
			if d := time.Since(began); d < most/2 || d > most {
				t.Errorf("%d tries: %v, want %v to %v", tries, d, most/2, most)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s.restBeforeRejoin(ctx, 0) || s.restBeforeRejoin(ctx, 9) {
			t.Error("tries after the end")
		}
	})
}

// The parts of a stop share the drain timeout: clients leave some to the shards, and they to
// what has to follow.
func TestPartsShareTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(nil)
		s.clock = clock.Virtual()
		s.patience, s.hurry = context.WithCancelCause(t.Context())
		defer s.hurry(nil)
		began := time.Now()
		left := func(ctx context.Context) time.Duration {
			end, _ := ctx.Deadline()
			return end.Sub(began)
		}
		until, release := s.untilDeadline(t.Context())
		defer release()
		clients, cancel := s.beforeHandOver(until)
		defer cancel()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		later, releaseLater := s.untilDeadline(t.Context())
		defer releaseLater()
		if left(clients) != 22*time.Second || left(until) != 28*time.Second || left(later) != 28*time.Second {
			t.Errorf("%v for clients, %v for shards, until %v later", left(clients), left(until), left(later))
		}
	})
}

// A listener that fails by itself ends like one that is stopped: it is drained first.
func TestServingThatEndsByItself(t *testing.T) {
	t.Parallel()
	s := New(nil)
	s.patience, s.hurry = context.WithCancelCause(t.Context())
	defer s.hurry(nil)
	g := grpc.NewServer()
	drained := errors.New("drained")
	err := s.serve(t.Context(), "test", "127.0.0.1:0", g, g.Stop, func(context.Context) error { return drained })
	if !errors.Is(err, drained) {
		t.Errorf("%v, want it drained", err)
	}
}

// Who leaves a coordinator that others use has no part in it any more.
func TestLeavingACoordinator(t *testing.T) {
	t.Parallel()
	var c Coordinators
	store, leave := c.join("x", clock.System())
	other, leaveOther := c.join("x", clock.System())
	defer leaveOther()
	leave()
	if _, _, err := store.Get(t.Context(), "key"); !errors.Is(err, coord.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	if _, _, err := other.Get(t.Context(), "key"); err != nil {
		t.Errorf("the other's get: %v", err)
	}
}
