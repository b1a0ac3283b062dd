package routing_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

func encode(t *testing.T, words string) []byte {
	t.Helper()
	b, err := proto.Marshal(wrapperspb.String(words))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// result is how a call ended that the test did not wait for.
type result struct {
	reply string
	err   error
	after time.Duration
}

// start begins a call on a goroutine.
func (p *peer) start(ctx context.Context, id, request string, opts ...object.CallOption) <-chan result {
	done := make(chan result, 1)
	begun := time.Now()
	go func() {
		reply, err := p.do(ctx, id, request, opts...)
		done <- result{reply, err, time.Since(begun)}
	}()
	synctest.Wait()
	return done
}

// pending says that a call has not ended.
func (w *world) pending(done <-chan result) {
	w.Helper()
	synctest.Wait()
	select {
	case r := <-done:
		w.Fatalf("the call has ended: %+v", r)
	default:
	}
}

func TestACallRunsWhereItsObjectIs(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0], p[2])
		for i, from := range p {
			if got := from.must("cell-x", "add"); got != fmt.Sprint(i+1) {
				s.Errorf("%s: the count is %s", from.name, got)
			}
			if got := from.must("cell-x", "where"); got != "b" {
				s.Errorf("%s: it ran on %s", from.name, got)
			}
		}
		reply, err := p[0].Invoke(s.Context(), "cell-x", object.ExprOf((*cell).Do), wrapperspb.String("add"))
		if err != nil || reply.(*str).GetValue() != "4" {
			s.Errorf("Invoke: %v, %v", reply, err)
		}
		_, err = p[0].Invoke(s.Context(), "cell-x", object.ExprOf((*keeper).Do), wrapperspb.String("add"))
		s.want(err, object.CodeInvalidArgument, object.ExecutedNo, "")
	})
}

func TestAWrongGuessHealsTheTable(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		old := s.give(p[1], "cell-x", p[0], p[2])
		r := s.move(p[1], p[2], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if got, _ := p[0].table.Route(n); got != old {
			s.Fatalf("the table knows %+v", got)
		}
		begun := time.Now()
		if got := p[0].must("cell-x", "where"); got != "c" {
			s.Errorf("it ran on %s", got)
		}
		if d := time.Since(begun); d != 0 {
			s.Errorf("the first wrong guess took %v", d)
		}
		if got, _ := p[0].table.Route(n); got != r {
			s.Errorf("the table knows %+v, not %+v", got, r)
		}
		if p[0].table.asked()+p[1].table.asked()+p[2].table.asked() != 0 {
			s.Error("the store was asked")
		}
	})
}

// Every node points at the next: whoever follows is led around until somebody asks the store.
func TestManyWrongGuesses(t *testing.T) {
	t.Parallel()
	onStage(t, 7, func(s *stage, p []*peer) {
		n := p[0].node.ShardOf("cell-x")
		for i := range 6 {
			p[i].table.tell(n, cluster.Route{Incarnation: p[i+1].name, Address: address(p[i+1].name), Epoch: uint64(i + 1), Revision: int64(i + 1)})
		}
		s.truth.revision = 6
		s.truth.routes[n] = cluster.Route{Epoch: 6}
		s.give(p[6], "cell-x")
		begun := time.Now()
		if got := p[0].must("cell-x", "where"); got != "g" {
			s.Errorf("it ran on %s", got)
		}
		if d := time.Since(begun); d <= 0 || d > 100*time.Millisecond {
			s.Errorf("five wrong guesses took %v", d)
		}
		if p[0].table.asked() != 1 {
			s.Errorf("the store was asked %d times", p[0].table.asked())
		}
	})
}

func TestAStaleOwnerReadsTheStore(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0], p[2])
		old, tag, target := s.begin(p[1], p[2], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		if err := p[1].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		r := s.record(p[2], "cell-x")
		p[0].table.tell(n, r) // the caller knows, the new owner does not
		call := p[0].start(s.Context(), "cell-x", "where")
		s.pending(call)
		if p[2].table.asked() != 1 {
			s.Errorf("the new owner asked the store %d times", p[2].table.asked())
		}
		if err := p[2].Host().OpenShard(s.Context(), n, r.Epoch, tag); err != nil {
			s.Fatal(err)
		}
		if got := <-call; got.reply != "c" || got.after != 0 {
			s.Errorf("the call ended with %+v", got)
		}
		p[1].Host().ReleaseShard(n, old.Epoch, cluster.ReleaseMoved)
	})
}

