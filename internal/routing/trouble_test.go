package routing_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

func TestALostLink(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		once bool
	}{{"at least once", false}, {"at most once", true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.give(p[1], "cell-x", p[0])
				var opts []object.CallOption
				if tc.once {
					opts = append(opts, object.AtMostOnce())
				}
				call := p[0].start(s.Context(), "cell-x", "deaf 1s", opts...)
				s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
				synctest.Wait()
				s.net.SetFaults(address("a"), address("b"), mem.Faults{})
				r := <-call
				if tc.once {
					s.want(r.err, object.CodeUnavailable, object.ExecutedUnknown, "")
					pass(time.Minute)
					if n := s.ran("cell-x"); n != 1 {
						s.Errorf("it ran %d times", n)
					}
					return
				}
				if r.err != nil || r.reply != "1" || s.ran("cell-x") != 1 { // it is sent again, and answered with what it came to
					s.Errorf("the call ended with %+v after %d runs", r, s.ran("cell-x"))
				}
			})
		})
	}
}

func TestAtMostOnceIsTriedUntilItRuns(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		call := p[0].start(s.Context(), "cell-x", "add", object.AtMostOnce())
		pass(time.Second)
		s.pending(call)
		s.move(p[1], p[2], "cell-x")
		pass(time.Second)
		s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		if r := <-call; r.err != nil || s.ran("cell-x") != 1 {
			s.Errorf("%+v, it ran %d times", r, s.ran("cell-x"))
		}
	})
}

func TestTheWorstIsTold(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
		defer cancel()
		call := p[0].start(ctx, "cell-x", "deaf 1s")
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		r := <-call
		s.want(r.err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "may have run")
		if r.after != 3*time.Second {
			s.Errorf("it took %v", r.after)
		}
		s.net.SetFaults(address("a"), address("b"), mem.Faults{})
		old := s.give(p[1], "fussy-x", p[0])
		call = p[0].start(s.Context(), "fussy-x", "deaf 1s")
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		p[1].dead.Store(true)
		p[1].Host().ReleaseShard(p[1].node.ShardOf("fussy-x"), old.Epoch, cluster.ReleaseLost)
		s.give(p[2], "fussy-x")
		others := []<-chan result{p[2].start(s.Context(), "fussy-x", "sleep 1s"), p[2].start(s.Context(), "fussy-x", "add")}
		p[0].table.tell(p[0].node.ShardOf("fussy-x"), s.truth.routes[p[0].node.ShardOf("fussy-x")])
		r = <-call // it is sent to another node, where the mailbox is full
		s.want(r.err, object.CodeResourceExhausted, object.ExecutedUnknown, "")
		for _, other := range others {
			<-other
		}
	})
}

func TestASilentNodeIsGivenUpWhenItIsGone(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0], p[2])
		s.on("stuck", func(ctx context.Context, _ *cell, _ string) (string, error) {
			if p := peerOf(ctx); p.name == "b" {
				time.Sleep(time.Minute) //nolint:forbidigo // virtual time
			}
			return peerOf(ctx).name, nil
		})
		call := p[0].start(s.Context(), "cell-x", "stuck")
		once := p[0].start(s.Context(), "cell-x", "add", object.AtMostOnce())
		p[1].dead.Store(true)
		s.net.Pause(address("b"))
		pass(3 * time.Second)
		s.pending(call)
		p[1].table.fence(true)
		p[0].table.setAlive("b", false)
		s.give(p[2], "cell-x", p[0])
		r := <-once
		s.want(r.err, object.CodeUnavailable, object.ExecutedUnknown, "")
		if r.after > 4*time.Second {
			s.Errorf("given up after %v", r.after)
		}
		if r := <-call; r.err != nil || r.reply != "c" || r.after > 4*time.Second {
			s.Errorf("%+v", r)
		}
		s.net.Resume(address("b"))
	})
}

