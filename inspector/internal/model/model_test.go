package model_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/inspector/internal/model"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

// placed is a model of a cluster of two nodes, of which one, a, has both shards. Somebody looks at it.
func placed() *model.Model {
	m := unattended()
	_, _ = m.Hold(model.Interest{}) // of nothing in particular there is always room
	return m
}

// unattended is the same where nobody looks.
func unattended() *model.Model {
	m := model.New(clock.Virtual())
	m.Place(view("a", "a"))
	return m
}

func view(owners ...string) cluster.View {
	v := cluster.View{UUID: "u", Revision: 1, Members: []cluster.MemberInfo{{Incarnation: "a", Address: "a:1"}, {Incarnation: "b", Address: "b:1"}}}
	for i, o := range owners {
		v.Shards = append(v.Shards, cluster.ShardInfo{Owner: o, Epoch: uint64(i + 1), Revision: 1})
	}
	return v
}

func calls(n uint64) *inspectpb.WatchResponse {
	return &inspectpb.WatchResponse{
		Vitals:     &inspectpb.Vitals{ValidForNs: 1, Lease: "valid"},
		Methods:    []*inspectpb.MethodStats{{Type: "T", Method: "M", Calls: n, Latency: []uint64{n}}},
		IntervalNs: int64(500 * time.Millisecond),
	}
}

// Rates are by the time that nodes tell of; ten minutes are kept, and the points stop where nodes fall silent.
func TestPoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		for range 700 {
			m.Report("a", calls(50))
			m.Report("a", calls(50))
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		o := m.Overview(true)
		if len(*o.History) != 600 || o.Now.Calls != 100 || *o.Now.P50 != 1.1 || o.Now.Nodes != 2 {
			t.Errorf("%d points, now %+v", len(*o.History), o.Now)
		}
		if got := m.Types().Types[0].Methods[0]; got.TotalCalls != 70_000 || got.Calls != 100 || got.Histogram[0] != 5900 {
			t.Errorf("method %+v", got)
		}
		for range 3 {
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			m.Tick()
		}
		if o := m.Overview(false); o.Now.Calls != 0 || o.Now.P50 != nil {
			t.Errorf("three silent seconds later %+v", o.Now)
		}
	})
}

// Shards that change hands are counted, told of together, and told as changes.
func TestMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		since := m.Versions().Shards
		m.Place(view("a", "b"))
		m.Tick()
		if o := m.Overview(false); o.Now.Moves != 1 || o.Skew != 1 {
			t.Errorf("%+v", o)
		}
		if c, ok := m.ShardsSince(since); !ok || len(c.Changed) != 1 || c.Changed[0][0] != 1 || c.Nodes[c.Changed[0][1]] != "b" {
			t.Errorf("%+v", c)
		}
		if e := m.Events(model.EventFilter{Kinds: []string{"move"}}).Events; len(e) != 1 || e[0].Text != "Shard 1 went from a:1 to b:1." || e[0].Shard != 1 {
			t.Errorf("%+v", e)
		}
		m.Place(view("a", ""))
		if s := m.Shards(); s.Unowned != 1 || s.Shards[1][2] != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// Where the records are another cluster's, all shards are told anew: also those that nobody owns, and those that are as
// they were.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		for i, owners := range [][]string{{"", ""}, {"", "b"}, {"a", "b", "a"}} {
			since := m.Versions().Shards
			v := view(owners...)
			v.UUID = fmt.Sprint("another", i)
			m.Place(v)
			if c, ok := m.ShardsSince(since); ok || m.Versions().Shards == since {
				t.Errorf("%v is told as %+v", owners, c)
			}
			if c, ok := m.ShardsSince(m.Versions().Shards); !ok || len(c.Changed) != 0 {
				t.Errorf("after %v, %+v", owners, c)
			}
			if s := m.Shards(); s.Count != len(owners) || (s.Shards[0][0] < 0) != (owners[0] == "") {
				t.Errorf("%v: %+v", owners, s)
			}
		}
	})
}