// An owner that has not heard that it is none any more, its lease being good still, runs no call that knows better. It
// would, if it ignored what epoch the call names.
func TestAnOwnerThatIsNoneAnyMore(t *testing.T) {
	t.Parallel()
	for flawed, want := range map[bool]string{false: "c", true: "b"} {
		onStage(t, 3, func(s *stage, p []*peer) {
			stale := s.give(p[1], "cell-x", p[0])
			n := p[0].node.ShardOf("cell-x")
			r := s.record(p[2], "cell-x")
			p[2].table.tell(n, r)
			if err := p[2].Host().OpenShard(s.Context(), n, r.Epoch, 0); err != nil {
				s.Fatal(err)
			}
			stale.Epoch = r.Epoch // all that the caller has heard
			p[0].table.tell(n, stale)
			if got := p[0].must("cell-x", "where"); got != want {
				s.Errorf("it ran on %s, want %s (flawed: %v)", got, want, flawed)
			}
		}, func(c *routing.Config) { c.Flaws.IgnoreRequestEpoch = flawed })
	}
}

func TestACallWaitsForAnOwner(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		nobody := p[0].start(s.Context(), "cell-x", "where")
		pass(3 * time.Second)
		s.pending(nobody)
		r := s.record(p[1], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		p[0].table.tell(n, r)
		p[1].table.tell(n, r)
		pass(time.Second)
		s.pending(nobody) // the owner has not opened it
		if err := p[1].Host().OpenShard(s.Context(), n, r.Epoch, 0); err != nil {
			s.Fatal(err)
		}
		if got := <-nobody; got.reply != "b" || got.after != 4*time.Second {
			s.Errorf("the call ended with %+v", got)
		}
	})
}

func TestACallWaitsForTheOwnGate(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		r := s.record(p[0], "cell-x")
		n := p[0].node.ShardOf("cell-x")
		p[0].table.tell(n, r)
		opening := p[0].start(s.Context(), "cell-x", "where")
		s.pending(opening)
		if err := p[0].Host().OpenShard(s.Context(), n, r.Epoch, 0); err != nil {
			s.Fatal(err)
		}
		if got := <-opening; got.reply != "a" || got.after != 0 {
			s.Errorf("the call ended with %+v", got)
		}
		// It moves away while the call waits.
		old, tag, target := s.begin(p[0], p[1], "cell-x")
		if err := p[0].Host().DrainShard(s.Context(), n, old.Epoch, target, tag); err != nil {
			s.Fatal(err)
		}
		moving := p[0].start(s.Context(), "cell-x", "where")
		s.pending(moving)
		s.finish(p[0], p[1], "cell-x", tag)
		if got := <-moving; got.reply != "b" || got.after != 0 {
			s.Errorf("the call ended with %+v", got)
		}
		// It is suspended, and resumed.
		p[1].Host().Suspend(cluster.ErrFenced)
		suspended := p[1].start(s.Context(), "cell-x", "where")
		pass(time.Second)
		s.pending(suspended)
		p[1].Host().Resume()
		if got := <-suspended; got.reply != "b" || got.after != time.Second {
			s.Errorf("the call ended with %+v", got)
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		short, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		r := <-p[0].start(short, "cell-x", "where")
		s.want(r.err, object.CodeDeadlineExceeded, object.ExecutedNo, "no node could answer")
		if r.after != time.Second || !errors.Is(r.err, context.DeadlineExceeded) {
			s.Errorf("after %v: %v", r.after, r.err)
		}
		if r = <-p[0].start(s.Context(), "cell-x", "where"); r.after != object.DefaultCallTimeout {
			s.Errorf("without a deadline the call took %v", r.after)
		}
		s.want(r.err, object.CodeDeadlineExceeded, object.ExecutedNo, "no node could answer")
		left, leave := context.WithCancel(s.Context())
		call := p[0].start(left, "cell-x", "where")
		leave()
		s.want((<-call).err, object.CodeCanceled, object.ExecutedNo, "cancelled")

		s.give(p[1], "cell-x", p[0])
		short, cancel = context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		r = <-p[0].start(short, "cell-x", "sleep 1m")
		s.want(r.err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "")
		if r.after != time.Second {
			s.Errorf("it took %v", r.after)
		}
	})
}

