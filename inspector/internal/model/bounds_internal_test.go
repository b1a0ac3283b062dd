package model

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/xiaonanln/goverse/cluster"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
	"github.com/xiaonanln/goverse/util/clock"
)

func place(m *Model, revision int64, shards []cluster.ShardInfo, ids ...string) {
	v := cluster.View{UUID: "a-cluster", Revision: revision, Shards: shards}
	for _, id := range ids {
		v.Members = append(v.Members, cluster.MemberInfo{Incarnation: id, Address: "localhost:1", Weight: 1})
	}
	m.Place(v)
}

// A server that joins again, after its lease has ended, tells its journal from the beginning: what was told before
// is not told again as another node's, and another process at the same address is believed.
func TestEventsOfWhoJoinsAgain(t *testing.T) {
	t.Parallel()
	m := New(clock.System())
	tell := func(id string, pid int64, seqs ...uint64) {
		r := &inspectpb.WatchResponse{Vitals: &inspectpb.Vitals{Pid: pid, StartedUs: 5}}
		for _, seq := range seqs {
			r.Events = append(r.Events, &inspectpb.Event{Seq: seq, Kind: "slow", Text: fmt.Sprint(seq)})
		}
		m.Report(id, r)
	}
	slow := func(node string) (texts []string) {
		for _, e := range m.Events(EventFilter{Kinds: []string{"slow"}, Node: node}).Events {
			texts = append(texts, e.Text)
		}
		return texts
	}
	place(m, 1, nil, "AAA")
	tell("AAA", 7, 1, 2)
	place(m, 2, nil)
	place(m, 3, nil, "BBB")
	tell("BBB", 7, 1, 2, 3)
	place(m, 4, nil, "CCC")
	tell("CCC", 8, 1)
	for node, want := range map[string]string{"AAA": "[1 2]", "BBB": "[3]", "CCC": "[1]"} {
		if got := fmt.Sprint(slow(node)); got != want {
			t.Errorf("%s has told %s, not %s", node, got, want)
		}
	}
}

// What nodes tell of the time before is put in order by time, whoever tells it first, and what is oldest is forgotten;
// a clock that is ahead makes nothing newer than now. Who asks for more gets what was told next, and misses nothing.
func TestEventsByTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := New(clock.Virtual())
		place(m, 1, nil, "AAA", "BBB")
		now := m.now()
		tell := func(id string, count int, at func(i int) int64) {
			r := &inspectpb.WatchResponse{Vitals: &inspectpb.Vitals{Pid: int64(id[0])}}
			for i := range count {
				r.Events = append(r.Events, &inspectpb.Event{Seq: uint64(i + 1), AtUs: 1000 * at(i), Kind: "slow", Text: fmt.Sprint(i)})
				if len(r.GetEvents()) == maxHeard {
					m.Report(id, r)
					r.Events = nil
				}
			}
		}
		tell("AAA", maxEvents, func(i int) int64 { return now - maxEvents - 1 + int64(i) })
		tell("BBB", maxEvents, func(i int) int64 {
			if i == maxEvents-1 {
				return now + 1e6
			}
			return now - 2*maxEvents + int64(i)
		})
		all := m.Events(EventFilter{}).Events
		old, last := 0, all[0].At
		for _, e := range all {
			if e.At < last || e.At > now {
				t.Fatalf("an event of %d after one of %d, now is %d", e.At, last, now)
			}
			if last = e.At; e.Node == "BBB" && e.Kind == "slow" {
				old++
			}
		}
		if len(all) != maxEvents || old != 1 || len(m.events) > 2*maxEvents {
			t.Errorf("%d events, %d of them are those of the other node; %d are kept", len(all), old, len(m.events))
		}
		if newest := m.Events(EventFilter{Limit: 7}).Events; fmt.Sprint(newest) != fmt.Sprint(all[len(all)-7:]) {
			t.Errorf("the newest are %v", newest)
		}
		seen := make(map[uint64]bool)
		for since, more := uint64(1), true; more; {
			some := m.Events(EventFilter{Since: since, Limit: 300})
			for _, e := range some.Events {
				seen[e.Seq] = true
			}
			more, since = len(some.Events) == 300, some.Next
		}
		if len(seen) < maxEvents-2 || m.Events(EventFilter{Since: m.version.Events}).Next != m.version.Events {
			t.Errorf("%d events are told to who asks again and again", len(seen))
		}
	})
}

