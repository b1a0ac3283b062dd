package model_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// nodeOf is a node of a model.
func nodeOf(t *testing.T, m *model.Model, id string) model.Node {
	t.Helper()
	n, ok := m.Node(id)
	if !ok {
		t.Fatalf("there is no node %s", id)
	}
	return n
}

// A node that hangs is told from one that tells what it does before it is given up: its lease runs out, and its figures
// count nowhere, as those of one that cannot be reached; its own row says how old they are.
func TestSilentNodes(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		after         time.Duration
		why           error
		silent, valid float64
	}{
		"hangs":       {3 * time.Second, nil, 3000, 2000},
		"cut off":     {0, errors.New("refused"), 1, 5000},
		"hangs, lost": {11 * time.Second, errors.New("silent"), 11_000, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, cpu := placed(), int64(0)
			time.Sleep(time.Millisecond) //nolint:forbidigo // virtual time: its beginning is no time
			tell := func(id string, objects uint64) {
				cpu += int64(time.Second)
				r := calls(50)
				r.Vitals.ValidForNs, r.Vitals.Objects, r.Vitals.CpuNs = int64(5*time.Second), objects, cpu
				r.Types = []*inspectpb.TypeCount{{Type: "T", Objects: objects}}
				r.TypeEdges = []*inspectpb.Edge{{To: "T", Calls: 1}}
				r.Methods[0].Running, r.Sampling = 1, uint32(objects)
				m.Report(id, r)
			}
			objects := func() (inAll, ofType, inGraph, running, sampling uint64) {
				o, typ := m.Overview(false), m.Types().Types[0]
				for _, party := range m.Graph(model.Interest{}, "", 10).Nodes {
					inGraph += party.Objects
				}
				return o.Now.Objects, typ.Objects, inGraph, typ.Methods[0].Running, uint64(o.Sampling)
			}
			tell("a", 7)
			tell("b", 2)
			tell("a", 7)
			m.Tick()
			if a, b, c, d, e := objects(); a != 9 || b != 9 || c != 9 || d != 2 || e != 7 {
				t.Fatalf("%s: at first %d objects, %d of the type, %d in the graph, %d turns, sampling %d", what, a, b, c, d, e)
			}
			if n := nodeOf(t, m, "a"); n.SilentFor != 0 || n.ValidFor != 5000 || n.CPU == 0 || n.Calls == 0 {
				t.Fatalf("%s: at first %+v", what, n)
			}
			points := len(*nodeOf(t, m, "a").History)
			time.Sleep(c.after) //nolint:forbidigo // virtual time
			if c.why != nil {
				m.Unreachable("a", c.why)
			}
			tell("b", 2)
			m.Tick()
			if a, b, c, d, e := objects(); a != 2 || b != 2 || c != 2 || d != 1 || e != 2 {
				t.Errorf("%s: %d objects, %d of the type, %d in the graph, %d turns, sampling %d", what, a, b, c, d, e)
			}
			n, o := nodeOf(t, m, "a"), m.Overview(false)
			if n.SilentFor != c.silent || n.ValidFor != c.valid || n.CPU != 0 || n.Calls != 0 || n.P99 != nil || n.Objects != 7 || len(*n.History) != points {
				t.Errorf("%s: %+v", what, n)
			}
			if o.Unreachable != 1 || o.State != model.Live || o.Message != "1 of 2 servers cannot be reached: their figures are left out." {
				t.Errorf("%s: %+v", what, o)
			}
			tell("a", 7)
			m.Tick()
			if o := m.Overview(false); o.Unreachable != 0 || o.Message != "" || o.Now.Objects != 9 || nodeOf(t, m, "a").SilentFor != 0 {
				t.Errorf("%s: again %+v", what, o)
			}
		})
	}
}

// A message that does not say how the node is leaves that as it was, but for the time that passes; what else it says counts.
func TestMessagesWithoutVitals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		tell := func(vitals *inspectpb.Vitals) {
			time.Sleep(500 * time.Millisecond) //nolint:forbidigo // virtual time
			r := calls(50)
			r.Vitals, r.IntervalNs = vitals, int64(500*time.Millisecond)
			m.Report("a", r)
		}
		how := &inspectpb.Vitals{ValidForNs: int64(5 * time.Second), Lease: "valid", Objects: 7, CpuNs: int64(time.Second)}
		tell(how)
		m.Tick()
		tell(nil)
		later := &inspectpb.Vitals{ValidForNs: int64(5 * time.Second), Lease: "valid", Objects: 8, CpuNs: how.GetCpuNs() + int64(time.Second)/4}
		tell(later)
		m.Tick()
		if n := nodeOf(t, m, "a"); n.CPU != 0.25 || n.Objects != 8 || n.Calls != 100 {
			t.Errorf("%+v, want 0.25 cores of a whole second", n)
		}
		tell(nil)
		tell(nil)
		m.Tick() // a second with no word of how it is, as after an event
		if n := nodeOf(t, m, "a"); n.CPU != 0.25 || n.Calls != 100 {
			t.Errorf("%+v, want 0.25 cores, as in the second before", n)
		}
		tell(&inspectpb.Vitals{ValidForNs: int64(5 * time.Second), Lease: "valid", Objects: 8, CpuNs: later.GetCpuNs() + 3*int64(time.Second)/2, Pushes: 6})
		m.Tick()
		if n := nodeOf(t, m, "a"); n.CPU != 1 || n.Pushes != 4 || n.Calls != 100 {
			t.Errorf("%+v, want what has been since it was told last, a second and a half: 1 core, 4 pushes a second", n)
		}
		tell(nil)
		if n := nodeOf(t, m, "a"); n.State != "live" || n.ValidFor != 4500 || n.Objects != 8 || n.SilentFor != 0 {
			t.Errorf("%+v, want it as it was, half a second later", n)
		}
	})
}
