package routing_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// tell sends a one-way call that must be accepted.
func (p *peer) tell(id, request string) {
	p.world.Helper()
	if reply, err := p.do(p.world.Context(), id, request, object.OneWay()); err != nil || reply != "" {
		p.world.Errorf("%s: tell %s %q: %q, %v", p.name, id, request, reply, err)
	}
}

// noting makes "note" write down what it is told, and "notes" say it.
func (w *world) noting() {
	w.on("note", func(_ context.Context, o *cell, arg string) (string, error) {
		o.notes = append(o.notes, arg)
		return "", nil
	})
	w.on("notes", func(_ context.Context, o *cell, _ string) (string, error) { return strings.Join(o.notes, ""), nil })
}

func TestOneWayCallsArrive(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.noting()
		s.give(p[1], "cell-x", p[0])
		s.give(p[0], "cell-y", p[1])
		p[0].tell("cell-x", "note 1")
		p[0].must("cell-y", "tell cell-x note 2") // of a turn
		synctest.Wait()
		p[1].tell("cell-x", "note 3")
		if got := p[0].must("cell-x", "notes"); got != "123" {
			s.Errorf("it was told %s", got)
		}
		if _, err := p[0].do(s.Context(), "cell-y", "tell cell-x note 4"); err != nil {
			s.Error(err)
		}
	})
}

func TestOneWayCallsWaitForAnOwner(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.noting()
		call := p[0].start(s.Context(), "cell-x", "note 1", object.OneWay())
		pass(time.Second)
		s.pending(call)
		s.give(p[1], "cell-x", p[0])
		if r := <-call; r.err != nil || r.after != time.Second {
			s.Errorf("%+v", r)
		}
		synctest.Wait()
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		call = p[0].start(s.Context(), "cell-x", "note 2", object.OneWay())
		pass(time.Second)
		s.pending(call)
		s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		if r := <-call; r.err != nil || r.after > 1100*time.Millisecond {
			s.Errorf("%+v", r)
		}
		synctest.Wait()
		if got := p[1].must("cell-x", "notes"); got != "12" {
			s.Errorf("it was told %s", got)
		}
		short, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		_, err := p[0].do(short, "cell-x", "note 3", object.OneWay())
		s.want(err, object.CodeDeadlineExceeded, object.ExecutedNo, "")
	})
}

// Calls that nobody waits for are passed on, in order, when their object has moved.
func TestOneWayCallsFollowTheirObject(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.noting()
		s.give(p[1], "keeper-x", p[0])
		want := ""
		for i := range 20 { // told to a node that does not own the object any more
			if i == 5 {
				s.move(p[1], p[2], "keeper-x")
			}
			if i == 10 {
				s.move(p[2], p[1], "keeper-x")
			}
			if i == 12 {
				s.move(p[1], p[2], "keeper-x")
			}
			p[0].tell("keeper-x", fmt.Sprint("note ", i, " "))
			want += fmt.Sprint(i, " ")
			synctest.Wait()
		}
		if got := p[2].must("keeper-x", "notes"); got != want {
			s.Errorf("it was told %s, not %s", got, want)
		}
	})
}

// Calls that wait for a gate keep their order, whether it opens or the shard goes away.
func TestOrderIsKeptThroughAMove(t *testing.T) {
	t.Parallel()
	for _, goes := range []bool{false, true} {
		t.Run(fmt.Sprint("goes ", goes), func(t *testing.T) {
			t.Parallel()
			onStage(t, 3, func(s *stage, p []*peer) {
				s.noting()
				s.give(p[1], "keeper-x", p[0])
				p[0].must("keeper-x", "where")
				old, tag, target := s.begin(p[1], p[2], "keeper-x")
				n := p[0].node.ShardOf("keeper-x")
				if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
					s.Fatal(err)
				}
				want := ""
				for i := range 200 {
					p[0].tell("keeper-x", fmt.Sprint("note ", i, " "))
					want += fmt.Sprint(i, " ")
				}
				if goes {
					s.finish(p[1], p[2], "keeper-x", tag)
				} else {
					p[1].Host().ReopenShard(n, old.Epoch)
				}
				for i := range 10 { // behind the others, who go first
					p[0].tell("keeper-x", fmt.Sprint("note ", 200+i, " "))
					want += fmt.Sprint(200+i, " ")
				}
				synctest.Wait()
				if got := p[0].must("keeper-x", "notes"); got != want {
					s.Errorf("it was told %s", got)
				}
			})
		})
	}
}