func TestAnswersOfALeavingNodeArrive(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		p[0].must("cell-x", "add")
		pass(time.Second) // the link is known
		s.net.SetFaults(address("b"), address("a"), mem.Faults{Delay: 300 * time.Millisecond})
		call := p[0].start(s.Context(), "cell-x", "add", object.AtMostOnce())
		p[0].table.setAlive("b", false)
		if r := <-call; r.err != nil || r.after != 300*time.Millisecond {
			s.Errorf("%+v", r)
		}
	})
}

func TestAShardThatIsLost(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		r := s.give(p[1], "cell-x", p[0])
		running := p[0].start(s.Context(), "cell-x", "deaf 5s", object.AtMostOnce())
		waiting := p[0].start(s.Context(), "cell-x", "where", object.AtMostOnce())
		p[1].dead.Store(true) // its turn does not count
		p[1].Host().ReleaseShard(p[1].node.ShardOf("cell-x"), r.Epoch, cluster.ReleaseLost)
		s.give(p[2], "cell-x")
		pass(100 * time.Millisecond)
		p[1].table.tell(p[1].node.ShardOf("cell-x"), s.truth.routes[p[1].node.ShardOf("cell-x")])
		if r := <-waiting; r.err != nil || r.reply != "c" || r.after > 300*time.Millisecond {
			s.Errorf("%+v", r)
		}
		last := <-running
		s.want(last.err, object.CodeUnavailable, object.ExecutedUnknown, "")
	})
}

func TestAStoppingNode(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		busy := p[0].start(s.Context(), "cell-x", "sleep 20s", object.AtMostOnce())
		stopped := make(chan error, 1)
		short, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		go func() { stopped <- p[1].node.Stop(short) }()
		synctest.Wait()
		s.refused(s.raw(p[0], p[1]), s.request(p[0], "cell-x", "where"), object.CodeUnavailable, "stopping")
		begun := time.Now()
		_, err := p[1].do(s.Context(), "cell-x", "where")
		s.want(err, object.CodeUnavailable, object.ExecutedNo, "stopping")
		if d := time.Since(begun); d != 0 {
			s.Errorf("it took %v", d)
		}
		r := <-busy // its time is over, and the caller has not cancelled it
		s.want(r.err, object.CodeUnavailable, object.ExecutedUnknown, "")
		if r.after != 5*time.Second {
			s.Errorf("it took %v", r.after)
		}
		<-stopped
	})
}

func TestAnUnknownAnswerIsNotForgotten(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		call := p[0].start(ctx, "cell-x", "deaf 1s")
		p[1].table.fence(true)
		r := <-call
		s.want(r.err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "may have run")
	})
}

func TestATableThatIsToldNothing(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
		s.give(p[2], "cell-x")
		r := <-p[0].start(s.Context(), "cell-x", "where")
		if r.err != nil || r.reply != "c" || r.after > 12*time.Second || p[0].table.asked() != 1 {
			s.Errorf("%+v; the store was asked %d times", r, p[0].table.asked())
		}
	})
}

func TestAnOutcomeThatIsLostOnTheOwnNode(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		for _, once := range []bool{false, true} {
			t.Run(fmt.Sprint("waits ", waits, " once ", once), func(t *testing.T) {
				t.Parallel()
				onStage(t, 2, func(s *stage, p []*peer) {
					var opts []object.CallOption
					if once {
						opts = append(opts, object.AtMostOnce())
					}
					n := p[0].node.ShardOf("cell-x")
					var call <-chan result
					if waits {
						call = p[0].start(s.Context(), "cell-x", "deaf 1s", opts...)
					}
					r := s.give(p[0], "cell-x")
					if !waits {
						call = p[0].start(s.Context(), "cell-x", "deaf 1s", opts...)
					}
					synctest.Wait()
					p[0].dead.Store(true) // its turn does not count
					p[0].Host().ReleaseShard(n, r.Epoch, cluster.ReleaseLost)
					s.give(p[1], "cell-x", p[0])
					end := <-call
					if once {
						s.want(end.err, object.CodeUnavailable, object.ExecutedUnknown, "")
					} else if end.err != nil || s.ran("cell-x") != 2 {
						s.Errorf("%+v; it ran %d times", end, s.ran("cell-x"))
					}
				})
			})
		}
	}
}
