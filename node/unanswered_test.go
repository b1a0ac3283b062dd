package node_test

import (
	"context"
	"maps"
	"testing"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// Who looks at a node sees the calls from there that got no answer, with who made them.
func TestCallsWithoutAnAnswerAreSeen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		w.Unanswered(t.Context(), "Plain-b", "Write", object.ErrUnavailable) // nobody looks
		o := w.Observe()
		defer o.Close()
		o.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: "Plain-b"})
		w.on("lose", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.Unanswered(ctx, "Plain-b", "Write", object.ErrDeadlineExceeded)
			return "", nil
		})
		for range 3 {
			w.must("Hook-a", "Free", "lose")
		}
		w.Unanswered(t.Context(), "Plain-b", "Nothing", object.ErrDeadlineExceeded)
		w.Unanswered(t.Context(), "nonsense", "Write", object.ErrInvalidArgument)
		r := o.Collect()
		if m := methodOf(r, "Plain", "Write"); m.GetErrors() != 3 || m.GetCalls() != 3 || m.GetLastCode() != "DeadlineExceeded" {
			t.Errorf("of Plain.Write: %v", m)
		}
		if e := edgeOf(r.GetObjectEdges(), "Hook-a", "Plain-b"); e.GetErrors() != 3 || e.GetCalls() != 3 {
			t.Errorf("from Hook-a: %v", e)
		}
		if e := edgeOf(r.GetTypeEdges(), "", "Plain"); e.GetErrors() != 1 {
			t.Errorf("from outside: %v", e)
		}
		want := map[object.Code]uint64{object.CodeUnavailable: 1, object.CodeDeadlineExceeded: 4, object.CodeInvalidArgument: 1}
		if got := w.CallErrors(); !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
	})
}
