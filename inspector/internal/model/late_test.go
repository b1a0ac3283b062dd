package model_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// second is what a node tells of a whole second with so many calls, some time after it.
func second(n uint64, age time.Duration) *inspectpb.WatchResponse {
	r := calls(n)
	r.IntervalNs, r.AgeNs = int64(time.Second), int64(age)
	if age > 0 {
		r.Vitals = nil
	}
	return r
}

// together is what a node tells of so many seconds at once, each with so many calls.
func together(m *model.Model, id string, calls uint64, seconds int) {
	for age := seconds - 1; age >= 0; age-- {
		m.Report(id, second(calls, time.Duration(age)*time.Second))
	}
}

// While nobody looks, seconds are counted rarely, and each as if it had been when it was: of what nodes tell late, of what they tell at once, and
// of none that another has told nothing of.
func TestSecondsThatWerePutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		start := time.Now().UnixMilli()
		if m.Pace() != model.HoldFor {
			t.Fatalf("seconds are counted every %v", m.Pace())
		}
		const rounds = 3
		for range rounds {
			time.Sleep(2 * time.Second)                               //nolint:forbidigo // virtual time
			m.Report("b", second(1000, 0))                            // as a server of another version
			time.Sleep(model.HoldFor - 2*time.Second - time.Second/4) //nolint:forbidigo // virtual time
			for age := model.HoldFor - time.Second; age >= 0; age -= time.Second {
				m.Report("a", second(uint64(age/time.Second), age))
			}
			time.Sleep(time.Second / 4) //nolint:forbidigo // virtual time
			m.Tick()
		}
		o := m.Overview(true)
		all, times := *o.History, int64(0)
		if len(all) != rounds*5-3 { // of the rest not everybody has told
			t.Fatalf("%d points", len(all))
		}
		for i, p := range all {
			b := 1000.0 // also in the seconds of which it tells nothing: it is as it was
			if i == 0 {
				b = 0
			}
			if want := float64(4-i%5) + b; p.Calls != want || p.T != start+int64(i+1)*1000 {
				t.Errorf("point %d is of %d ms: %v calls, want %v", i, p.T-start, p.Calls, want)
			}
			times = p.T
		}
		if own := *nodeOf(t, m, "a").History; len(own) != len(all) || own[3].Calls != 1 || own[3].T != all[3].T || times != time.Now().Add(-3*time.Second).UnixMilli() {
			t.Errorf("the node's points: %v", own)
		}
		h, _ := m.MethodHistory("T", "M")
		if len(h.History) != len(all) || h.History[6].Calls != all[6].Calls || h.History[6].T != all[6].T {
			t.Errorf("the method's: %+v", h.History)
		}
		if got := m.Types().Types[0].Methods[0]; got.TotalCalls != rounds*(4+3+2+1+1000)-1 {
			t.Errorf("%d calls in all", got.TotalCalls)
		}
	})
}

// What nodes told when somebody comes to look is counted soon; from then on seconds are counted one by one.
func TestSecondsOfWhoComesToLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		m.Tick()
		time.Sleep(3400 * time.Millisecond) //nolint:forbidigo // virtual time
		sought := m.Sought()
		release, err := m.Hold(model.Interest{})
		if err != nil || m.Pace() != time.Second {
			t.Fatalf("%v, and seconds are counted every %v", err, m.Pace())
		}
		<-sought
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // virtual time
		m.Report("a", second(10, 2500*time.Millisecond))
		m.Report("a", second(20, 1500*time.Millisecond))
		m.Report("a", second(30, 500*time.Millisecond))
		m.Report("a", calls(20))
		time.Sleep(time.Second / 2) //nolint:forbidigo // virtual time
		m.Report("a", calls(20))
		m.Tick()
		var got []float64
		for _, p := range (*m.Overview(true).History)[1:] {
			got = append(got, p.Calls)
		}
		if len(got) != 4 || got[0] != 10 || got[1] != 20 || got[2] != 30 || got[3] != 40 {
			t.Errorf("%v calls a second", got)
		}
		release()
		time.Sleep(20 * time.Second) //nolint:forbidigo // virtual time
		m.Tick()
		if m.Pace() != model.HoldFor {
			t.Errorf("long after, seconds are counted every %v", m.Pace())
		}
	})
}

// Shards that move are told of as soon as ever, and belong to the second in which it is told.
func TestMovesWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		m.Tick()
		time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
		sought := m.Sought()
		m.Place(view("a", "b"))
		<-sought
		if m.Pace() != time.Second {
			t.Errorf("seconds are counted every %v", m.Pace())
		}
		together(m, "a", 1, 4)
		m.Tick()
		var moves []int
		for _, p := range (*m.Overview(true).History)[1:] {
			moves = append(moves, p.Moves)
		}
		if len(moves) != 3 || moves[0] != 0 || moves[1] != 0 || moves[2] != 1 || m.Pace() != model.HoldFor {
			t.Errorf("moves %v; then seconds are counted every %v", moves, m.Pace())
		}
	})
}

