package routing_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	_ "google.golang.org/protobuf/types/known/structpb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/object"
)

func TestParkedCallsAreBounded(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		old, tag, target := s.begin(p[1], p[0], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		calls := []<-chan result{p[0].start(s.Context(), "cell-x", "add"), p[0].start(s.Context(), "cell-x", "add")}
		l := s.raw(p[0], p[1])
		r := s.refused(l, s.request(p[0], "cell-x", "add"), object.CodeUnavailable, "too many calls wait")
		if r.Err.Reason != "Misrouted" {
			s.Errorf("the reason is %q", r.Err.Reason)
		}
		left, leave := context.WithCancel(s.Context())
		calls = append(calls, p[0].start(left, "cell-x", "add"), p[0].start(s.Context(), "cell-x", "add", object.AtMostOnce()))
		pass(time.Second)
		for _, c := range calls {
			s.pending(c)
		}
		leave()
		r2 := <-calls[2]
		s.want(r2.err, object.CodeCanceled, object.ExecutedNo, "")
		p[1].Host().ReopenShard(n, old.Epoch)
		for _, i := range []int{0, 1, 3} {
			if r := <-calls[i]; r.err != nil || r.after > 1200*time.Millisecond {
				s.Errorf("%d: %+v", i, r)
			}
		}
		if s.ran("cell-x") != 3 {
			s.Errorf("%d turns ran", s.ran("cell-x"))
		}
	}, func(c *routing.Config) { c.ParkedCalls = 2 })
}

// Callers that leave while their calls wait leave nothing behind, and hold up nobody.
func TestCallersLeaveTheLine(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		old, tag, target := s.begin(p[1], p[0], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		for round := range 3 { // the limit is 4: it would be reached if somebody stayed
			var leaves []context.CancelFunc
			var calls []<-chan result
			for range 4 {
				ctx, leave := context.WithCancel(s.Context())
				leaves = append(leaves, leave)
				calls = append(calls, p[0].start(ctx, "cell-x", "add"))
			}
			for _, i := range [][]int{{1, 0, 3, 2}, {3, 2, 1, 0}, {0, 2, 1, 3}}[round] {
				leaves[i]()
				r := <-calls[i]
				s.want(r.err, object.CodeCanceled, object.ExecutedUnknown, "")
				synctest.Wait()
			}
		}
		var calls []<-chan result
		var leaves []context.CancelFunc
		for range 4 {
			ctx, leave := context.WithCancel(s.Context())
			leaves = append(leaves, leave)
			calls = append(calls, p[0].start(ctx, "cell-x", "add"))
		}
		leaves[0]()
		leaves[2]()
		p[1].Host().ReopenShard(n, old.Epoch)
		for _, i := range []int{1, 3} {
			if r := <-calls[i]; r.err != nil || r.after != 0 {
				s.Errorf("%d: %+v", i, r)
			}
		}
		for _, leave := range leaves {
			leave()
		}
	}, func(c *routing.Config) { c.ParkedCalls = 4 })
}

func TestSuspensionAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		old, tag, target := s.begin(p[1], p[0], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		once := p[0].start(s.Context(), "cell-x", "where", object.AtMostOnce())
		pass(time.Second)
		p[1].table.fence(true)
		p[1].Host().Suspend(cluster.ErrFenced)
		s.give(p[2], "cell-x", p[0]) // somebody has taken it over
		if r := <-once; r.err != nil || r.reply != "c" || r.after > 1100*time.Millisecond {
			s.Errorf("%+v", r)
		}
	})
}

// A drain waits for a turn, which waits for a call in the same shard, by way of another node.
func TestADrainLetsItsChainsPass(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		near := sibling(p[0], "cell-x")
		s.give(p[0], "cell-x", p[1], p[2])
		s.give(p[1], "cell-far"+apart(p[0], "cell-x"), p[0], p[2])
		far := "cell-far" + apart(p[0], "cell-x")
		s.on("slow", func(ctx context.Context, o *cell, arg string) (string, error) {
			pass(time.Second)
			return s.action("ask")(ctx, o, arg)
		})
		chain := p[0].start(s.Context(), "cell-x", fmt.Sprintf("slow %s slow %s where", far, near))
		old, tag, target := s.begin(p[0], p[2], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		drained := make(chan error, 1)
		go func() { drained <- p[0].Host().DrainShard(s.Context(), n, old.Epoch, target, tag) }()
		synctest.Wait()
		outsider := p[1].start(s.Context(), near, "where")
		if r := <-chain; r.err != nil || r.reply != "a" || r.after != 2*time.Second {
			s.Errorf("%+v", r)
		}
		if err := <-drained; err != nil {
			s.Fatal(err)
		}
		s.finish(p[0], p[2], "cell-x", tag)
		if r := <-outsider; r.err != nil { // there it may run before the move or after it
			s.Errorf("%+v", r)
		}
	})
}

