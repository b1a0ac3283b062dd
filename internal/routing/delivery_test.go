package routing_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

// recorder is a cell that keeps its own record of keys.
type recorder struct {
	cell

	record map[string]string
}

func (r *recorder) Lookup(_ context.Context, key string) (proto.Message, bool) {
	reply, ok := r.record[key]
	return wrapperspb.String("recorded " + reply), ok
}

func (r *recorder) Remember(_ context.Context, key string, reply proto.Message) {
	if r.record == nil {
		r.record = make(map[string]string)
	}
	r.record[key] = reply.(*str).GetValue()
}

// delivering sets the words of these tests.
func (w *world) delivering() {
	w.on("told", func(ctx context.Context, _ *cell, _ string) (string, error) {
		at, limited := ctx.Deadline()
		parent, _ := w3c.Of(ctx)
		return fmt.Sprint(object.IdempotencyKey(ctx), " ", object.MetadataFrom(ctx)["m"], " ", limited, time.Until(at), " ", parent), nil
	})
	w.on("panic", func(context.Context, *cell, string) (string, error) { panic("on purpose") })
	w.on("aborted", func(_ context.Context, o *cell, arg string) (string, error) {
		o.n++
		return "", object.NewError(object.CodeAborted, fmt.Sprint(arg, " ", o.n))
	})
}

// told is what a caller on one node is told of a call on another.
type told struct {
	reply    string
	code     object.Code
	reason   object.Reason
	executed object.Execution
	text     string
	runs     int // of the object, after all
}

