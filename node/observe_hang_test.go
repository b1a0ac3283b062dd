package node_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
)

// looks lets an observation collect twice a second, as inspectors do, and returns what it told.
func looks(o *node.Observation, times int) (told []*inspectmsg.WatchResponse) {
	for range times {
		sleep(500 * time.Millisecond)
		told = append(told, o.Collect())
	}
	return told
}

// Turns that hang are known though hardly one call in many is picked: with their method, who called them and since when.
func TestHangingTurnsAreSeenAmongManyCalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		o := w.Observe()
		defer o.Close()
		w.among(o)
		var held []*pending
		for i := range 5 {
			held = append(held, w.begin("Plain-hung"+strconv.Itoa(i), "Write", "hold g"))
		}
		held = append(held, w.begin("Loop-a", "Write", "call Plain-within.Write ! hold g"))
		began := time.Now()
		for range 12 {
			held = append(held, w.begin("Plain-many", "Free", "hold g"))
		}
		if turns := w.Describe("Plain-hung0").GetTurns(); len(turns) != 1 || turns[0].GetMethod() != "Write" || turns[0].GetRanNs() != -1 || turns[0].GetId() == 0 {
			t.Errorf("at once: %v", turns)
		}
		looks(o, 1)
		sleep(300 * time.Millisecond) // between two looks
		_ = w.Describe("Plain-hung4")
		last := looks(o, 4)[3]
		for i := range 5 {
			d := w.Describe("Plain-hung" + strconv.Itoa(i))
			if len(d.GetTurns()) != 1 {
				t.Fatalf("turns of the hung object %d: %v", i, d.GetTurns())
			}
			turn := d.GetTurns()[0]
			since := time.UnixMicro(turn.GetArrivedUs()).Sub(began)
			if turn.GetMethod() != "Write" || turn.GetCaller() != "" || turn.GetRanNs() != -1 || since < 0 || since > 500*time.Millisecond {
				t.Errorf("the turn of the hung object %d, %v after it began: %v", i, since, turn)
			}
		}
		if turns := w.Describe("Plain-within").GetTurns(); len(turns) != 1 || turns[0].GetCaller() != "Loop-a" {
			t.Errorf("called by an object: %v", turns)
		}
		if turns := w.Describe("Plain-many").GetTurns(); len(turns) != 12 {
			t.Errorf("%d of 12 concurrent turns: %v", len(turns), turns)
		}
		for method, want := range map[string]uint64{"Write": 6, "Free": 12} {
			if m := methodOf(last, "Plain", method); m.GetRunning() != want {
				t.Errorf("%d of %s run, want %d", m.GetRunning(), method, want)
			}
		}
		slow := make(map[string]int)
		for _, e := range w.diary.take() {
			slow[e.GetKind()+" "+e.GetObject()+"."+e.GetMethod()]++
		}
		if slow["slow Plain-hung3.Write"] != 1 || slow["slow Plain-within.Write"] != 1 || slow["slow Plain-many.Free"] != 12 {
			t.Errorf("events: %v", slow)
		}
		w.open("g")
		for _, p := range held {
			_, _ = p.wait()
		}
		if m := methodOf(o.Collect(), "Plain", "Write"); m.GetRunning() != 0 {
			t.Errorf("%d run after all have ended", m.GetRunning())
		}
		if turns := w.Describe("Plain-hung0").GetTurns(); len(turns) != 0 || len(w.diary.take()) != 0 {
			t.Errorf("afterwards: %v, or told again", turns)
		}
		if n := o.Adopted(); n != 0 {
			t.Errorf("%d turns are kept", n)
		}
	})
}

// Who looks at an object is told of the turns that hung there before, and of their ends.
func TestFocusIsToldOfTurnsThatHungBefore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		o := w.Observe()
		defer o.Close()
		picked := w.begin("Plain-a", "Free", "hold g")
		w.among(o)
		w.on("stuck", func(context.Context, *actor, string) (string, error) { <-w.gate("g"); panic("at last") })
		passed := w.begin("Plain-a", "Write", "stuck")
		looks(o, 3)
		o.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: "Plain-a"})
		told := make(map[string][]*inspectmsg.Turn)
		hear := func() {
			for _, turn := range o.Collect().GetTurns() {
				told[turn.GetMethod()] = append(told[turn.GetMethod()], turn)
			}
		}
		hear()
		hear()
		w.open("g")
		_, _ = picked.wait()
		_, _ = passed.wait()
		hear()
		for method, code := range map[string]string{"Free": "", "Write": "Internal"} {
			turns := told[method]
			if len(turns) != 2 || turns[0].GetRanNs() != -1 || turns[1].GetRanNs() < 1e9 || turns[1].GetCode() != code || turns[0].GetId() != turns[1].GetId() {
				t.Errorf("of %s: %v", method, turns)
			}
		}
		if o.Open() != 0 {
			t.Error("turns are taken to run still")
		}
	})
}

// A hook that hangs is known too.
func TestHangingHookIsSeen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		o := w.Observe()
		defer o.Close()
		w.on("OnActivate", func(context.Context, *actor, string) (string, error) { <-w.gate("g"); return "", nil })
		p := w.begin("Hook-a", "Write", "echo x")
		told := looks(o, 4)
		found := false
		for _, turn := range w.Describe("Hook-a").GetTurns() {
			found = found || turn.GetMethod() == "OnActivate" && turn.GetRanNs() == -1
		}
		if !found {
			w.t.Errorf("turns: %v", w.Describe("Hook-a").GetTurns())
		}
		if m := methodOf(told[3], "Hook", "OnActivate"); m.GetRunning() != 0 {
			w.t.Errorf("%d calls of a hook run", m.GetRunning())
		}
		w.diary.only(w.t, "slow", "warning", "Hook-a", "OnActivate")
		w.open("g")
		p.ok("x")
	})
}

// A turn that hangs is an event too where all who look want details only.
func TestHangingTurnBesideDetailsOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		o := w.Observe()
		defer o.Close()
		o.Aim(&inspectmsg.WatchRequest{Objects: true, DetailsOnly: true})
		w.among(o)
		p := w.begin("Plain-a", "Write", "hold g")
		looks(o, 6)
		w.diary.only(w.t, "slow", "warning", "Plain-a", "Write")
		w.open("g")
		_, _ = p.wait()
	})
}
