package routing_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

const (
	traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceState  = "a=1,b=2"
)

// tracing makes "trace" say the trace context of its turn, "note trace" write it down.
func (w *world) tracing() {
	say := func(ctx context.Context) string {
		parent, state := w3c.Of(ctx)
		return parent + " " + state
	}
	w.on("trace", func(ctx context.Context, _ *cell, _ string) (string, error) { return say(ctx), nil })
	for _, word := range []string{"keep", "OnCreate", "OnActivate"} {
		w.on(word, func(ctx context.Context, o *cell, _ string) (string, error) {
			o.notes = append(o.notes, say(ctx))
			return "", nil
		})
	}
	w.on("kept", func(_ context.Context, o *cell, _ string) (string, error) { return strings.Join(o.notes, ";"), nil })
}

// apart are objects of the given types, each in a shard of its own.
func (s *stage) apart(types ...string) (ids []string) {
	taken := make(map[uint32]bool)
	for i := 0; len(ids) < len(types); i++ {
		id := fmt.Sprint(types[len(ids)], "-", i)
		if shard := s.peers[0].node.ShardOf(id); !taken[shard] {
			taken[shard] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// The trace context of a call crosses nodes: through chains, with one-way calls, those that are passed on included, and
// to the hooks that a call causes.
func TestTraceContextCrossesNodes(t *testing.T) {
	t.Parallel()
	onStage(t, 3, func(s *stage, p []*peer) {
		s.tracing()
		ids := s.apart("cell", "cell", "cell", "keeper", "fussy")
		here, there, third, keeper, fussy := ids[0], ids[1], ids[2], ids[3], ids[4]
		s.give(p[0], here, p[1])
		s.give(p[1], there, p[0])
		s.give(p[2], third, p...)
		s.give(p[1], keeper, p[0])
		s.give(p[1], fussy, p[0])
		const want = traceParent + " " + traceState
		ctx := w3c.With(s.Context(), traceParent, traceState)
		for _, request := range []string{"trace", "ask " + here + " trace", "ask " + here + " ask " + third + " trace"} {
			if got, err := p[0].do(ctx, there, request); err != nil || got != want {
				s.Errorf("%s: the trace context is %q, %v", request, got, err)
			}
			if got := p[0].must(there, request); got != " " {
				s.Errorf("%s: without a trace there is %q", request, got)
			}
		}
		for _, tell := range [][2]string{{keeper, "keep"}, {here, "tell " + keeper + " keep"}} {
			for _, old := range []bool{false, true} { // it is passed on where the caller's table is old
				if old {
					s.move(p[1], p[2], keeper)
				}
				if _, err := p[0].do(ctx, tell[0], tell[1], object.OneWay()); err != nil {
					s.Fatal(err)
				}
				pass(time.Second)
			}
			s.move(p[2], p[1], keeper, p[0])
		}
		if got := p[0].must(keeper, "kept"); strings.Count(got, want) != 4 {
			s.Errorf("one-way calls had the trace contexts %q", got)
		}
		if _, err := p[0].Create(ctx, "fussy", fussy, wrapperspb.String("")); err != nil {
			s.Fatal(err)
		}
		if got := p[0].must(fussy, "kept"); got != want+";"+want {
			s.Errorf("the hooks had the trace contexts %q", got)
		}
	})
}

// What another node sends for a trace context is as strange as what a client sends.
func TestForgedTraceContext(t *testing.T) {
	t.Parallel()
	onStage(t, 2, func(s *stage, p []*peer) {
		s.tracing()
		s.give(p[1], "cell-x", p[0])
		l := s.raw(p[0], p[1])
		for _, c := range []struct{ parent, state, want string }{
			{traceParent, traceState, traceParent + " " + traceState},
			{"", traceState, " "},
			{"nonsense", traceState, " "},
			{strings.Repeat("0", 1<<20), "", " "},
			{traceParent, "a=" + strings.Repeat("x", 1<<20), traceParent + " "},
			{traceParent, "\xff", traceParent + " "},
		} {
			call := s.request(p[0], "cell-x", "trace")
			call.TraceParent, call.TraceState = c.parent, c.state
			reply, err := l.Call(s.Context(), call)
			if err != nil || reply.Err != nil {
				s.Fatalf("%+v, %v", reply, err)
			}
			if got := decode(s.T, reply); got != c.want {
				s.Errorf("%.60q, %.60q arrive as %q", c.parent, c.state, got)
			}
		}
	})
}

func decode(t *testing.T, r *transport.Reply) string {
	t.Helper()
	var msg str
	if err := proto.Unmarshal(r.Body, &msg); err != nil {
		t.Fatal(err)
	}
	return msg.GetValue()
}
