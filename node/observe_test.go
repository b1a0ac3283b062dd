package node_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// methodOf returns what an interval tells of a method; an empty one where it tells nothing.
func methodOf(r *inspectmsg.WatchResponse, typ, method string) *inspectmsg.MethodStats {
	for _, m := range r.GetMethods() {
		if m.GetType() == typ && m.GetMethod() == method {
			return m
		}
	}
	return new(inspectmsg.MethodStats)
}

func edgeOf(edges []*inspectmsg.Edge, from, to string) *inspectmsg.Edge {
	for _, e := range edges {
		if e.GetFrom() == from && e.GetTo() == to {
			return e
		}
	}
	return new(inspectmsg.Edge)
}

func TestFewCallsAreCountedExactly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		w.must("Plain-a", "Write", "echo x") // before anybody looks
		o := w.Observe()
		defer o.Close()
		o.Aim(&inspectmsg.WatchRequest{Objects: true})
		for range 30 {
			w.must("Plain-a", "Write", "call Hook-b.Write ! echo x")
		}
		_, _ = w.do("Hook-b", "Write", "fail because")
		r := o.Collect()
		if r.GetSampling() != 1 {
			t.Errorf("sampling is %d", r.GetSampling())
		}
		m := methodOf(r, "Hook", "Write")
		if m.GetCalls() != 31 || m.GetErrors() != 1 || m.GetLastCode() != "Aborted" || !strings.Contains(m.GetLastError(), "because") {
			t.Errorf("of Hook.Write: %v", m)
		}
		sum := uint64(0)
		for _, n := range m.GetLatency() {
			sum += n
		}
		if sum != 31 {
			t.Errorf("the histogram counts %d", sum)
		}
		if e := edgeOf(r.GetTypeEdges(), "Plain", "Hook"); e.GetCalls() != 30 || e.GetErrors() != 0 {
			t.Errorf("from Plain to Hook: %v", e)
		}
		if e := edgeOf(r.GetTypeEdges(), "", "Hook"); e.GetCalls() != 1 || e.GetErrors() != 1 {
			t.Errorf("from outside to Hook: %v", e)
		}
		if e := edgeOf(r.GetObjectEdges(), "Plain-a", "Hook-b"); e.GetCalls() != 30 {
			t.Errorf("from Plain-a to Hook-b: %v", e)
		}
		if got := len(r.GetTypes()); got != 2 {
			t.Errorf("%d types in memory: %v", got, r.GetTypes())
		}
		if again := o.Collect(); len(again.GetMethods()) != 0 || len(again.GetObjectEdges()) != 0 {
			t.Errorf("told twice: %v", again)
		}
	})
}

// Who wants details only is told them as all others are, and nothing of the node as a whole; who wants all afterwards is told
// of what has happened since.
func TestDetailsOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		all, only := w.Observe(), w.Observe()
		defer all.Close()
		defer only.Close()
		all.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: "Plain-a"})
		only.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: "Plain-a", DetailsOnly: true})
		for range 30 {
			w.must("Plain-a", "Write", "call Hook-b.Write ! echo x")
			_, _ = w.do("Hook-c", "Write", "fail because")
		}
		want, got := all.Collect(), only.Collect()
		if len(want.GetMethods()) == 0 || len(want.GetTypes()) == 0 || len(want.GetTypeEdges()) == 0 || len(want.GetObjectEdges()) != 3 || len(want.GetTurns()) != 30 {
			t.Errorf("all: %v", want)
		}
		want.Methods, want.Types, want.TypeEdges = nil, nil, nil
		if !proto.Equal(got, want) {
			t.Errorf("details: %v, want %v", got, want)
		}
		for range 2 { // whatever room they share
			for _, o := range []*node.Observation{all, only} {
				if r := o.Collect(); len(r.GetMethods())+len(r.GetTypeEdges())+len(r.GetObjectEdges())+len(r.GetTurns()) != 0 {
					t.Errorf("told twice: %v", r)
				}
			}
		}
		w.must("Hook-c", "Write", "echo x")
		only.Aim(&inspectmsg.WatchRequest{})
		w.must("Hook-c", "Write", "echo x")
		got = only.Collect()
		if m := methodOf(got, "Hook", "Write"); m.GetCalls() != 1 || m.GetErrors() != 0 || edgeOf(got.GetTypeEdges(), "", "Hook").GetCalls() != 1 || len(got.GetTypes()) != 2 {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// Of more edges than are wanted the busiest are told, after those of the focus, and the calls of the others are counted.
func TestBusiestEdges(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		for _, c := range []struct {
			focus  string
			told   []string
			others uint64
		}{
			{"", []string{"Plain-d", "Plain-c"}, 3},
			{"Plain-a", []string{"Plain-a", "Plain-d"}, 5},
		} {
			o := w.Observe()
			o.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: c.focus, MaxEdges: 2})
			for i, id := range []string{"Plain-a", "Plain-b", "Plain-c", "Plain-d"} {
				for range i + 1 {
					w.must(id, "Write", "echo x")
				}
			}
			r := o.Collect()
			for i, e := range r.GetObjectEdges() {
				if e.GetTo() != c.told[i] || e.GetFrom() != "" {
					t.Errorf("focus %q: edge %d is %v, want %s", c.focus, i, e, c.told[i])
				}
			}
			if len(r.GetObjectEdges()) != 2 || r.GetOtherCalls() != c.others {
				t.Errorf("focus %q: %d edges and %d others", c.focus, len(r.GetObjectEdges()), r.GetOtherCalls())
			}
			o.Close()
		}
	})
}

