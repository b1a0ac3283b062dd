package routing_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	_ "google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// refused sends a call that must be refused and checks that it did not run.
func (s *stage) refused(l transport.Link, c *transport.Call, code object.Code, text string) *transport.Reply {
	s.Helper()
	before := s.ran(c.ID)
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	reply, err := l.Call(ctx, c)
	if err != nil {
		s.Fatalf("no reply: %v", err)
	}
	if e := reply.Err; e == nil || e.Code != code || object.Executed(e) != object.ExecutedNo || !strings.Contains(e.Message, text) || len(reply.Body) > 0 {
		s.Errorf("the reply is %+v, want %v, %q", reply, code, text)
	}
	if s.ran(c.ID) != before {
		s.Errorf("%s ran", c.ID)
	}
	return reply
}

func TestForgedCallsAreRefused(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		l := s.raw(p[0], p[1])
		change := func(f func(c *transport.Call)) *transport.Call {
			c := s.request(p[0], "cell-x", "add")
			f(c)
			return c
		}
		for _, hops := range []uint8{5, 255} {
			s.refused(l, change(func(c *transport.Call) { c.Hops = hops }), object.CodeUnavailable, "passed on")
		}
		for _, shard := range []uint32{(p[0].node.ShardOf("cell-x") + 1) % shards, shards, math.MaxUint32 - 1} {
			s.refused(l, change(func(c *transport.Call) { c.Shard = shard }), object.CodeInvalidArgument, "not in shard")
		}
		s.refused(l, change(func(c *transport.Call) { c.Shard = math.MaxUint32 }), object.CodeInvalidArgument, "belongs to a shard")
		for _, op := range []transport.Op{4, 99, 101, 255} {
			s.refused(l, change(func(c *transport.Call) { c.Op = op }), object.CodeUnimplemented, "operation")
		}
		s.refused(l, change(func(c *transport.Call) { c.Op = transport.OpPush }), object.CodeInvalidArgument, "not addressed to a client")
		s.refused(l, change(func(c *transport.Call) { c.ID, c.Shard = "visitor-x@b", math.MaxUint32 }), object.CodeNotFound, "not connected")
		s.refused(l, change(func(c *transport.Call) { c.ID, c.Shard = "visitor-x@a", math.MaxUint32 }), object.CodeNotFound, "not connected")
		s.refused(l, change(func(c *transport.Call) {
			c.ID, c.Shard, c.Op = "visitor-x@b", math.MaxUint32, transport.OpCreate
		}), object.CodeInvalidArgument, "come with their connection")
		s.refused(l, change(func(c *transport.Call) { c.Body = []byte{0xff} }), object.CodeInvalidArgument, "decode")
		s.refused(l, change(func(c *transport.Call) { c.Message = "google.protobuf.Any" }), object.CodeInvalidArgument, "takes")
		for _, id := range []string{"", "-", "cell-", "cell-a/b", "cell-\x00", "cell-" + strings.Repeat("x", 300)} {
			c := s.request(p[0], id, "add")
			s.give(p[1], id, p[0])
			c.Shard = p[1].node.ShardOf(id)
			s.refused(l, c, object.CodeInvalidArgument, "invalid object ID")
		}
		s.give(p[1], "fussy-y", p[0])
		c := s.request(p[0], "fussy-y", "add")
		c.Op, c.Message, c.Body = transport.OpCreate, "google.protobuf.ListValue", nil
		for range 1000 { // in each other
			value := append([]byte{6<<3 | 2}, binary.AppendUvarint(nil, uint64(len(c.Body)))...)
			value = append(value, c.Body...)
			c.Body = append(append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(value)))...), value...)
		}
		s.refused(l, c, object.CodeInvalidArgument, "decode")
		s.give(p[1], "fussy-x", p[0])
		c = s.request(p[0], "fussy-x", "add")
		c.Op, c.Message = transport.OpCreate, strings.Repeat("no.such.Message", 100)
		r := s.refused(l, c, object.CodeInvalidArgument, "is known here")
		if len(r.Err.Message) > 500 {
			s.Errorf("the error has %d bytes", len(r.Err.Message))
		}
	})
}

