package routing_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// cut breaks the link from one peer to another, which is there again at once.
func (s *stage) cut(from, to *peer) {
	s.net.SetFaults(address(from.name), address(to.name), mem.Faults{Cut: true})
	s.net.SetFaults(address(from.name), address(to.name), mem.Faults{})
	synctest.Wait()
}

// mute loses what one peer says to another, on a link that holds.
func (s *stage) mute(from, to *peer, on bool) {
	f := mem.Faults{}
	if on {
		f.Drop = 1
	}
	s.net.SetFaults(address(from.name), address(to.name), f)
}

// A call whose answer is lost with the link is sent again, and answered with what the first sending came to.
func TestACallThatIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		request string
		want    string // the reply; empty: it fails
		code    object.Code
		runs    int
		between func(s *stage, p []*peer) // the answer or the link is lost
	}{
		{"it has ended", "add", "1", 0, 1, func(s *stage, p []*peer) { s.cut(p[0], p[1]) }},
		{"it has failed", "fail why", "", object.CodeUnavailable, 1, func(s *stage, p []*peer) { s.cut(p[0], p[1]) }},
		{"it runs", "deaf 2s", "1", 0, 1, func(s *stage, p []*peer) { s.cut(p[0], p[1]) }},
		{"it runs, and the link breaks again and again", "deaf 2s", "1", 0, 1, func(s *stage, p []*peer) {
			for range 5 {
				s.cut(p[0], p[1])
				pass(300 * time.Millisecond)
			}
		}},
		{"it gives up when its link breaks", "sleep 2s", "1", 0, 2, func(s *stage, p []*peer) { s.cut(p[0], p[1]) }},
		{"it has ended long ago", "deaf 1s", "1", 0, 1, func(s *stage, _ []*peer) {
			s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
			pass(20 * time.Second)
			s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		}},
		{"it is forgotten", "deaf 1s", "2", 0, 2, func(s *stage, _ []*peer) {
			s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
			pass(40 * time.Second)
			s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		}},
		{"its reply was large", "large", "", object.CodeUnavailable, 1, func(s *stage, p []*peer) { s.cut(p[0], p[1]) }},
		{"others come between", "deaf 1s", "1", 0, 1, func(s *stage, p []*peer) {
			s.cut(p[0], p[1])
			s.mute(p[1], p[0], false)
			for i := range 300 {
				p[0].must("visitor-eve@b", fmt.Sprint(i))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.on("large", func(context.Context, *cell, string) (string, error) { return strings.Repeat("x", 1<<20), nil })
				s.give(p[1], "cell-x", p[0])
				s.visit(p[1], "eve")
				s.mute(p[1], p[0], true)
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				call := p[0].start(ctx, "cell-x", tc.request)
				tc.between(s, p)
				s.mute(p[1], p[0], false)
				s.cut(p[0], p[1])
				r := <-call
				if tc.want == "" {
					s.want(r.err, tc.code, object.ExecutedYes, "")
				} else if r.err != nil || r.reply != tc.want {
					s.Errorf("%+v, want %s", r, tc.want)
				}
				if n := s.ran("cell-x"); n != tc.runs {
					s.Errorf("it ran %d times, want %d", n, tc.runs)
				}
			})
		})
	}
}

// A call that waited in the mailbox when its link broke has not run, and runs once.
func TestAWaitingCallIsSentAgain(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		before := p[1].start(s.Context(), "cell-x", "deaf 2s")
		call := p[0].start(s.Context(), "cell-x", "add")
		s.cut(p[0], p[1])
		if r := <-call; r.err != nil || r.reply != "2" || s.ran("cell-x") != 2 {
			s.Errorf("%+v, %d runs", r, s.ran("cell-x"))
		}
		<-before
	})
}

// Who waits for the first sending of a call waits no longer than its own time.
func TestTimeOfACallThatIsSentAgain(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
		defer cancel()
		call := p[0].start(ctx, "cell-x", "deaf 1m")
		s.cut(p[0], p[1])
		r := <-call
		s.want(r.err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "")
		if r.after != 3*time.Second {
			s.Errorf("it took %v", r.after)
		}
		c := s.request(p[0], "cell-x", "deaf 1m")
		c.CallID, c.From = transport.CallID{7}, "a"
		go p[1].Handler().AcceptCall(s.Context(), c)()
		synctest.Wait()
		short, stop := context.WithTimeout(s.Context(), 3*time.Second)
		defer stop()
		again, begun := *c, time.Now()
		again.Resent, again.Local = true, nil
		reply := p[1].Handler().AcceptCall(short, &again)()
		s.want(reply.Err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "sent before")
		if d := time.Since(begun); d != 3*time.Second {
			s.Errorf("it took %v", d)
		}
		pass(2 * time.Minute)
		if n := s.ran("cell-x"); n != 1 { // the other has waited for too long
			s.Errorf("it ran %d times", n)
		}
	})
}

