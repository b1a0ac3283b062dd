package model_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// An operator's wish that a node be empty, which can be taken back, is told from a server that is being stopped,
// which leaves all the same: whoever says so, and also of a node for which both hold.
func TestDrainedOrStopping(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		member          cluster.MemberInfo
		vitals          *inspectpb.Vitals // nil: it tells nothing
		state           string
		drain, stopping bool
		told            []string
	}{
		"neither":            {cluster.MemberInfo{}, &inspectpb.Vitals{}, "live", false, false, nil},
		"by an operator":     {cluster.MemberInfo{Draining: true}, &inspectpb.Vitals{Draining: true}, "draining", true, false, []string{"a:1 is to be drained."}},
		"it says so":         {cluster.MemberInfo{}, &inspectpb.Vitals{Draining: true, Stopping: true}, "stopping", false, true, []string{"a:1 is being stopped, and leaves."}},
		"its record says so": {cluster.MemberInfo{Leaving: true}, nil, "stopping", false, true, []string{"a:1 is being stopped, and leaves."}},
		"both": {
			cluster.MemberInfo{Draining: true, Leaving: true},
			&inspectpb.Vitals{Draining: true, Stopping: true}, "stopping", true, true,
			[]string{"a:1 is to be drained.", "a:1 is being stopped, and leaves."},
		},
		"not well": {cluster.MemberInfo{Draining: true}, &inspectpb.Vitals{Draining: true, Lease: "suspect"}, "suspect", true, false, []string{"a:1 is to be drained."}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := placed()
			first := m.Versions().Events
			v := view("a", "a")
			c.member.Incarnation, c.member.Address = "a", "a:1"
			v.Members[0] = c.member
			m.Place(v)
			if c.vitals != nil {
				c.vitals.ValidForNs = 1
				for range 2 { // it is told once
					m.Report("a", &inspectpb.WatchResponse{Vitals: c.vitals})
				}
			}
			if n := nodeOf(t, m, "a"); n.State != c.state || n.Drain != c.drain || n.Stopping != c.stopping {
				t.Errorf("%s: it is %s, drain %t, stopping %t", what, n.State, n.Drain, n.Stopping)
			}
			var told []string
			for _, e := range m.Events(model.EventFilter{Since: first}).Events {
				told = append(told, e.Text)
			}
			if !slices.Equal(told, c.told) {
				t.Errorf("%s: told %q", what, told)
			}
			v.Members = v.Members[1:]
			m.Place(v)
			last := m.Events(model.EventFilter{Kinds: []string{"leave"}}).Events
			if e := last[len(last)-1]; (e.Level == "info") != c.stopping {
				t.Errorf("%s: its end is told as %s: %s", what, e.Level, e.Text)
			}
			if n := nodeOf(t, m, "a"); n.State != "gone" || n.Drain || n.Stopping {
				t.Errorf("%s: afterwards it is %s, drain %t, stopping %t", what, n.State, n.Drain, n.Stopping)
			}
		})
	}
}