// What a caller says of epochs can at worst cost a look into the store, and only him.
func TestAbsurdEpochsWedgeNothing(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		r := s.give(p[1], "cell-x", p[0])
		l := s.raw(p[0], p[1])
		for i, epoch := range []uint64{math.MaxUint64, math.MaxInt64, r.Epoch + 1} {
			c := s.request(p[0], "cell-x", "add")
			c.Epoch, c.Revision = epoch, math.MaxInt64
			reply, err := l.Call(s.Context(), c)
			if err != nil || reply.Err != nil || reply.Epoch != r.Epoch || reply.Revision != r.Revision {
				s.Fatalf("%+v, %v", reply, err)
			}
			if p[1].table.asked() != i+1 {
				s.Errorf("the store was asked %d times", p[1].table.asked())
			}
		}
		s.truth.down = true
		forged := make(chan *transport.Reply, 3)
		for range 3 {
			c := s.request(p[0], "cell-x", "add")
			c.Epoch = math.MaxUint64
			go func() {
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				reply, _ := l.Call(ctx, c)
				forged <- reply
			}()
		}
		synctest.Wait()
		for range 3 {
			if r := <-p[0].start(s.Context(), "cell-x", "add"); r.err != nil || r.after != 0 {
				s.Errorf("others: %+v", r)
			}
		}
		if got := s.ran("cell-x"); got != 6 {
			s.Errorf("%d turns ran", got)
		}
		for range 3 {
			<-forged
		}
	})
}

func TestAnOlderEpochIsServedAndCorrected(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0], p[2])
		s.move(p[1], p[2], "cell-x")
		r := s.move(p[2], p[1], "cell-x")
		if got := p[0].must("cell-x", "where"); got != "b" {
			s.Errorf("it ran on %s", got)
		}
		if got, _ := p[0].table.Route(p[0].node.ShardOf("cell-x")); got != r {
			s.Errorf("the caller's table says %+v, not %+v", got, r)
		}
	})
}

func TestNothingBeginsWithoutALease(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		p[1].table.fence(true)
		l := s.raw(p[0], p[1])
		s.refused(l, s.request(p[0], "cell-x", "add"), object.CodeUnavailable, "lost contact")
		p[1].table.fence(false)
		c := s.request(p[0], s.visit(p[1], "x"), "add")
		c.Shard = math.MaxUint32
		p[1].table.fence(true)
		s.refused(l, c, object.CodeUnavailable, "lost contact")
		for _, op := range []transport.Op{transport.OpCreate, transport.OpDelete} {
			c := s.request(p[0], "cell-x", "add")
			c.Op = op
			s.refused(l, c, object.CodeUnavailable, "lost contact")
		}
		call := p[0].start(s.Context(), "cell-x", "add", object.AtMostOnce())
		pass(time.Second)
		s.pending(call)
		if s.ran("cell-x") != 0 {
			s.Error("it ran")
		}
		p[1].table.fence(false)
		if r := <-call; r.err != nil || r.after > 1100*time.Millisecond {
			s.Errorf("%+v", r)
		}
	})
}

func TestNoReplyLeavesWithoutALease(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		s.give(p[1], "fussy-x", p[0])
		call := p[0].start(s.Context(), "cell-x", "deaf 1s", object.AtMostOnce())
		failing := p[0].start(s.Context(), "fussy-x", "deaf 1s", object.AtMostOnce())
		waiting := p[0].start(s.Context(), "fussy-x", "fail", object.AtMostOnce())
		p[1].table.fence(true)
		for _, c := range []<-chan result{call, failing, waiting} {
			r := <-c
			s.want(r.err, object.CodeUnavailable, object.ExecutedUnknown, "lost contact")
		}
	})
}

// The callers on the node itself are told nothing either, where that is wanted, and turns are not asked.
func TestNoReplyLeavesToTheNodeItselfWithoutALease(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	var asked atomic.Int32
	valid.Store(true)
	onStage(t, 1, func(s *stage, p []*peer) {
		s.give(p[0], "cell-x")
		s.give(p[0], "cell-y")
		if got := p[0].must("cell-x", "ask cell-y add"); got != "1" || asked.Load() != 1 {
			s.Errorf("%s; asked %d times", got, asked.Load())
		}
		valid.Store(false)
		for _, request := range []string{"add", "fail", "ask cell-y add"} {
			_, err := p[0].do(s.Context(), "cell-x", request, object.AtMostOnce())
			s.want(err, object.CodeUnavailable, object.ExecutedUnknown, "lost contact")
			before := s.ran("cell-x")
			_, err = p[0].do(s.Context(), "cell-x", request) // tried again, as long as there is time
			s.want(err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "lost contact")
			if n := s.ran("cell-x") - before; n != 1 { // what is tried again begins only when there is a lease
				s.Errorf("%s ran %d times", request, n)
			}
		}
		_, err := p[0].Invoke(s.Context(), "cell-x", object.ExprOf((*cell).Do), nil, object.AtMostOnce())
		s.want(err, object.CodeUnavailable, object.ExecutedUnknown, "lost contact")
		call := p[0].start(s.Context(), "cell-x", "where")
		pass(time.Second)
		valid.Store(true)
		if end := <-call; end.err != nil || end.reply != "a" {
			s.Errorf("a call that was tried again: %+v", end)
		}
		valid.Store(false)
		_, err = p[0].Call(s.Context(), "cell-x", "Undo", nil)
		s.want(err, object.CodeUnimplemented, object.ExecutedNo, "")
		_, err = p[0].Create(s.Context(), "cell", "cell-x", nil)
		s.want(err, object.CodeAlreadyExists, object.ExecutedNo, "")
		s.want(p[0].Delete(s.Context(), "cell-x"), object.CodeUnavailable, object.ExecutedUnknown, "lost contact")
		valid.Store(true)
	}, func(c *routing.Config) { c.Valid = func() bool { asked.Add(1); return valid.Load() } })
}