func TestErrorsOfObjectsAreFinal(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		for _, from := range p {
			_, err := from.do(s.Context(), "cell-x", "fail own")
			s.want(err, object.CodeUnavailable, object.ExecutedYes, "own")
		}
		if n := s.ran("cell-x"); n != 2 {
			s.Errorf("it ran %d times", n)
		}
		s.give(p[1], "fussy-x", p[0])
		s.give(p[1], "fussy-y", p[0])
		hooks := 0
		s.on("OnActivate", func(context.Context, *cell, string) (string, error) {
			hooks++
			return "", object.NewError(object.CodeUnavailable, "not today")
		})
		for _, from := range p {
			_, err := from.do(s.Context(), "fussy-x", "add")
			s.want(err, object.CodeUnavailable, object.ExecutedNo, "not today")
			_, err = from.Create(s.Context(), "fussy", "fussy-y", nil)
			s.want(err, object.CodeUnavailable, object.ExecutedNo, "not today")
		}
		if hooks != 4 {
			s.Errorf("the hook ran %d times", hooks)
		}
		hooks = 0
		s.on("OnCreate", s.action("OnActivate"))
		for _, from := range p {
			_, err := from.Create(s.Context(), "fussy", "fussy-x", nil)
			s.want(err, object.CodeUnavailable, object.ExecutedNo, "not today")
		}
		if hooks != 2 {
			s.Errorf("the hook ran %d times", hooks)
		}
		_, err := p[0].Call(s.Context(), "cell-x", "Undo", nil)
		s.want(err, object.CodeUnimplemented, object.ExecutedNo, "")
		_, err = p[0].Call(s.Context(), "ghost-x", "Do", nil)
		s.want(err, object.CodeNotFound, object.ExecutedNo, "")
		_, err = p[0].Call(s.Context(), "no id", "Do", nil)
		s.want(err, object.CodeInvalidArgument, object.ExecutedNo, "")
	})
}

// A full mailbox is a refusal, not a reason to try again.
func TestRefusalsAreFinal(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "fussy-x", p[0])
		ctx, cancel := context.WithCancel(s.Context())
		calls := []<-chan result{p[0].start(ctx, "fussy-x", "sleep 1m"), p[0].start(ctx, "fussy-x", "add")}
		pass(3 * time.Second)
		begun := time.Now()
		_, err := p[0].do(s.Context(), "fussy-x", "add")
		s.want(err, object.CodeResourceExhausted, object.ExecutedNo, "")
		if !errors.Is(err, object.ErrOverloaded) || object.FromError(err).RetryAfter != 3*time.Second || time.Since(begun) != 0 {
			s.Errorf("%v is not ErrOverloaded, after %v, to be tried again after %v", err, time.Since(begun), object.FromError(err).RetryAfter)
		}
		cancel()
		for _, c := range calls {
			<-c
		}
	})
}

// The link breaks while the call runs: it is tried again, unless that is forbidden.
// What certainly did not run is sent again even if it may run once only.
// An unknown outcome is not forgotten when the attempts after it certainly did not run.
// A node dies: who waits for its answer goes on when the cluster knows, although the connection says nothing.
// A member that leaves in peace has answers under way when it is no member any more.
func TestManyCallersOfAMovingObject(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.give(p[0], "keeper-x", p[1], p[2])
		const each = 50
		var wg sync.WaitGroup
		for _, from := range p {
			for range 4 {
				wg.Go(func() {
					for range each {
						if _, err := from.do(s.Context(), "keeper-x", "sleep 1ms"); err != nil {
							s.Errorf("%s: %v", from.name, err)
						}
					}
				})
			}
		}
		for i := range 30 {
			pass(7 * time.Millisecond)
			s.move(p[i%3], p[(i+1)%3], "keeper-x")
		}
		wg.Wait()
		if got := p[0].must("keeper-x", "add"); got != fmt.Sprint(12*each+1) || s.ran("keeper-x") != 12*each+1 {
			s.Errorf("the count is %s after %d runs", got, s.ran("keeper-x"))
		}
	})
}

// A call that waits in its object's mailbox goes to the new owner when the node loses the shard; the one that runs may
// have done anything.
// A node whose gate is open although the table names a later owner does not run anything, and says who does.
func TestALaterOwnerCounts(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		old := s.give(p[1], "cell-x", p[0])
		s.give(p[2], "cell-x", p[1])
		reply := s.refused(s.raw(p[0], p[1]), s.request(p[0], "cell-x", "where"), object.CodeUnavailable, "another node owns")
		if reply.Owner == nil || reply.Owner.Incarnation != "c" || reply.Epoch != old.Epoch+1 {
			s.Errorf("%+v", reply)
		}
		if got := p[0].must("cell-x", "where"); got != "c" {
			s.Errorf("it ran on %s", got)
		}
	})
}