// However many processes and incarnations come and go, those that are there are all that is kept.
func TestIncarnationsAreForgotten(t *testing.T) {
	t.Parallel()
	m := New(clock.System())
	for i := range 3 * maxNodes {
		id, next := fmt.Sprintf("N%d", i), fmt.Sprintf("N%d", i+1)
		shards := []cluster.ShardInfo{{Owner: id, Epoch: uint64(2*i + 1)}, {Owner: id, Target: next, Epoch: uint64(2*i + 2)}}
		place(m, int64(i+1), shards, id, next)
		m.Report(id, &inspectpb.WatchResponse{
			Vitals: &inspectpb.Vitals{Pid: int64(i)}, Events: []*inspectpb.Event{{Seq: 1, Kind: "slow"}},
		})
		for old := range m.nodes {
			if old != id && old != next {
				delete(m.nodes, old) // as a minute later
			}
		}
		s := m.Shards()
		if owner, target := s.Nodes[s.Shards[1][0]], s.Nodes[s.Shards[1][3]]; owner != id || target != next {
			t.Fatalf("shard 1 goes from %s to %s, not from %s to %s", owner, target, id, next)
		}
	}
	if len(m.order) > maxNodes+2 || len(m.index) != len(m.order) || len(m.told) > maxNodes+2 {
		t.Errorf("%d incarnations, %d indexes, %d processes are kept", len(m.order), len(m.index), len(m.told))
	}
}

// Parties that all call each other have as many edges as the square of their number, and
// are told with so many as can be drawn; the calls of the others are counted.
func TestGraphOfManyEdges(t *testing.T) {
	t.Parallel()
	m := New(clock.System())
	i := NewInterest(true, "", "")
	release, err := m.Hold(i)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	r, calls := &inspectpb.WatchResponse{}, 0
	for from := range 60 {
		for to := range 60 {
			r.ObjectEdges = append(r.ObjectEdges, &inspectpb.Edge{From: fmt.Sprintf("R-%d", from), To: fmt.Sprintf("R-%d", to), Calls: 1})
			calls++
		}
	}
	m.Detail("AAA", i, r)
	const limit = 100
	g := m.Graph(i, "", limit)
	told := g.More
	for _, e := range g.Edges {
		told += e.Calls
	}
	if len(g.Nodes) != 60 || len(g.Edges) != linesPerParty*limit || int(told+0.5) != calls {
		t.Errorf("%d parties, %d edges, %v calls of %d", len(g.Nodes), len(g.Edges), told, calls)
	}
}

// Skew compares with the mean of who lives: those that have left keep their numbers, and do not count.
func TestSkewOfWhoLives(t *testing.T) {
	t.Parallel()
	m := New(clock.System())
	place(m, 1, []cluster.ShardInfo{{Owner: "AAA", Epoch: 1}, {Owner: "BBB", Epoch: 1}, {Owner: "CCC", Epoch: 1}, {Owner: "CCC", Epoch: 1}}, "AAA", "BBB", "CCC")
	before := m.Versions().Shards
	place(m, 2, []cluster.ShardInfo{{Owner: "AAA", Epoch: 1}, {Owner: "BBB", Epoch: 1}, {Owner: "AAA", Epoch: 2}, {Owner: "BBB", Epoch: 2}}, "AAA", "BBB")
	if c, ok := m.ShardsSince(before); !ok || len(c.Nodes) != 3 || len(c.Changed) != 2 || c.Skew != 1 {
		t.Errorf("%+v", c)
	}
}