// Nor is whoever says that it is a turn, if that has ended, or is one of another node.
func TestOnlyTurnsThatRunHereAreNotAsked(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	valid.Store(true)
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "cell-x")
		s.give(p[1], "cell-y")
		s.on("other", func(ctx context.Context, _ *cell, _ string) (string, error) {
			return p[0].do(context.WithoutCancel(ctx), "cell-x", "add", object.AtMostOnce())
		})
		ended := make(chan context.Context, 1)
		s.on("leave", func(ctx context.Context, _ *cell, _ string) (string, error) {
			ended <- context.WithoutCancel(ctx)
			return "", nil
		})
		p[0].must("cell-x", "leave")
		valid.Store(false)
		_, err := p[0].do(<-ended, "cell-x", "add", object.AtMostOnce())
		s.want(err, object.CodeUnavailable, object.ExecutedUnknown, "lost contact")
		_, err = p[1].node.Call(s.Context(), "cell-y", "Do", wrapperspb.String("other"))
		s.want(err, object.CodeUnavailable, object.ExecutedYes, "lost contact")
	}, func(c *routing.Config) { c.Valid = valid.Load })
}

// What a turn does on a node without a lease reaches neither other nodes nor clients.
func TestNothingATurnDoesLeavesWithoutALease(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.acting()
		s.give(p[0], "cell-x")
		s.give(p[1], "cell-y", p[0])
		near, far := inShardOf(p[0], "fussy", "cell-x"), inShardOf(p[0], "fussy", "cell-y")
		here, there := s.visit(p[0], "adam"), s.visit(p[1], "eve")
		p[1].must("cell-y", "where")
		activations := p[1].node.Activations()
		p[0].table.fence(true)
		for _, request := range []string{
			"ask cell-y add", "push " + here, "push " + there, "create " + near, "create " + far,
			"delete cell-y", "delete " + near, "delete " + here, "delete " + there,
		} {
			_, err := p[0].do(s.Context(), "cell-x", request)
			if err == nil {
				s.Errorf("%s: no error", request)
				continue
			}
			s.want(err, object.CodeUnavailable, object.ExecutedYes, "lost contact")
		}
		p[0].must("cell-x", "tell cell-y add")
		pass(time.Second)
		if n := s.ran("cell-y"); n != 1 {
			s.Errorf("it ran %d times", n)
		}
		if n := p[1].node.Activations(); n != activations {
			s.Errorf("there are %d objects, not %d", n, activations)
		}
		for _, x := range p {
			if len(x.clients.got()) != 0 || x.clients.kicks != 0 {
				s.Errorf("%s: pushed %q, kicked %d times", x.name, x.clients.got(), x.clients.kicks)
			}
		}
		if got, err := p[0].do(s.Context(), "cell-y", "where"); got != "b" || err != nil { // not on behalf of an object
			s.Errorf("%s, %v", got, err)
		}
		for _, id := range []string{here, there} {
			if err := p[0].Push(s.Context(), id, wrapperspb.String("x")); err != nil {
				s.Error(err)
			}
		}
	})
}

