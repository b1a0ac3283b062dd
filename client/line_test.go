package client

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	"pgregory.net/rapid"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/util/clock"
)

// caller is an rpc in the model of a line.
type caller struct {
	*place

	cancel  context.CancelFunc
	arrived bool
	counts  bool            // those behind must wait for it
	turn    <-chan struct{} // nil: it does not wait
}

// mayGo is what the line has told the caller.
func (c *caller) mayGo() bool {
	select {
	case <-c.turn:
		return true
	default:
		return false
	}
}

type step struct {
	kind string
	who  int
}

// Whatever comes, goes, dies and is overtaken: whose request is there goes when
// nobody counts ahead of it, and not before.
func TestLineIsALine(t *testing.T) {
	t.Parallel()
	kinds := rapid.SampledFrom([]string{"join", "join", "arrive", "arrive", "go", "die", "overtake"})
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{kinds.Draw(t, "step"), rapid.IntRange(0, 15).Draw(t, "who")}
		}), 1, 40).Draw(rt, "steps")
		var wrong string
		synctest.Test(t, func(*testing.T) { wrong = play(steps) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

func play(steps []step) (wrong string) {
	l := &line{}
	var all []*caller
	for _, s := range steps {
		if s.kind == "join" || len(all) == 0 {
			ctx, cancel := context.WithCancel(context.Background())
			all = append(all, &caller{place: l.join(ctx), cancel: cancel, counts: true})
		} else {
			move(s.kind, all, s.who%len(all))
		}
		synctest.Wait() // for those who notice that an rpc has ended
		if wrong == "" {
			wrong = checkLine(all)
		}
	}
	for _, c := range all {
		c.cancel()
		c.leave()
	}
	if wrong == "" && (l.first != nil || l.last != nil || l.length != 0) {
		wrong = fmt.Sprintf("%d are left", l.length)
	}
	return wrong
}

func move(kind string, all []*caller, i int) {
	c := all[i]
	switch {
	case kind == "arrive" && !c.arrived && c.Err() == nil:
		c.arrived = true
		if !c.arrive() {
			c.turn, _ = c.queue()
		}
	case kind == "go" && c.arrived && c.counts && (c.turn == nil || c.mayGo()):
		c.leave()
		c.counts = false
	case kind == "die":
		c.cancel()
		c.counts = false
		if c.arrived { // its handler notices
			c.leave()
		}
	case kind == "overtake" && c.turn != nil && c.counts && !c.mayGo():
		c.overtake()
		for _, ahead := range all[:i] {
			ahead.counts = ahead.counts && ahead.arrived
		}
	}
}

func checkLine(all []*caller) (wrong string) {
	free := true
	for i, c := range all {
		if c.counts && c.arrived {
			if got := c.turn == nil || c.mayGo(); got != free {
				return fmt.Sprintf("rpc %d may go: %v, want %v", i, got, free)
			}
		}
		free = free && !c.counts
	}
	return ""
}

// Rpcs that end before their requests come are not kept, although nobody waits for
// them, and although one that lives is always among them.
func TestDeadRPCsDoNotPileUp(t *testing.T) {
	t.Parallel()
	l := &line{}
	stalled := l.join(t.Context())
	kill := func() {}
	for range 10_000 {
		ctx, cancel := context.WithCancel(t.Context())
		l.join(ctx)
		kill() // the one before
		kill = cancel
		if l.length > 2*minSweep {
			t.Fatalf("%d in line", l.length)
		}
	}
	kill()
	p := l.join(t.Context())
	if turn, missing := p.queue(); p.arrive() || turn == nil || !missing {
		t.Error("a living one was dropped")
	}
	if l.length != 2 {
		t.Errorf("%d in line, want the living", l.length)
	}
	stalled.leave()
	p.leave()
}

// A timer is made for who really waits, and patience is for requests that are not
// there: those that are have their turn.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		clk := &countingClock{Clock: clock.Virtual()}
		begin := time.Now()
		missing, slow, p := l.join(t.Context()), l.join(t.Context()), l.join(t.Context())
		slow.arrive()
		done := make(chan time.Duration)
		go func() {
			p.wait(t.Context(), clk, time.Second)
			done <- time.Since(begin)
		}()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		slow.leave()
		if got := <-done; got != time.Minute {
			t.Errorf("went after %v", got)
		}
		p.leave()
		for range 3 {
			q := l.join(t.Context())
			q.wait(t.Context(), clk, time.Second)
			q.leave()
		}
		if clk.timers != 1 {
			t.Errorf("%d timers", clk.timers)
		}
		missing.wait(t.Context(), clk, time.Second) // better late than never
		missing.leave()
	})
}

// A call that ends while it waits waits no longer, for whatever it waits.
func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, patience := range []time.Duration{time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			l := &line{}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			missing, slow, p := l.join(t.Context()), l.join(t.Context()), l.join(ctx)
			slow.arrive()
			begin := time.Now()
			p.wait(ctx, clock.Virtual(), patience)
			if got := time.Since(begin); got != time.Minute {
				t.Errorf("with a patience of %v it waited %v", patience, got)
			}
			p.leave()
			slow.leave()
			missing.leave()
		})
	}
}

// Who leaves is watched no longer: rpcs that end well start no goroutine.
func TestLeaveEndsTheWatch(t *testing.T) {
	t.Parallel()
	l := &line{}
	q, p := l.join(t.Context()), l.join(t.Context())
	if q.unwatch != nil {
		t.Error("watched while nobody waits")
	}
	p.arrive()
	p.queue()
	ends, unwatch := 0, q.unwatch
	q.unwatch = func() bool {
		ends++
		return unwatch()
	}
	q.leave()
	q.leave()
	if ends != 1 {
		t.Errorf("the watch was ended %d times", ends)
	}
	p.leave()
}

type countingClock struct {
	clock.Clock

	timers int
}

func (c *countingClock) NewTimer(d time.Duration) *time.Timer {
	c.timers++
	return c.Clock.NewTimer(d)
}

// Only Calls line up, and only on connections that are watched.
func TestWhoLinesUp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	watched := grpcpeer.NewContext(ctx, &grpcpeer.Peer{Addr: connAddr{conn: &conn{}}})
	for name, test := range map[string]struct {
		ctx    context.Context
		method string
		want   bool
	}{
		"a call":         {watched, client_pb.ClientService_Call_FullMethodName, true},
		"register":       {watched, client_pb.ClientService_Register_FullMethodName, false},
		"no method":      {watched, "", false},
		"not our socket": {ctx, client_pb.ClientService_Call_FullMethodName, false},
	} {
		got, err := lineUp(test.ctx, &tap.Info{FullMethodName: test.method})
		if err != nil || (placeOf(got) != nil) != test.want {
			t.Errorf("%s: %v, %v", name, placeOf(got), err)
		}
	}
	var nobody *place
	nobody.wait(ctx, nil, 0)
	nobody.leave()
}
