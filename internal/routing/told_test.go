package routing_test

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

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