// A node that stops answers, and says that it does not.
// The outcome is unknown once a node has said so, whatever comes later.
// A call that has waited on its own node is checked like any other.
func TestACallThatWaitedIsChecked(t *testing.T) {
	t.Parallel()
	var valid atomic.Bool
	valid.Store(true)
	onStage(t, 1, func(s *stage, p []*peer) {
		r := s.record(p[0], "cell-x")
		call := p[0].start(s.Context(), "cell-x", "deaf 1s")
		p[0].table.tell(p[0].node.ShardOf("cell-x"), r)
		if err := p[0].Host().OpenShard(s.Context(), p[0].node.ShardOf("cell-x"), r.Epoch, 0); err != nil {
			s.Fatal(err)
		}
		synctest.Wait()
		valid.Store(false)
		end := <-call
		s.want(end.err, object.CodeDeadlineExceeded, object.ExecutedUnknown, "lost contact")
	}, func(c *routing.Config) { c.Valid = valid.Load })
}

// The watch has missed that a member died and who took over: callers find out all the same.
// impostor answers every call as it likes.
func (s *stage) impostor(name string, answer func(c *transport.Call) *transport.Reply) {
	s.Helper()
	e, err := s.net.Listen(s.Context(), transport.Peer{Cluster: "test", Address: address(name), Incarnation: name},
		transport.HandlerFunc(func(_ context.Context, c *transport.Call) *transport.Reply { return answer(c) }))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { e.Close(context.Background()) })
}

func TestHintsOfOtherClusters(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		n := p[0].node.ShardOf("cell-x")
		s.impostor("evil", func(*transport.Call) *transport.Reply {
			return &transport.Reply{
				Err:   object.Refuse(object.CodeUnavailable, "Misrouted", "call", "cell-x", "Do", "not here"),
				Owner: &transport.Peer{Cluster: "other", Address: "x:1", Incarnation: "x"}, Epoch: 9, Revision: 9,
			}
		})
		evil := cluster.Route{Incarnation: "evil", Address: address("evil"), Epoch: 3, Revision: 3}
		p[0].table.tell(n, evil)
		ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		_, err := p[0].do(ctx, "cell-x", "where")
		s.want(err, object.CodeDeadlineExceeded, object.ExecutedNo, "not here")
		if got, _ := p[0].table.Route(n); got != evil {
			s.Errorf("the table knows %+v", got)
		}
	})
}

// A turn whose shard is lost may have done anything: its call is tried again where that is allowed, on the own node too.
// A turn that has its answer waits for nobody: calls of the chain that led there wait for the turn like others.
func TestADepartureEndsWithItsAnswer(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{1, 2} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			t.Parallel()
			departureEndsWithItsAnswer(t, attempts)
		})
	}
}

func departureEndsWithItsAnswer(t *testing.T, attempts int) {
	t.Helper()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[0], "cell-x", p[1])
		var chain []transport.Step
		tries := 0
		s.impostor("evil", func(c *transport.Call) *transport.Reply {
			chain = c.Chain
			if tries++; tries < attempts {
				return &transport.Reply{Err: object.Refuse(object.CodeUnavailable, "", "", "", "", "not now").WithExecuted(object.ExecutedUnknown)}
			}
			return &transport.Reply{Reply: object.Reply{Message: "google.protobuf.StringValue"}}
		})
		other := "cell-far" + apart(p[0], "cell-x")
		p[0].table.tell(p[0].node.ShardOf(other), cluster.Route{Incarnation: "evil", Address: address("evil"), Epoch: 3, Revision: 3})
		s.on("both", func(ctx context.Context, o *cell, _ string) (string, error) {
			if _, err := s.action("ask")(ctx, o, other+" add"); err != nil {
				return "", err
			}
			return s.action("deaf")(ctx, o, "1s")
		})
		turn := p[0].start(s.Context(), "cell-x", "both")
		pause := time.Duration(attempts-1) * 100 * time.Millisecond // between them, at most
		pass(pause)
		if len(chain) != 1 || chain[0].ID != "cell-x" || chain[0].Turn == (transport.CallID{}) {
			s.Fatalf("the chain is %v", chain)
		}
		c := s.request(p[1], "cell-x", "where")
		c.Chain = chain
		begun := time.Now()
		reply, err := s.raw(p[1], p[0]).Call(s.Context(), c)
		if took := time.Since(begun); err != nil || reply.Err != nil || took > time.Second || took < time.Second-pause {
			s.Errorf("%+v, %v, after %v", reply, err, took)
		}
		<-turn
	})
}
