package model_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// A method's history is by the time that its node told of, though that tells now more often in a second and now less; it
// has a gap where nobody tells, and five minutes are kept.
func TestMethodHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		for second := range 400 {
			for range []int{2, 1, 3, 2, 0}[second%5] {
				r := calls(50)
				r.Methods[0].Errors = 5
				m.Report("a", r)
			}
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		h, ok := m.MethodHistory("T", "M")
		if !ok || len(h.History) != 300 {
			t.Fatalf("%d seconds", len(h.History))
		}
		for i, p := range h.History {
			if p.Calls != 100 || p.Errors != 10 || p.P99 == nil || int(*p.P99*10) != 11 || i > 0 && p.T != h.History[i-1].T+1000 {
				t.Fatalf("second %d: %+v, before %+v", i, p, h.History[max(i-1, 0)])
			}
		}
		for range 50 {
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		if h, _ := m.MethodHistory("T", "M"); len(h.History) != 250 {
			t.Errorf("%d seconds, fifty later", len(h.History))
		}
		m.Registered("a", []*inspectpb.TypeInfo{{Name: "T", Methods: []*inspectpb.MethodInfo{{Name: "Idle"}}}})
		if h, ok := m.MethodHistory("T", "Idle"); !ok || len(h.History) == 0 || h.History[0].Calls != 0 || h.History[0].P99 != nil {
			t.Errorf("a method that nobody calls has %v", h.History)
		}
		if _, ok := m.MethodHistory("T", "None"); ok {
			t.Error("a method that nobody has is told of")
		}
	})
}

// A node's points say how it was, not only what it did; what estimates its figures are is told with them.
func TestNodeHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := model.New(clock.Virtual())
		m.Look()
		v := view("a", "a")
		v.Members[0].Shards = 2
		m.Place(v)
		for second := range 3 {
			r := calls(50)
			r.Sampling = 64
			r.Vitals.CpuNs, r.Vitals.HeapBytes, r.Vitals.RssBytes, r.Vitals.Goroutines = int64(second)*int64(time.Second), uint64(second), 30, 40
			m.Report("a", r)
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		n := nodeOf(t, m, "a")
		last := (*n.History)[len(*n.History)-1]
		if len(*n.History) != 3 || last.CPU != 2 || last.Heap != 2 || last.RSS != 30 || last.Goroutines != 40 || last.Shards != 2 || last.Calls != 100 || last.T != n.At {
			t.Errorf("%+v of %+v", last, n)
		}
		for what, sampling := range map[string]uint32{
			"node": n.Sampling, "types": m.Types().Sampling, "graph": m.Graph(model.Interest{}, "", 1).Sampling, "overview": m.Overview(false).Sampling,
			"object": m.Known("T-x", "a", &inspectpb.DescribeResponse{Found: true}).Sampling,
		} {
			if sampling != 64 {
				t.Errorf("%s: one in %d", what, sampling)
			}
		}
		if s := nodeOf(t, m, "b").Sampling; s != 1 {
			t.Errorf("who tells nothing: one in %d", s)
		}
	})
}

// steps is a clock that is put back.
type steps struct {
	clock.Clock

	back time.Duration
}

func (c *steps) Now() time.Time { return c.Clock.Now().Add(-c.back) }

// Points are in the order of time also where the clock is put back; in the end they tell its time again.
func TestPointsOfAClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &steps{Clock: clock.Virtual()}
		m := model.New(c)
		_, _ = m.Hold(model.Interest{}) // somebody looks
		m.Place(cluster.View{UUID: "u", Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "a"}}})
		for second := range 60 {
			if second == 20 {
				c.back = 10 * time.Second
			}
			m.Report("a", calls(1))
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		all := *m.Overview(true).History
		for i := 1; i < len(all); i++ {
			if step := all[i].T - all[i-1].T; step < 500 || step > 1000 {
				t.Fatalf("point %d is %d ms after that before", i, step)
			}
		}
		if last := all[len(all)-1].T; last != c.Now().UnixMilli() || (*nodeOf(t, m, "a").History)[59].T != last {
			t.Errorf("the last is of %d, now is %d", last, c.Now().UnixMilli())
		}
	})
}
