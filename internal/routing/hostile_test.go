package routing_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// nested is fields in each other, from the outermost to the innermost.
func nested(depth int, fields ...protowire.Number) (b []byte) {
	sizes := make([]int, depth)
	for i := 1; i < depth; i++ {
		sizes[i] = protowire.SizeTag(fields[(depth-i)%len(fields)]) + protowire.SizeBytes(sizes[i-1])
	}
	for i := range depth {
		b = protowire.AppendVarint(protowire.AppendTag(b, fields[i%len(fields)], protowire.BytesType), uint64(sizes[depth-1-i]))
	}
	return b
}

// groups are groups in each other that no message knows.
func groups(depth int) (b []byte) {
	for range depth {
		b = protowire.AppendTag(b, 99, protowire.StartGroupType)
	}
	for range depth {
		b = protowire.AppendTag(b, 99, protowire.EndGroupType)
	}
	return b
}

// What is nested ten thousand deep is refused before anything runs: messages, and chains of calls.
func TestDeepRequests(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.give(p[1], "cell-x", p[0])
		s.give(p[1], "fussy-x", p[0])
		l := s.raw(p[0], p[1])
		for _, depth := range []int{1000, 10_000, 100_000} {
			c := s.request(p[0], "fussy-x", "add")
			c.Op, c.Message, c.Body = transport.OpCreate, "google.protobuf.ListValue", nested(depth, 1, 6)
			s.refused(l, c, object.CodeInvalidArgument, "decode")
		}
		c := s.request(p[0], "cell-x", "add")
		c.Body = append(c.Body, groups(100_000)...)
		s.refused(l, c, object.CodeInvalidArgument, "decode")
		c.Body = append(encode(t, "add"), groups(9000)...) // what is unknown is carried, and nobody looks into it
		if r, err := l.Call(s.Context(), c); err != nil || r.Err != nil {
			s.Errorf("a call with deep unknown fields: %+v, %v", r, err)
		}
		for _, depth := range []int{32, 10_000} {
			c := s.request(p[0], "cell-x", "add")
			for i := range depth {
				c.Chain = append(c.Chain, transport.Step{ID: fmt.Sprintf("cell-%d", i), Method: "Do", Turn: transport.CallID{1, byte(i)}})
			}
			s.refused(l, c, object.CodeFailedPrecondition, "")
		}
		if got := p[0].must("cell-x", "add"); got != "2" {
			s.Errorf("afterwards the count is %s", got)
		}
	})
}

// A node that says of itself, with numbers that nobody can beat, that it owns what it does not run is believed for a
// few hops only.
func TestForgedHints(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(asked int, r *transport.Reply){
		"the greatest epoch": func(_ int, r *transport.Reply) { r.Epoch, r.Revision = math.MaxUint64, math.MaxInt64 },
		"ever greater ones":  func(asked int, r *transport.Reply) { r.Epoch, r.Revision = 100+uint64(asked), 100+int64(asked) },
		"none at all":        func(_ int, r *transport.Reply) { r.Epoch, r.Revision = 0, math.MinInt64 },
		"nobody": func(_ int, r *transport.Reply) {
			r.Owner, r.Epoch, r.Revision = &transport.Peer{Cluster: "test"}, 100, 100
		},
		"somebody who is gone": func(asked int, r *transport.Reply) {
			r.Owner.Incarnation, r.Epoch, r.Revision = "gone", 100, 100+int64(asked)
		},
		"an address of nothing": func(asked int, r *transport.Reply) {
			r.Owner.Address, r.Epoch, r.Revision = "nowhere", 100, 100+int64(asked)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				r := s.give(p[1], "cell-x", p[0])
				asked := 0
				s.impostor("evil", func(*transport.Call) *transport.Reply {
					asked++
					reply := &transport.Reply{
						Err:   object.Refuse(object.CodeUnavailable, "Misrouted", "call", "cell-x", "Do", "not here"),
						Owner: &transport.Peer{Cluster: "test", Address: address("evil"), Incarnation: "evil"},
					}
					forge(asked, reply)
					return reply
				})
				n := p[0].node.ShardOf("cell-x")
				p[0].table.tell(n, cluster.Route{Incarnation: "evil", Address: address("evil"), Epoch: r.Epoch + 1, Revision: r.Revision + 1})
				ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
				defer cancel()
				if got, err := p[0].do(ctx, "cell-x", "where"); err != nil || got != "b" {
					s.Errorf("it ran on %s, %v", got, err)
				}
				if asked == 0 || asked > 12 {
					s.Errorf("the one who lies was asked %d times", asked)
				}
				if got := p[0].must("cell-x", "where"); got != "b" {
					s.Errorf("later it ran on %s", got)
				}
			})
		})
	}
}

// Messages that arrive twice, and a reply that gets lost now and then: what has a key is applied once all the same.
func TestReplayedCallsWithAKey(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		const calls = 40
		s.give(p[1], "cell-x", p[0])
		s.net.SetFaults(address("a"), address("b"), mem.Faults{Duplicate: 0.7, Jitter: 20 * time.Millisecond})
		s.net.SetFaults(address("b"), address("a"), mem.Faults{Duplicate: 0.7, Jitter: 20 * time.Millisecond})
		for i := range calls {
			want := fmt.Sprint(i + 1 + i/8) // the slow ones count as well
			got, err := p[0].do(s.Context(), "cell-x", "add", object.WithIdempotencyKey(fmt.Sprint(i)))
			if err != nil || got != want {
				s.Fatalf("call %d: %s, %v", i, got, err)
			}
			if i%8 == 7 { // its connection breaks while it is under way: the caller says it once more
				call := p[0].start(s.Context(), "cell-x", "deaf 1s", object.WithIdempotencyKey(fmt.Sprint("slow", i)))
				pass(100 * time.Millisecond)
				s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
				s.net.SetFaults(address("a"), address("b"), mem.Faults{Duplicate: 0.7, Jitter: 20 * time.Millisecond})
				if r := <-call; r.err != nil {
					s.Errorf("call %d that was cut: %v", i, r.err)
				}
			}
		}
		if got := s.ran("cell-x"); got != calls+calls/8 {
			s.Errorf("%d turns ran, want %d", got, calls+calls/8)
		}
	})
}