// What calls promise holds where the object is on another node, link by link.
func TestWhatCallsPromiseAcrossNodes(t *testing.T) {
	t.Parallel()
	key := object.WithIdempotencyKey
	for _, tc := range []struct {
		name string
		id   string
		do   func(s *stage, p []*peer, id string) (string, error)
		want told
	}{
		{"a call runs", "cell", func(s *stage, p []*peer, id string) (string, error) {
			return p[0].do(s.Context(), id, "add")
		}, told{reply: "1", runs: 1}},
		{"what has not run is tried until it does", "cell", func(s *stage, p []*peer, id string) (string, error) {
			s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
			call := p[0].start(s.Context(), id, "add")
			pass(5 * time.Second)
			s.net.SetFaults(address("a"), address("b"), mem.Faults{})
			r := <-call
			return r.reply, r.err
		}, told{reply: "1", runs: 1}},
		{"what may have run is tried again, and not run again", "cell", func(s *stage, p []*peer, id string) (string, error) {
			call := p[0].start(s.Context(), id, "deaf 1s")
			s.cut(p[0], p[1])
			r := <-call
			return r.reply, r.err
		}, told{reply: "1", runs: 1}},
		{"… until the deadline", "cell", func(s *stage, p []*peer, id string) (string, error) {
			ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
			defer cancel()
			call := p[0].start(ctx, id, "deaf 1s")
			s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
			r := <-call
			return r.reply, r.err
		}, told{code: object.CodeDeadlineExceeded, executed: object.ExecutedUnknown, runs: 1}},
		{"at most once: what may have run is not tried again", "cell", func(s *stage, p []*peer, id string) (string, error) {
			call := p[0].start(s.Context(), id, "deaf 1s", object.AtMostOnce())
			s.cut(p[0], p[1])
			r := <-call
			pass(time.Minute)
			return r.reply, r.err
		}, told{code: object.CodeUnavailable, executed: object.ExecutedUnknown, runs: 1}},
		{"at most once: what has not run is", "cell", func(s *stage, p []*peer, id string) (string, error) {
			s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
			call := p[0].start(s.Context(), id, "add", object.AtMostOnce())
			pass(5 * time.Second)
			s.net.SetFaults(address("a"), address("b"), mem.Faults{})
			r := <-call
			return r.reply, r.err
		}, told{reply: "1", runs: 1}},
		{"one way: nobody waits", "cell", func(s *stage, p []*peer, id string) (string, error) {
			begun := time.Now()
			reply, err := p[0].do(s.Context(), id, "deaf 1s", object.OneWay())
			if d := time.Since(begun); d != 0 {
				s.Errorf("it took %v", d)
			}
			pass(2 * time.Second)
			return reply, err
		}, told{runs: 1}},
		{"a key: the first outcome", "cell", func(s *stage, p []*peer, id string) (string, error) {
			if _, err := p[0].do(s.Context(), id, "add", key("k")); err != nil {
				s.Error(err)
			}
			p[0].must(id, "add")
			return p[0].do(s.Context(), id, "add", key("k"))
		}, told{reply: "1", runs: 2}},
		{"a key: also of a failure", "cell", func(s *stage, p []*peer, id string) (string, error) {
			_, _ = p[0].do(s.Context(), id, "aborted why", key("k"))
			return p[0].do(s.Context(), id, "aborted why", key("k"))
		}, told{code: object.CodeAborted, executed: object.ExecutedYes, text: "why 1", runs: 1}},
		{"a key with another request", "cell", func(s *stage, p []*peer, id string) (string, error) {
			_, _ = p[0].do(s.Context(), id, "add", key("k"))
			return p[0].do(s.Context(), id, "add more", key("k"))
		}, told{code: object.CodeFailedPrecondition, reason: object.KeyReused, executed: object.ExecutedNo, runs: 1}},
		{"a key: the object's own record", "recorder", func(s *stage, p []*peer, id string) (string, error) {
			_, _ = p[0].do(s.Context(), id, "add", key("k"))
			return p[0].do(s.Context(), id, "add more", key("k"))
		}, told{reply: "recorded 1", runs: 1}},
		{"key, metadata, deadline and trace cross", "cell", func(s *stage, p []*peer, id string) (string, error) {
			ctx, cancel := context.WithTimeout(w3c.With(s.Context(), traceParent, ""), 7*time.Second)
			defer cancel()
			return p[0].do(ctx, id, "told", key("k"), object.WithMetadata("m", "v"))
		}, told{reply: "k v true 7s " + traceParent, runs: 1}},
		{"cancelling crosses, and is unknown while it runs", "cell", func(s *stage, p []*peer, id string) (string, error) {
			ctx, cancel := context.WithCancel(s.Context())
			call := p[0].start(ctx, id, "sleep 1m")
			cancel()
			r := <-call
			synctest.Wait()
			if got := p[0].must(id, "add"); got != "1" { // it has ended
				s.Errorf("the count is %s", got)
			}
			return r.reply, r.err
		}, told{code: object.CodeCanceled, executed: object.ExecutedUnknown, runs: 2}},
		{"cancelled while it waits", "cell", func(s *stage, p []*peer, id string) (string, error) {
			busy := p[1].start(s.Context(), id, "deaf 2s")
			ctx, cancel := context.WithCancel(s.Context())
			call := p[0].start(ctx, id, "add")
			cancel()
			r := <-call
			<-busy
			return r.reply, r.err
		}, told{code: object.CodeCanceled, executed: object.ExecutedUnknown, runs: 1}}, // the caller cannot know
		{"over before it is sent", "cell", func(s *stage, p []*peer, id string) (string, error) {
			ctx, cancel := context.WithCancel(s.Context())
			cancel()
			return p[0].do(ctx, id, "add")
		}, told{code: object.CodeCanceled, executed: object.ExecutedNo}},
		{"an application's error", "cell", func(s *stage, p []*peer, id string) (string, error) {
			return p[0].do(s.Context(), id, "fail why")
		}, told{code: object.CodeUnavailable, executed: object.ExecutedYes, text: "why", runs: 1}},
		{"a panic", "cell", func(s *stage, p []*peer, id string) (string, error) {
			reply, err := p[0].do(s.Context(), id, "panic")
			if got := p[0].must(id, "add"); got != "1" { // the node lives, the activation is another
				s.Errorf("the count is %s", got)
			}
			return reply, err
		}, told{code: object.CodeInternal, executed: object.ExecutedYes, runs: 2}},
		{"an unknown method", "cell", func(s *stage, p []*peer, id string) (string, error) {
			_, err := p[0].Call(s.Context(), id, "Undo", nil)
			return "", err
		}, told{code: object.CodeUnimplemented, reason: object.UnknownMethod, executed: object.ExecutedNo}},
		{"a full mailbox", "fussy", func(s *stage, p []*peer, id string) (string, error) {
			first, second := p[1].start(s.Context(), id, "deaf 1s"), p[1].start(s.Context(), id, "add")
			reply, err := p[0].do(s.Context(), id, "add")
			<-first
			<-second
			return reply, err
		}, told{code: object.CodeResourceExhausted, reason: object.Overloaded, executed: object.ExecutedNo, runs: 2}},
		{"a chain that comes back", "cell", func(s *stage, p []*peer, id string) (string, error) {
			here := s.apart("cell", "cell", "cell", "cell")[3]
			s.give(p[0], here, p[1])
			return p[0].do(s.Context(), here, "ask "+id+" ask "+here+" add")
		}, told{code: object.CodeFailedPrecondition, reason: object.Deadlock, executed: object.ExecutedYes, text: "→ cell-", runs: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.delivering()
				id := s.apart(tc.id)[0]
				s.give(p[1], id, p[0])
				reply, err := tc.do(s, p, id)
				e := object.FromError(err)
				if e == nil {
					e = &object.Error{}
				}
				got := told{reply, e.Code, e.Reason, 0, tc.want.text, s.ran(id)}
				if err != nil {
					got.executed = object.Executed(err)
				}
				if got != tc.want || !strings.Contains(e.Message, tc.want.text) {
					s.Errorf("told %+v, %v, want %+v", got, err, tc.want)
				}
			})
		})
	}
}