// Whatever nodes tell, what is kept of it is bounded, and told once.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		r := calls(1)
		r.Methods[0].Latency = make([]uint64, 100_000)
		r.Methods[0].Latency[99_999] = 7
		r.Methods[0].LastCode, r.Methods[0].LastError = "Unknown", strings.Repeat("é", 100_000)
		for i := range 20_000 {
			r.TypeEdges = append(r.TypeEdges, &inspectpb.Edge{From: fmt.Sprint("T", i), To: "T", Calls: 1})
			r.Methods = append(r.Methods, &inspectpb.MethodStats{Type: fmt.Sprint("T", i), Method: "M", Calls: 1})
		}
		for i := range 3000 {
			r.Events = append(r.Events, &inspectpb.Event{Seq: uint64(i + 1), Kind: "slow", Text: strings.Repeat("x", 10_000)})
		}
		m.Report("a", r)
		first := m.Events(model.EventFilter{})
		before := len(first.Events)
		m.Report("a", r)
		if after := m.Events(model.EventFilter{}).Events; before > 2000 || len(after) > 2000 || len(after[0].Text) > 5000 {
			t.Errorf("%d events, then %d", before, len(after))
		}
		if again := m.Events(model.EventFilter{Since: first.Next}).Events; len(again) != 0 {
			t.Errorf("%d events are told twice", len(again))
		}
		if g := m.Graph(model.Interest{}, "", 50); len(g.Nodes) > 51 || g.More < 20_000-4000 {
			t.Errorf("%d parties, %v more", len(g.Nodes), g.More)
		}
		types := m.Types().Types
		if len(types) > 5001 {
			t.Errorf("%d types", len(types))
		}
		for _, one := range types {
			if one.Name == "T" && (len(one.Methods[0].Histogram) > 160 || len(one.Methods[0].LastError.Message) > 5000) {
				t.Errorf("%d buckets, %d bytes", len(one.Methods[0].Histogram), len(one.Methods[0].LastError.Message))
			}
		}
		for i := range 40 {
			if _, err := m.Hold(model.NewInterest(true, "", fmt.Sprint("T-", i))); (i >= 24) != errors.Is(err, model.ErrTooMany) {
				t.Errorf("interest %d: %v", i, err)
			}
		}
	})
}

// An interest that nobody has any more is kept for a while, and then not.
func TestInterestsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		release, err := m.Hold(model.NewInterest(false, "", "T-x"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		m.Tick()
		release()
		time.Sleep(14 * time.Second) //nolint:forbidigo // virtual time
		m.Tick()
		if n := len(m.Interests()); n != 1 {
			t.Errorf("%d interests while it lingers", n)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		m.Tick()
		if n := len(m.Interests()); n != 0 {
			t.Errorf("%d interests after", n)
		}
	})
}

// Who looks is known, for a while after too, whatever it looks at.
func TestAttended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		attended := func(want bool, when string) {
			t.Helper()
			m.Tick()
			if m.Attended() != want {
				t.Errorf("attended %v %s", !want, when)
			}
		}
		attended(false, "before anybody has looked")
		tab, _ := m.Hold(model.Interest{})
		graph, _ := m.Hold(model.NewInterest(true, "", ""))
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		attended(true, "while two look")
		tab()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		attended(true, "while one looks")
		graph()
		time.Sleep(14 * time.Second) //nolint:forbidigo // virtual time
		attended(true, "a moment after")
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		attended(false, "long after")
		if err := m.Touch(model.Interest{}); err != nil {
			t.Fatal(err)
		}
		attended(true, "after a look")
	})
}

