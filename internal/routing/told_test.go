package routing_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/node"
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
		here     string // the code that is told where the call comes from; empty: none is
		there    string // the same where the object is
	}{
		"fine":           {word: "add", id: "cell-x"},
		"refused":        {word: "fail", id: "cell-x", there: "Unavailable"},
		"cut off":        {word: "add", id: "cell-x", cut: true, here: "DeadlineExceeded"},
		"once, cut off":  {word: "deaf 1s", id: "cell-x", opts: []object.CallOption{object.AtMostOnce()}, cut: true, here: "DeadlineExceeded"},
		"its own object": {word: "fail", id: "cell-own", here: "Unavailable"},
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
				watched := []*node.Observation{p[0].node.Observe(), p[1].node.Observe()}
				<-p[0].start(ctx, c.id, c.word, c.opts...)
				synctest.Wait()
				for i, want := range []string{c.here, c.there} {
					failed, code := uint64(0), ""
					for _, m := range watched[i].Collect().GetMethods() {
						failed, code = failed+m.GetErrors(), m.GetLastCode()
					}
					watched[i].Close()
					if code != want || (failed == 1) != (want != "") {
						s.Errorf("node %d tells of %d errors, %q, want %q", i, failed, code, want)
					}
				}
				s.net.SetFaults(address("a"), address("b"), mem.Faults{})
			})
		})
	}
}
