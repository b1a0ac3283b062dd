package inspector_test

import (
	"fmt"
	"slices"
	"testing"

	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// A script that asks again and again, with what it was told to ask with next, is told all events, from since=0 on.
func TestScriptIsToldAllEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newFake(t, "AAA")
	w.cluster(a)
	w.live(a)
	var want []string
	for n := range 30 {
		want = append(want, fmt.Sprint("ran ", n))
		a.happen(&inspectpb.Event{Kind: "slow", Level: "warning", Text: want[n]})
	}
	type page struct {
		Events []struct{ Text string }
		Next   uint64
	}
	w.await("the events", func() bool { return len(get[page](w, "/api/events?kind=slow").Events) == len(want) })
	if p := get[page](w, "/api/events?kind=slow&limit=7"); len(p.Events) != 7 || p.Events[6].Text != want[29] {
		t.Errorf("without since: %v", p)
	}
	var got []string
	for since := uint64(0); ; {
		p := get[page](w, fmt.Sprintf("/api/events?kind=slow&limit=7&since=%d", since))
		if len(p.Events) == 0 {
			break
		}
		for _, e := range p.Events {
			got = append(got, e.Text)
		}
		since = p.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %v", got)
	}
}
