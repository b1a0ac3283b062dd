package node_test

import (
	"testing"

	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// Turns that have ended are added to the figures later, many at a time: whoever asks for these sees all of them, and each counts for
// those who observed at its time, in what they wanted then.
func TestEndedTurnsCountAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		o := w.Observe()
		defer o.Close()
		calls := func(n int) {
			for range n {
				w.must("Plain-a", "Write", "echo x")
			}
		}
		calls(3)
		late := w.Observe()
		defer late.Close()
		late.Aim(&inspectmsg.WatchRequest{Objects: true})
		calls(2)
		o.Aim(&inspectmsg.WatchRequest{Objects: true})
		calls(1)
		found := w.Search(t.Context(), &inspectmsg.SearchRequest{})
		if len(found.GetObjects()) != 1 || found.GetObjects()[0].GetCalls() != 6 {
			t.Errorf("a search finds %v, want 6 calls", found.GetObjects())
		}
		first, second := o.Collect(), late.Collect()
		if all, paired := methodOf(first, "Plain", "Write").GetCalls(), edgeOf(first.GetObjectEdges(), "", "Plain-a").GetCalls(); all != 6 || paired != 1 {
			t.Errorf("who wanted to know of objects at last is told of %d calls, %d of them as calls of objects, want 6 and 1", all, paired)
		}
		if all, paired := methodOf(second, "Plain", "Write").GetCalls(), edgeOf(second.GetObjectEdges(), "", "Plain-a").GetCalls(); all != 3 || paired != 3 {
			t.Errorf("who came later is told of %d calls, %d of them as calls of objects, want 3", all, paired)
		}
		byCalls := func() uint64 {
			hits := w.Search(t.Context(), &inspectmsg.SearchRequest{Sort: inspectmsg.SearchRequest_SORT_CALLS, Limit: 1}).GetObjects()
			if len(hits) != 1 || hits[0].GetId() != "Plain-b" {
				t.Fatalf("the object with the most calls is %v", hits)
			}
			return hits[0].GetCalls()
		}
		for range 7 {
			w.must("Plain-b", "Write", "echo x")
		}
		if got := byCalls(); got != 7 {
			t.Errorf("it has %d calls, want 7", got)
		}
		for range 200 { // more than are kept, but not more than are all looked at in such a time
			w.must("Plain-b", "Write", "echo x")
			if n := o.Landed(); n >= 64 {
				t.Fatalf("%d turns have ended and are in no figure", n)
			}
		}
	})
}