// A call that finds its object's shard elsewhere goes on there: here it is none.
func TestRefusedArrivalsAreNoCalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		o := w.Observe()
		defer o.Close()
		w.ReleaseShard(w.ShardOf("Plain-a"), 1)
		reply, err := w.Serve(w.t.Context(), object.Request{ID: "Plain-a", Method: "Write", Message: "google.protobuf.StringValue"})
		wantErr(w.t, err, object.ErrUnavailable, object.ExecutedNo)
		if r := o.Collect(); len(reply.Body) != 0 || len(r.GetMethods()) != 0 || len(r.GetTypeEdges()) != 0 {
			w.t.Errorf("told: %v", r)
		}
	})
}

func TestFocusTellsTurnsAsTheyRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		o := w.Observe()
		defer o.Close()
		o.Aim(&inspectmsg.WatchRequest{Focus: "Plain-a"})
		held := w.begin("Plain-a", "Write", "hold g")
		sleep(time.Second)
		behind := w.begin("Plain-a", "Write", "echo x")
		w.must("Plain-other", "Write", "echo x")
		turns := o.Collect().GetTurns()
		if len(turns) != 1 || turns[0].GetMethod() != "Write" || turns[0].GetRanNs() != -1 {
			t.Fatalf("turns that run: %v", turns)
		}
		d := w.Describe("Plain-a")
		if len(d.GetTurns()) != 2 || d.GetTurns()[0].GetRanNs() != -1 || d.GetTurns()[1].GetRanNs() != 0 || d.GetInfo().GetWaiting() != 1 || d.GetInfo().GetRunning() != 1 {
			t.Errorf("described as %v", d)
		}
		if c := w.Counters(); c.Waiting != 1 || c.Activations != 2 {
			t.Errorf("counters: %+v", c)
		}
		sleep(time.Second)
		w.open("g")
		held.ok("g")
		behind.ok("x")
		r := o.Collect()
		turns = r.GetTurns()
		if len(turns) != 2 || time.Duration(turns[0].GetRanNs()) != 2*time.Second || time.Duration(turns[1].GetWaitedNs()) != time.Second {
			t.Fatalf("turns that have ended: %v", turns)
		}
		if e := edgeOf(r.GetObjectEdges(), "", "Plain-a"); e.GetCalls() != 2 || len(r.GetObjectEdges()) != 1 {
			t.Errorf("edges of the focus: %v", r.GetObjectEdges())
		}
		if c := w.Counters(); c.Waiting != 0 || o.Open() != 0 {
			t.Errorf("counters: %+v, %d turns open", c, o.Open())
		}
		held = w.begin("Plain-a", "Write", "call Hook-b.Write ! hold h")
		if turns = o.Collect().GetTurns(); len(turns) != 1 || turns[0].GetCaller() != "" {
			t.Errorf("turns of the focus: %v", turns)
		}
		w.open("h")
		held.ok("h")
		sleep(time.Hour) // the sweep lets the queue go
	})
}

func TestDeactivate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		w.on("OnDeactivate", func(_ context.Context, _ *actor, why string) (string, error) { w.note("gone %s", why); return "", nil })
		w.must("Hook-a", "Write", "echo x")
		if err := w.Deactivate(t.Context(), "Hook-a"); err != nil {
			t.Error(err)
		}
		w.wantNotes("gone " + object.ReasonIdle.String())
		wantErr(t, w.Deactivate(t.Context(), "Hook-a"), object.ErrNotFound, object.ExecutedNo, "not in memory")
		if err := w.AttachClient(t.Context(), "Guest-1"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, w.Deactivate(t.Context(), "Guest-1"), object.ErrFailedPrecondition, object.ExecutedNo, "connection")
		if err := w.DetachClient(t.Context(), "Guest-1", object.DisconnectKicked); err != nil {
			t.Error(err)
		}
		held := w.begin("Hook-b", "Write", "hold g")
		w.wantNotes("g")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, w.Deactivate(ctx, "Hook-b"), object.ErrDeadlineExceeded, object.ExecutedNo)
		w.open("g")
		held.ok("g")
		w.must("Hook-b", "Write", "echo still")
		w.wantNotes()
		if c := w.Counters(); c.Activations != 3 || c.Deactivations != 2 {
			t.Errorf("counters: %+v", c)
		}
	})
}
