package routing_test

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

// A call to a client that is gone is counted once, where it came from, wherever the client was; what the object of one that
// is there answers, where it ran.
func TestCallsToClientsThatAreGoneAreCounted(t *testing.T) {
	t.Parallel()
	missing := func(n uint64) map[object.Code]uint64 { return map[object.Code]uint64{object.CodeNotFound: n} }
	onStage(t, 3, func(s *stage, p []*peer) {
		own, other := s.visit(p[0], "own"), s.visit(p[1], "other")
		counted := func(what string, want ...map[object.Code]uint64) {
			s.Helper()
			synctest.Wait()
			for i := range p {
				if got := p[i].node.CallErrors(); !maps.Equal(got, want[i]) {
					s.Errorf("after %s node %d counts %v, want %v", what, i, got, want[i])
				}
			}
		}
		for _, id := range []string{own, other} {
			p[0].must(id, "hi")
		}
		_, _ = p[0].do(s.Context(), other, "absent")
		counted("an answer that something is not found", nil, missing(1), nil)
		for i, id := range []string{own, other} {
			if err := p[i].node.DetachClient(s.Context(), id, object.DisconnectClosed); err != nil {
				s.Error(err)
			}
		}
		_, _ = p[0].do(s.Context(), own, "hi")
		counted("a call to one of its own", missing(1), missing(1), nil)
		_, _ = p[0].Invoke(s.Context(), own, object.ExprOf((*visitor).Do), wrapperspb.String("hi"))
		counted("one by its method", missing(2), missing(1), nil)
		_, _ = p[0].do(s.Context(), other, "hi")
		counted("a call to another node's", missing(3), missing(1), nil)
		_, _ = p[2].do(s.Context(), "visitor-never@b", "hi")
		counted("one that never was", missing(3), missing(1), missing(1))
		_, _ = p[2].do(s.Context(), "visitor-lost@zzz", "hi")
		counted("one of a node that is no member", missing(3), missing(1), missing(2))
	})
}

// Each call that fails is counted once: by the node that ran it or refused it, or by the one it came from where no
// other could.
func TestFailedCallsAreCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		word, id string
		opts     []object.CallOption
		cut      bool
		here     map[object.Code]uint64 // where the call comes from
		there    map[object.Code]uint64 // where the object is
	}{
		"fine":           {word: "add", id: "cell-x"},
		"refused":        {word: "fail", id: "cell-x", there: map[object.Code]uint64{object.CodeUnavailable: 1}},
		"cut off":        {word: "add", id: "cell-x", cut: true, here: map[object.Code]uint64{object.CodeDeadlineExceeded: 1}},
		"once, cut off":  {word: "deaf 1s", id: "cell-x", opts: []object.CallOption{object.AtMostOnce()}, cut: true, here: map[object.Code]uint64{object.CodeDeadlineExceeded: 1}},
		"its own object": {word: "fail", id: "cell-own", here: map[object.Code]uint64{object.CodeUnavailable: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, 2, func(s *stage, p []*peer) {
				s.give(p[1], "cell-x", p[0])
				s.give(p[0], "cell-own", p[1])
				ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
				defer cancel()
				if c.cut {
					s.net.SetFaults(address("a"), address("b"), mem.Faults{Cut: true})
				}
				<-p[0].start(ctx, c.id, c.word, c.opts...)
				synctest.Wait()
				for i, want := range []map[object.Code]uint64{c.here, c.there} {
					if got := p[i].node.CallErrors(); !maps.Equal(got, want) {
						s.Errorf("node %d counts %v, want %v", i, got, want)
					}
				}
				s.net.SetFaults(address("a"), address("b"), mem.Faults{})
			})
		})
	}
}