// What another node says of the length of a chain is checked.
func TestForgedDepthOfChains(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		ids := s.apart("cell", "fussy")
		s.give(p[1], ids[0], p[0])
		s.give(p[1], ids[1], p[0])
		l := s.raw(p[0], p[1])
		for _, n := range []int{31, 32, 1000} {
			c := s.request(p[0], ids[0], "add")
			for i := range n {
				c.Chain = append(c.Chain, transport.Step{ID: fmt.Sprint("cell-far", i), Method: "Do", Turn: transport.CallID{1: byte(i)}})
			}
			if n == 31 {
				if reply, err := l.Call(s.Context(), c); err != nil || reply.Err != nil {
					s.Errorf("a chain of 32 calls: %+v, %v", reply, err)
				}
				continue
			}
			s.refused(l, c, object.CodeFailedPrecondition, "longer than 32")
			for _, op := range []transport.Op{transport.OpCreate, transport.OpDelete} {
				d := *c
				d.Request, d.Op, d.Shard, d.Epoch = object.Request{ID: ids[1]}, op, p[1].node.ShardOf(ids[1]), 0
				s.refused(l, &d, object.CodeFailedPrecondition, "longer than 32")
			}
		}
	})
}

// A call whose time is over when it arrives, or when its turn comes after it has waited for a gate, is not run: whether
// anybody waits for it or not, and whatever it asks for.
func TestCallsThatCameTooLate(t *testing.T) {
	t.Parallel()
	for _, gate := range []string{"open", "closed", "closed for a while"} {
		t.Run(gate, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.delivering()
				ids := s.apart("cell", "fussy")
				guest := s.visit(p[1], "eve")
				pass(time.Minute)
				for _, id := range ids {
					r := s.give(p[1], id, p[0])
					if gate == "open" {
						continue
					}
					_, tag, target := s.begin(p[1], p[0], id)
					n := p[1].node.ShardOf(id)
					if err := p[1].Host().DrainShard(s.Context(), n, r.Epoch, target, tag); err != nil {
						s.Fatal(err)
					}
					defer p[1].Host().ReopenShard(n, r.Epoch)
				}
				left := -time.Second // of their time
				if gate == "closed for a while" {
					left = time.Second
				}
				var waiting []<-chan *transport.Reply
				for _, oneWay := range []bool{false, true} {
					for _, op := range []transport.Op{transport.OpCall, transport.OpCreate, transport.OpDelete} {
						for _, id := range append(ids, guest) {
							c := s.request(p[0], id, "add")
							c.Op, c.OneWay, c.From = op, oneWay, "a"
							switch {
							case id == guest && (op != transport.OpCall || left > 0), op != transport.OpCall && oneWay:
								continue
							case id == guest:
								c.Shard = noShard
							}
							if op != transport.OpCall {
								c.Request = object.Request{ID: id}
							}
							ctx, cancel := context.WithTimeout(s.Context(), left)
							defer cancel()
							run, done := p[1].Handler().AcceptCall(ctx, c), make(chan *transport.Reply, 1)
							go func() { done <- run() }()
							waiting = append(waiting, done)
						}
					}
				}
				pass(2 * time.Second)
				for i, done := range waiting {
					if len(done) == 0 {
						s.Fatalf("call %d has not ended", i)
					}
					if e := (<-done).Err; e == nil || e.Code != object.CodeDeadlineExceeded || object.Executed(e) != object.ExecutedNo {
						s.Errorf("call %d ended with %v", i, e)
					}
				}
				for _, id := range append(ids, guest) {
					if n := s.ran(id); n != 0 {
						s.Errorf("%s ran %d times", id, n)
					}
				}
			})
		})
	}
}

// noShard is the shard of client objects, on the wire.
const noShard = math.MaxUint32