// Who asks nodes learns when there is something else to ask, and is not bothered by what they tell.
func TestSought(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := unattended()
		var release func()
		for _, step := range []struct {
			what   string
			do     func()
			sought bool
		}{
			{"a report", func() { m.Report("a", calls(1)) }, false},
			{"a second", m.Tick, false},
			{"somebody who looks", func() { release, _ = m.Hold(model.Interest{}) }, true},
			{"another one", func() { _ = m.Touch(model.Interest{}) }, false},
			{"an interest", func() { _ = m.Touch(model.NewInterest(false, "", "T-x")) }, true},
			{"the same", func() { _ = m.Touch(model.NewInterest(false, "", "T-x")) }, false},
			{"the end of it", func() { time.Sleep(time.Minute); m.Tick() }, true},                  //nolint:forbidigo // virtual time
			{"the end of the look", func() { release(); time.Sleep(time.Minute); m.Tick() }, true}, //nolint:forbidigo // virtual time
			{"the same, later", func() { time.Sleep(time.Minute); m.Tick() }, false},               //nolint:forbidigo // virtual time
			{"another member", func() { m.Place(view("a", "b")) }, true},
		} {
			sought := m.Sought()
			step.do()
			select {
			case <-sought:
				if !step.sought {
					t.Errorf("%s changes what nodes are asked", step.what)
				}
			default:
				if step.sought {
					t.Errorf("%s does not", step.what)
				}
			}
		}
	})
}

// What nodes have told in a second is not told once more at its end; where they have told nothing, the end of it is.
func TestEndOfASecondTellsNothingTwice(t *testing.T) {
	t.Parallel()
	m := placed()
	m.Tick() // of its placing
	quiet := m.Versions()
	m.Tick()
	if v := m.Versions(); v.Graph == quiet.Graph || v.Types == quiet.Types || v.Nodes == quiet.Nodes {
		t.Errorf("a second without a word changes nothing: %+v, %+v", quiet, v)
	}
	m.Report("a", calls(1))
	told := m.Versions()
	m.Tick()
	if v := m.Versions(); v.Graph != told.Graph || v.Types != told.Types || v.Nodes != told.Nodes || v.Points == told.Points {
		t.Errorf("the end of the second: %+v, %+v", told, v)
	}
}

// Who only glances at something has it watched for a while, but drives out nothing else.
func TestGlances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := placed()
		m.Glance(model.Interest{})
		for i := range 30 {
			m.Glance(model.NewInterest(true, "", fmt.Sprint("T-", i)))
		}
		if _, there := m.Focused("T-0"); len(m.Interests()) != 24 || !there {
			t.Errorf("%d interests", len(m.Interests()))
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time
		m.Glance(model.NewInterest(true, "", "T-3"))
		time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time
		m.Tick()
		if left := m.Interests(); len(left) != 1 || left[0].Focus != "T-3" {
			t.Errorf("later %v", left)
		}
	})
}

// Calls that wait are told for as long as they wait, each, with no number yet.
func TestWaitingTurns(t *testing.T) {
	t.Parallel()
	m := placed()
	i := model.NewInterest(true, "", "Box-1")
	release, err := m.Hold(i)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	found := &inspectpb.DescribeResponse{Found: true, Info: &inspectpb.ObjectInfo{Id: "Box-1", Type: "Box"}}
	found.Turns = []*inspectpb.Turn{{Id: 7, Method: "Add", RanNs: -1}, {Method: "Add", Caller: "User-1"}, {Method: "Sum", Caller: "User-2"}}
	m.Described("Box-1", "a", found)
	for what, d := range map[string]model.Detail{"focused": first(m.Focused("Box-1")), "asked": model.New(clock.System()).Known("Box-1", "a", found)} {
		if len(d.Turns) != 3 || d.Turns[0].Waits || !d.Turns[1].Waits || !d.Turns[2].Waits || d.Turns[1].Ran != nil || d.Turns[1].ID == d.Turns[2].ID ||
			d.Turns[1].Caller != "User-1" || d.Turns[2].Method != "Sum" {
			t.Errorf("%s: %+v", what, d.Turns)
		}
	}
	m.Described("Box-1", "a", &inspectpb.DescribeResponse{Found: true, Info: found.GetInfo()})
	if d := first(m.Focused("Box-1")); len(d.Turns) != 1 || d.Turns[0].Waits {
		t.Errorf("afterwards: %+v", d.Turns)
	}
}

func first(d model.Detail, _ bool) model.Detail { return d }