// The first sending of a call may come late, over a link that its caller has given up: it does not run then.
func TestALateFirstSending(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		l := s.raw(p[0], p[1])
		send := func(id byte, again bool) *transport.Reply {
			c := s.request(p[0], "cell-x", "add")
			c.CallID, c.Resent = transport.CallID{id}, again
			reply, err := l.Call(s.Context(), c)
			if err != nil {
				s.Fatal(err)
			}
			return reply
		}
		for id := byte(1); id <= 20; id++ { // in all columns
			if reply := send(id, true); reply.Err != nil {
				s.Fatal(reply.Err)
			}
			reply := send(id, false)
			if reply.Err == nil {
				s.Fatal("it ran")
			}
			s.want(reply.Err, object.CodeAborted, object.ExecutedNo, "sent again")
		}
		if reply := send(100, false); reply.Err != nil {
			s.Error(reply.Err)
		}
		pass(40 * time.Second) // a name is forgotten as well
		if reply := send(1, false); reply.Err != nil {
			s.Error(reply.Err)
		}
		if n := s.ran("cell-x"); n != 22 {
			s.Errorf("%d runs", n)
		}
	})
}

// What must not be told because the node is cut off is told when it is not any more, if the object's memory is still that
// of the turn, and is void otherwise.
func TestAnOutcomeThatWasWithheld(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				r := s.give(p[1], "cell-x", p[0])
				s.on("cutoff", func(_ context.Context, o *cell, _ string) (string, error) {
					o.n++
					p[1].table.fence(s.ran("cell-x") == 1)
					return fmt.Sprint(o.n), nil
				})
				call := p[0].start(s.Context(), "cell-x", "cutoff")
				pass(time.Second)
				s.pending(call)
				want, runs := "1", 1
				if lost {
					p[1].Host().ReleaseShard(p[1].node.ShardOf("cell-x"), r.Epoch, cluster.ReleaseLost)
					s.give(p[1], "cell-x", p[0])
					runs = 2
				}
				p[1].table.fence(false)
				if r := <-call; r.err != nil || r.reply != want || s.ran("cell-x") != runs {
					s.Errorf("%+v after %d runs, want %s after %d", r, s.ran("cell-x"), want, runs)
				}
			})
		})
	}
}

// Whatever breaks and however often: as long as nodes remember, what callers were told of their calls and what was done is
// the same.
func TestNothingIsDoneTwiceOverLinksThatBreak(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		const objects, callers = 20, 16
		for i := range objects {
			id := fmt.Sprint("cell-", i)
			if p[1].node.Epoch(p[1].node.ShardOf(id)) == 0 {
				s.give(p[1], id, p[0])
			}
		}
		var done [objects]atomic.Int64
		over, enough := context.WithCancel(s.Context())
		var wg sync.WaitGroup
		for k := range callers {
			wg.Go(func() {
				dice := rand.New(rand.NewPCG(uint64(k), 1))
				for over.Err() == nil {
					i := dice.IntN(objects)
					if _, err := p[0].do(s.Context(), fmt.Sprint("cell-", i), fmt.Sprint("deaf ", dice.IntN(20), "ms")); err != nil {
						s.Errorf("%v", err)
					}
					done[i].Add(1)
				}
			})
		}
		dice := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			s.net.SetFaults(address("b"), address("a"), mem.Faults{Delay: time.Duration(dice.IntN(30)) * time.Millisecond})
			pass(time.Duration(dice.IntN(50)) * time.Millisecond)
			s.cut(p[0], p[1])
		}
		s.net.SetFaults(address("b"), address("a"), mem.Faults{})
		enough()
		wg.Wait()
		total := 0
		for i := range objects {
			id := fmt.Sprint("cell-", i)
			n := int(done[i].Load())
			total += n
			if got := p[0].must(id, "add"); got != fmt.Sprint(n+1) {
				s.Errorf("%s: %d calls, the count is %s", id, n, got)
			}
		}
		if total < 1000 {
			s.Errorf("only %d calls", total)
		}
	})
}