// Somebody passes a call on to somebody who passes it on: not for ever.
func TestOneWayCallsAreNotPassedOnForEver(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		n := p[0].node.ShardOf("cell-x")
		for i := range 3 { // in circles
			next := p[(i+1)%3]
			p[i].table.tell(n, cluster.Route{Incarnation: next.name, Address: address(next.name), Epoch: 7, Revision: 7})
		}
		p[0].tell("cell-x", "add")
		pass(time.Minute)
		if s.ran("cell-x") != 0 || !strings.Contains(s.log.String(), "one-way call failed") {
			s.Errorf("it ran, or nobody says that it did not: %s", s.log.String())
		}
		if got := strings.Count(s.log.String(), "\n"); got != 1 {
			s.Errorf("%d lines in the log: %s", got, s.log.String())
		}
	})
}

// The node that has to pass calls on cannot reach the new owner at first.
func TestPassingOnIsTriedAgain(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.noting()
		s.give(p[1], "cell-x", p[0])
		s.move(p[1], p[2], "cell-x")
		s.net.SetFaults(address("b"), address("c"), mem.Faults{Cut: true})
		p[0].tell("cell-x", "note 1")
		pass(time.Second)
		s.net.SetFaults(address("b"), address("c"), mem.Faults{})
		pass(time.Second)
		if got := p[2].must("cell-x", "notes"); got != "1" {
			s.Errorf("it was told %q", got)
		}
		s.net.SetFaults(address("b"), address("c"), mem.Faults{Cut: true})
		p[0].tell("cell-x", "note 2")
		pass(time.Minute) // its time is over
		s.net.SetFaults(address("b"), address("c"), mem.Faults{})
		pass(time.Minute)
		if got := p[2].must("cell-x", "notes"); got != "1" || !strings.Contains(s.log.String(), "one-way call failed") {
			s.Errorf("it was told %q; %s", got, s.log.String())
		}
	})
}

// A node that is cut off for a while keeps what nobody would send again, in order, and holds up nobody with it.
func TestOneWayCallsToANodeThatIsCutOff(t *testing.T) {
	t.Parallel()
	for _, moved := range []bool{false, true} {
		t.Run(fmt.Sprint("moved ", moved), func(t *testing.T) {
			t.Parallel()
			onStage(t, 3, func(s *stage, p []*peer) {
				s.noting()
				s.give(p[1], "cell-x", p[0])
				old, tag, target := s.begin(p[1], p[2], "cell-x")
				n := p[0].node.ShardOf("cell-x")
				if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
					s.Fatal(err)
				}
				p[0].tell("cell-x", "note 1")
				p[0].tell("cell-x", "note 2")
				synctest.Wait()
				behind := p[0].start(s.Context(), "cell-x", "notes", object.AtMostOnce())
				p[1].table.fence(true)
				p[1].Host().Suspend(cluster.ErrFenced)
				p[0].tell("cell-x", "note 3")
				pass(time.Second)
				if moved { // somebody has taken it over meanwhile
					s.give(p[2], "cell-x", p[0])
					if r := <-behind; r.err != nil || r.after > 1200*time.Millisecond {
						s.Errorf("%+v", r)
					}
				} else {
					s.pending(behind)
				}
				p[1].table.fence(false)
				p[1].Host().Resume()
				if moved {
					p[1].table.tell(n, s.truth.routes[n])
					p[1].Host().ReleaseShard(n, old.Epoch, cluster.ReleaseLost)
				} else {
					p[1].Host().ReopenShard(n, old.Epoch)
				}
				pass(time.Second)
				if got := p[0].must("cell-x", "notes"); got != "123" {
					s.Errorf("it was told %s", got)
				}
				if !moved {
					<-behind
				}
			})
		})
	}
}