// An inspector that stood still has a gap where it knows nothing, and not what was before in its place.
func TestGapsOfAnInspectorThatStoodStill(t *testing.T) {
	t.Parallel()
	for what, begin := range map[string]func() *model.Model{"somebody looks": placed, "nobody does": unattended} {
		synctest.Test(t, func(t *testing.T) {
			m := begin()
			m.Report("a", second(5, 0))
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
			time.Sleep(time.Hour) //nolint:forbidigo // virtual time
			m.Report("a", second(6, 0))
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Report("a", second(7, 0))
			time.Sleep(time.Second / 4) //nolint:forbidigo // virtual time
			m.Tick()
			o, own := *m.Overview(true).History, *nodeOf(t, m, "a").History
			if len(o) < 2 || len(o) > 3 || o[0].Calls != 5 || o[1].Calls != 6 || o[1].T-o[0].T != time.Hour.Milliseconds() || len(own) != len(o) {
				t.Errorf("%s: %d points: %v", what, len(o), o)
			}
		})
	}
}

// How long a node may be silent before it counts nowhere depends on how often it is to tell something.
func TestSilenceWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		time.Sleep(time.Millisecond) //nolint:forbidigo // virtual time: its beginning is no time
		r := calls(50)
		r.Types = []*inspectpb.TypeCount{{Type: "T", Objects: 7}}
		m.Report("a", r)
		objects := func() uint64 { m.Tick(); return m.Types().Types[0].Objects }
		time.Sleep(7 * time.Second) //nolint:forbidigo // virtual time
		if n := nodeOf(t, m, "a"); objects() != 7 || n.SilentFor != 0 {
			t.Errorf("it is silent for %v ms", n.SilentFor)
		}
		if _, err := m.Hold(model.Interest{}); err != nil {
			t.Fatal(err)
		}
		if objects() != 7 {
			t.Error("it is taken for silent before it can know that somebody looks")
		}
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		if n := nodeOf(t, m, "a"); objects() != 0 || n.SilentFor != 8000 {
			t.Errorf("it is silent for %v ms", n.SilentFor)
		}
		m.Report("a", r)
		time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time
		if n := nodeOf(t, m, "a"); objects() != 0 || n.SilentFor != 3000 {
			t.Errorf("while somebody looks it is silent for %v ms", n.SilentFor)
		}
	})
}

// What nodes tell late is bounded, and so is how late; none of it is lost.
func TestLateBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		for i := range 1000 {
			m.Report("a", second(1, time.Duration(i-500)*time.Second))
		}
		m.Tick()
		if got := m.Types().Types[0].Methods[0].TotalCalls; got != 1000 {
			t.Errorf("%d calls", got)
		}
		if n := len(*m.Overview(true).History); n > 20 {
			t.Errorf("%d points", n)
		}
	})
}

// However a node's clock goes beside the inspector's, and however late what it tells comes, rates are right and there is a point for each second.
func TestSecondsOfOtherClocks(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, off := range []time.Duration{0, 100 * ms, 250 * ms, 300 * ms, 800 * ms, 1000 * ms, 2000 * ms, 3100 * ms, 4000 * ms, 4900 * ms} {
		synctest.Test(t, func(t *testing.T) {
			m := unattended()
			const each, step = 10.0, 50 * ms
			for at := time.Duration(0); at < 62*time.Second; at += step {
				for id, when := range map[string]time.Duration{"a": 0, "b": off} {
					for age := model.HoldFor - time.Second; age >= 0 && at%model.HoldFor == when; age -= time.Second {
						r := second(each, age)
						r.TypeEdges = []*inspectpb.Edge{{From: "T", To: "T", Calls: each}}
						m.Report(id, r)
					}
				}
				if at%model.HoldFor == time.Second/4 {
					m.Tick()
				}
				time.Sleep(step) //nolint:forbidigo // virtual time
			}
			o := *m.Overview(true).History
			if len(o) < 50 {
				t.Errorf("%v: %d points", off, len(o))
			}
			for i, p := range o[10:] {
				if p.Calls != 2*each || p.T != o[10].T+int64(i)*1000 {
					t.Fatalf("%v: point %d of %d: %+v", off, i, len(o), p)
				}
			}
			if got := m.Types().Types[0].Calls; got < 0.85*2*each || got > 1.15*2*each {
				t.Errorf("%v: %v calls a second", off, got)
			}
			if got := m.Graph(model.Interest{}, "", 10).Edges[0].Calls; got < 0.85*2*each || got > 1.15*2*each {
				t.Errorf("%v: %v calls a second between types", off, got)
			}
		})
	}
}