// A turn that outlives its node's membership is of the past: the next one is no excuse.
func TestNothingLeavesOfATurnWhoseShardIsLost(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.acting()
		r := s.give(p[0], "cell-x", p[1])
		s.give(p[1], "cell-y", p[0])
		here, there := s.visit(p[0], "adam"), s.visit(p[1], "eve")
		s.on("late", func(ctx context.Context, o *cell, arg string) (string, error) {
			pass(time.Second)
			for word := range strings.SplitSeq(arg, ", ") {
				word, arg, _ := strings.Cut(word, " ")
				_, err := s.action(word)(ctx, o, arg)
				s.want(err, object.CodeUnavailable, object.ExecutedNo, "lost contact")
			}
			return "", nil
		})
		call := p[0].start(s.Context(), "cell-x", "late "+strings.Join([]string{
			"ask cell-y add", "push " + here, "push " + there, "create " + inShardOf(p[0], "fussy", "cell-y"), "delete cell-y", "delete " + there,
		}, ", "), object.AtMostOnce())
		p[0].Host().ReleaseShard(p[0].node.ShardOf("cell-x"), r.Epoch, cluster.ReleaseDead)
		s.want((<-call).err, object.CodeUnavailable, object.ExecutedUnknown, "")
		if s.ran("cell-y") != 0 || p[1].node.Activations() != 1 || p[1].clients.kicks != 0 {
			s.Errorf("it ran %d times; %d objects, %d kicks", s.ran("cell-y"), p[1].node.Activations(), p[1].clients.kicks)
		}
	})
}

// A turn that the fence has ended is no cancellation of the caller's.
func TestATurnThatASuspensionEnds(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		call := p[0].start(s.Context(), "cell-x", "sleep 5s")
		once := p[0].start(s.Context(), "cell-x", "sleep 5s", object.AtMostOnce())
		p[1].Host().Suspend(cluster.ErrFenced)
		pass(time.Second)
		s.pending(call)
		s.pending(once)
		p[1].Host().Resume()
		for _, c := range []<-chan result{call, once} {
			if r := <-c; r.err != nil || r.after > 11200*time.Millisecond {
				s.Errorf("%+v", r)
			}
		}
		if n := s.ran("cell-x"); n != 3 { // the one that was ended, twice
			s.Errorf("%d turns ran", n)
		}
		last := p[0].start(s.Context(), "cell-x", "sleep 5s", object.AtMostOnce())
		p[1].Host().Suspend(cluster.ErrFenced)
		p[1].Host().Resume()
		r := <-last
		s.want(r.err, object.CodeUnavailable, object.ExecutedUnknown, "")
	})
}

// Links are slow and reorder while the object moves: each call is answered once, having run once.
func TestSlowAndReorderedLinks(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "keeper-x", p[0], p[2])
		for _, x := range p {
			for _, y := range p {
				s.net.SetFaults(address(x.name), address(y.name), mem.Faults{Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, Reorder: 10 * time.Millisecond})
			}
		}
		calls := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				for _, x := range p {
					if _, err := x.do(s.Context(), "keeper-x", "add"); err != nil {
						s.Error(err)
					}
					calls++
				}
			}
		}()
		for i := range 20 {
			pass(30 * time.Millisecond)
			s.move(p[(i+1)%3], p[(i+2)%3], "keeper-x")
		}
		<-done
		if got := p[0].must("keeper-x", "add"); got != fmt.Sprint(calls+1) {
			s.Errorf("%d calls, the count is %s", calls, got)
		}
	})
}

// A turn ends, its shard is handed over, the member leaves, and only then the reply gets its turn: it counts.
func TestAReplyThatIsLateBehindAHandover(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		for _, why := range []cluster.ReleaseReason{cluster.ReleaseMoved, cluster.ReleaseLost, cluster.ReleaseLeaving, cluster.ReleaseDead} {
			id := "cell-" + why.String()
			r := s.give(p[1], id, p[0])
			n := p[0].node.ShardOf(id)
			asked := 0
			p[1].table.whenValid(func() bool {
				if asked++; asked == 1 {
					return true // before the turn
				}
				if asked == 2 { // after it
					_, tag, target := s.begin(p[1], p[0], id)
					if err := p[1].Host().DrainShard(s.Context(), n, r.Epoch, target, tag); err != nil {
						s.Error(err)
					}
					p[1].Host().ReleaseShard(n, r.Epoch, why)
				}
				return false
			})
			_, err := p[0].do(s.Context(), id, "add", object.AtMostOnce())
			if why == cluster.ReleaseMoved {
				if err != nil {
					s.Error(err)
				}
			} else {
				s.want(err, object.CodeUnavailable, object.ExecutedUnknown, "lost contact")
			}
			if asked != 2 {
				s.Errorf("asked %d times", asked)
			}
			p[1].table.whenValid(nil)
		}
	})
}

// A turn's reply is withheld, not that of a call that did not run.
func TestWhatDidNotRunSaysSoWithoutALease(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		asked := 0
		p[1].table.whenValid(func() bool { asked++; return asked == 1 })
		c := s.request(p[0], "cell-x", "add")
		c.Method = "Undo"
		s.refused(s.raw(p[0], p[1]), c, object.CodeUnavailable, "lost contact")
		p[1].table.whenValid(nil)
	})
}