// Where a caller would try again, a call that nobody waits for is tried again by the node that has it.
func TestOneWayCallsAreNotDroppedForTheMoment(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, after func(s *stage, p []*peer)
	}{
		"no place is left": {
			func(s *stage, p []*peer) {
				old, _, err := s.drain(p[1], p[0], "cell-x")
				if err != nil || old.Epoch != 1 {
					s.Fatal(old, err)
				}
				p[0].tell("cell-x", "add") // has the only one
			},
			func(_ *stage, p []*peer) { p[1].Host().ReopenShard(p[1].node.ShardOf("cell-x"), 1) },
		},
		"the store fails": {
			func(s *stage, p []*peer) {
				s.truth.broken.Store(true)
				p[0].tell("cell-x", "add")
				n := p[0].node.ShardOf("cell-x")
				p[0].table.tell(n, cluster.Route{Incarnation: "b", Address: address("b"), Epoch: 99, Revision: 99})
			},
			func(s *stage, _ []*peer) { s.truth.broken.Store(false) },
		},
		"nobody is known": {
			func(_ *stage, p []*peer) {
				p[0].tell("cell-x", "add")
				synctest.Wait()
				n := p[1].node.ShardOf("cell-x")
				p[1].Host().ReleaseShard(n, 1, cluster.ReleaseLost)
				p[1].table.forget(n)
			},
			func(s *stage, p []*peer) { s.give(p[1], "cell-x") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.give(p[1], "cell-x", p[0])
				tc.before(s, p)
				p[0].tell("cell-x", "add")
				pass(time.Second)
				already := s.ran("cell-x")
				tc.after(s, p)
				pass(time.Second)
				if n := s.ran("cell-x"); already == 2 || n != 2 {
					s.Errorf("%d calls ran, %d at first; %s", n, already, s.log.String())
				}
			}, func(c *routing.Config) { c.ParkedCalls = 1 })
		})
	}
}

// A client object's node does not drop a call that nobody waits for while it is without a lease.
func TestOneWayCallsToClientsWaitForTheLease(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		id := s.visit(p[1], "eve")
		p[1].table.fence(true)
		p[0].tell(id, "1")
		pass(time.Second)
		if s.ran(id) != 0 {
			s.Error("it ran without a lease")
		}
		p[1].Host().Suspend(cluster.ErrFenced)
		p[1].table.fence(false)
		p[0].tell(id, "2")
		pass(time.Second)
		p[1].Host().Resume()
		pass(time.Second)
		if n := s.ran(id); n != 2 || s.log.String() != "" {
			s.Errorf("two calls ran %d times; %s", n, s.log.String())
		}
	})
}

// The time of a call does not begin anew where it is passed on.
func TestAPassedOnCallHasTheTimeThatIsLeft(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		old, tag, target := s.begin(p[1], p[2], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		p[0].tell("cell-x", "add") // it has 30 s
		pass(20 * time.Second)
		r := s.record(p[2], "cell-x")
		p[1].table.tell(n, r)
		p[1].Host().ReleaseShard(n, old.Epoch, cluster.ReleaseMoved)
		p[2].table.tell(n, r)
		pass(15 * time.Second)
		if err := p[2].Host().OpenShard(s.Context(), n, r.Epoch, tag); err != nil {
			s.Fatal(err)
		}
		pass(time.Second)
		if s.ran("cell-x") != 0 {
			s.Error("it ran after its time")
		}
	})
}

// A one-way call that was accepted has no outcome that could be withheld: it is not sent again.
func TestAnAcceptedCallIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	onStage(t, 1, func(s *stage, p []*peer) {
		r := s.give(p[0], "cell-x")
		p[0].tell("cell-x", "add")
		if _, err := p[0].Invoke(s.Context(), "cell-x", object.ExprOf((*cell).Do), wrapperspb.String("add"), object.OneWay()); err != nil {
			s.Error(err)
		}
		old, tag, target := s.begin(p[0], p[0], "cell-x")
		if err := p[0].Host().DrainShard(s.Context(), p[0].node.ShardOf("cell-x"), old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		call := p[0].start(s.Context(), "cell-x", "add", object.OneWay()) // one that waits first
		valid.Store(true)                                                 // until it has begun
		p[0].Host().ReopenShard(p[0].node.ShardOf("cell-x"), r.Epoch)
		if end := <-call; end.err != nil || end.after != 0 {
			s.Errorf("%+v", end)
		}
		pass(time.Minute)
		if n := s.ran("cell-x"); n != 3 {
			s.Errorf("three calls ran %d times", n)
		}
	}, func(c *routing.Config) { c.Valid = func() bool { return valid.CompareAndSwap(true, false) } })
}