// A tick that comes late while somebody looks makes no rate wrong.
func TestLateTicks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		const half = 500 * time.Millisecond
		for i := range 60 {
			time.Sleep(half) //nolint:forbidigo // virtual time
			r := calls(50)
			r.TypeEdges = []*inspectpb.Edge{{From: "T", To: "T", Calls: 50}}
			m.Report("a", r)
			if i%3 == 2 { // half a second late
				m.Tick()
			}
		}
		for _, p := range (*m.Overview(true).History)[1:] {
			if p.Calls != 100 {
				t.Errorf("%+v", p)
			}
		}
		if got := m.Types().Types[0].Calls; got < 90 || got > 110 {
			t.Errorf("%v calls a second", got)
		}
		if got := m.Graph(model.Interest{}, "", 10).Edges[0].Calls; got < 90 || got > 110 {
			t.Errorf("%v calls a second between types", got)
		}
	})
}

// Calls between objects are by the time for which somebody is interested in them, also where seconds before that are counted later.
func TestGraphOfWhoComesToLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		m.Tick()
		time.Sleep(4350 * time.Millisecond) //nolint:forbidigo // virtual time
		interest := model.NewInterest(true, "", "")
		if _, err := m.Hold(interest); err != nil {
			t.Fatal(err)
		}
		together(m, "a", 1, 5)
		for range 20 {
			time.Sleep(500 * time.Millisecond) //nolint:forbidigo // virtual time
			m.Report("a", calls(50))
			m.Detail("a", interest, &inspectpb.WatchResponse{ObjectEdges: []*inspectpb.Edge{{From: "T-a", To: "T-b", Calls: 50}}})
			time.Sleep(500 * time.Millisecond) //nolint:forbidigo // virtual time
			m.Report("a", calls(50))
			m.Detail("a", interest, &inspectpb.WatchResponse{ObjectEdges: []*inspectpb.Edge{{From: "T-a", To: "T-b", Calls: 50}}})
			m.Tick()
			if got := m.Graph(interest, "", 10).Edges[0].Calls; got < 90 || got > 110 {
				t.Errorf("%v calls a second", got)
			}
		}
	})
}

// What a node told of its last seconds stays, where it goes before they are counted.
func TestLastSecondsOfNodesThatGo(t *testing.T) {
	t.Parallel()
	for what, goes := range map[string]func(m *model.Model){
		"leaves": func(m *model.Model) {
			v := view("b", "b")
			v.Members = v.Members[1:]
			m.Place(v)
		},
		"breaks": func(m *model.Model) { m.Unreachable("a", errors.New("reset")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			m := unattended()
			m.Report("a", second(100, 0))
			m.Report("b", second(10, 0))
			m.Tick()
			time.Sleep(4750 * time.Millisecond) //nolint:forbidigo // virtual time
			together(m, "a", 100, 5)
			goes(m)
			if n := nodeOf(t, m, "a"); n.Calls != 0 && n.State == "gone" {
				t.Errorf("%s: %+v", what, n)
			}
			time.Sleep(250 * time.Millisecond) //nolint:forbidigo // virtual time
			together(m, "b", 10, 5)
			m.Tick()
			time.Sleep(model.HoldFor) //nolint:forbidigo // virtual time
			together(m, "b", 10, 5)
			m.Tick()
			total := 0.0
			for _, p := range *m.Overview(true).History {
				total += p.Calls
			}
			if len(*nodeOf(t, m, "a").History) < 5 || total < 500+9*10 {
				t.Errorf("%s: %v calls in %v; of its own %d points", what, total, *m.Overview(true).History, len(*nodeOf(t, m, "a").History))
			}
			if n := nodeOf(t, m, "a"); n.Calls != 0 {
				t.Errorf("%s: %v calls a second after it has gone", what, n.Calls)
			}
		})
	}
}

// What waits for its second is bounded in bytes, too; none of it is lost.
func TestLateBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		const messages, size = 20, 8 << 20
		for round := range uint64(2) {
			for i := range messages {
				r := second(1, time.Duration(i%5)*time.Second)
				r.Methods[0].LastError = strings.Repeat("x", size)
				m.Report([]string{"a", "b"}[i%2], r)
			}
			if got := m.Types().Types[0].Methods[0].TotalCalls - round*messages; got < messages/2 || got >= messages {
				t.Errorf("%d of %d calls did not wait", got, messages)
			}
			m.Look()
			m.Tick()
			if got := m.Types().Types[0].Methods[0].TotalCalls; got != (round+1)*messages {
				t.Errorf("%d calls, after %d of %d each", got, round+1, messages)
			}
			time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		}
	})
}