// sibling is another object of an object's shard.
func sibling(p *peer, id string) string { return inShardOf(p, "cell", id) }

// inShardOf is an object of the type in an object's shard.
func inShardOf(p *peer, typ, id string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint(typ, "-s", i); p.node.ShardOf(other) == p.node.ShardOf(id) {
			return other
		}
	}
}

// apart makes of "cell-far" the name of an object of another shard.
func apart(p *peer, id string) string {
	for i := 0; ; i++ {
		if p.node.ShardOf(fmt.Sprint("cell-far", i)) != p.node.ShardOf(id) {
			return fmt.Sprint(i)
		}
	}
}

func TestANodeThatIsNoMemberRefuses(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		call := p[0].start(s.Context(), "cell-x", "sleep 1s")
		p[1].serving()
		<-p[1].served
		if r := <-call; r.err != nil {
			s.Errorf("%+v", r)
		}
		l := s.raw(p[0], p[1])
		s.refused(l, s.request(p[0], "cell-x", "add"), object.CodeUnavailable, "no member")
		// Its own objects it can call still; others wait until it is a member again.
		if got := p[1].must("cell-x", "where"); got != "b" {
			s.Errorf("it ran on %s", got)
		}
		s.give(p[0], "fussy-z", p[1])
		waiting := p[1].start(s.Context(), "fussy-z", "where")
		pass(time.Second)
		s.pending(waiting)
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- p[1].Serve(ctx, p[1].table, p[1].endpoint) }()
		if r := <-waiting; r.err != nil || r.reply != "a" || r.after != time.Second {
			s.Errorf("%+v", r)
		}
		if err := p[1].Serve(ctx, p[1].table, p[1].endpoint); err == nil {
			s.Error("it serves twice")
		}
		cancel()
		if err := <-served; err != nil {
			s.Error(err)
		}
	})
}

// One node's calls that wait leave room for others', and for what they wait for.
func TestOneNodeDoesNotTakeAllThePlaces(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0], p[2])
		old, tag, target := s.begin(p[1], p[2], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		var calls []<-chan result
		for range 3 {
			calls = append(calls, p[0].start(s.Context(), "cell-x", "add"))
		}
		s.refused(s.raw(p[0], p[1]), s.request(p[0], "cell-x", "add"), object.CodeUnavailable, "too many calls wait")
		calls = append(calls, p[2].start(s.Context(), "cell-x", "add"))
		s.pending(calls[3])
		s.finish(p[1], p[2], "cell-x", tag)
		for _, c := range calls {
			if r := <-c; r.err != nil || r.after > 10*time.Millisecond {
				s.Errorf("%+v", r)
			}
		}
	}, func(c *routing.Config) { c.PeerCalls = 2 })
}

// Who comes when the gate is open but others still stand in line stands behind them.
func TestNobodyOvertakesTheLine(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.noting()
		s.give(p[1], "cell-x", p[0])
		old, tag, target := s.begin(p[1], p[0], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		s.truth.down = true
		head := s.request(p[0], "cell-x", "add") // it looks into the store, which does not answer
		head.Epoch, head.Timeout = 99, 3*time.Second
		if err := s.raw(p[0], p[1]).Send(s.Context(), head); err != nil {
			s.Fatal(err)
		}
		synctest.Wait()
		p[0].tell("cell-x", "note 1")
		synctest.Wait()
		p[1].Host().ReopenShard(n, old.Epoch)
		p[0].tell("cell-x", "note 2")
		pass(4 * time.Second)
		if got := p[0].must("cell-x", "notes"); got != "12" {
			s.Errorf("it was told %s", got)
		}
	})
}
