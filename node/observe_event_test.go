package node_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

// diary keeps events.
type diary struct {
	mu     sync.Mutex
	events []*inspectmsg.Event // guarded by mu
}

func (d *diary) add(e *inspectmsg.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// take returns and clears the events.
func (d *diary) take() []*inspectmsg.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	events := d.events
	d.events = nil
	return events
}

// only returns the one event there is to be.
func (d *diary) only(t *testing.T, kind, level, id, method string) *inspectmsg.Event {
	t.Helper()
	events := d.take()
	if len(events) != 1 {
		t.Fatalf("events %v, want one", events)
	}
	if e := events[0]; e.GetKind() != kind || e.GetLevel() != level || e.GetObject() != id || e.GetMethod() != method {
		t.Errorf("the event is %v, want %s, %s, %s.%s", e, kind, level, id, method)
	}
	return events[0]
}

// dig panics so deep below.
func dig(depth int) string {
	if depth == 0 {
		panic("found nothing")
	}
	return dig(depth-1) + "."
}

func TestEvents(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		w.must("Plain-a", "Write", "call Loop-b.Write ! echo x")
		if events := w.diary.take(); len(events) != 0 {
			t.Errorf("events %v", events)
		}
		_, _ = w.do("Hook-😀", "Write", "panic "+strings.Repeat("é", 2000))
		e := w.diary.only(t, "panic", "error", "Hook-😀", "Write")
		if !strings.Contains(e.GetStack(), "goroutine") || len(e.GetStack()) > 8<<10 || len(e.GetText()) > 1<<10 || e.GetShard() != int32(w.ShardOf("Hook-😀")) {
			t.Errorf("the panic is told as %v", e)
		}
		w.on("deep", func(context.Context, *actor, string) (string, error) { return dig(200), nil })
		_, _ = w.do("Hook-a", "Write", "deep")
		if e := w.diary.only(t, "panic", "error", "Hook-a", "Write"); len(e.GetStack()) > 8<<10 || len(e.GetStack()) < 7<<10 {
			t.Errorf("a deep stack is told in %d bytes", len(e.GetStack()))
		}
		_, _ = w.do("Plain-a", "Write", "call Plain-a.Write ! echo x")
		if e := w.diary.only(t, "deadlock", "warning", "Plain-a", "Write"); !strings.Contains(e.GetText(), "Plain-a.Write → Plain-a.Write") {
			t.Errorf("the deadlock is told as %v", e)
		}
	})
}

func TestOverloadIsToldSeldom(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		held := w.begin("Tight-a", "Write", "hold g")
		var behind []*pending
		for range 3 {
			behind = append(behind, w.begin("Tight-a", "Write", "echo x"))
		}
		for range 5 {
			_, err := w.do("Tight-a", "Write", "echo x")
			wantErr(t, err, object.ErrOverloaded, object.ExecutedNo)
		}
		w.diary.only(t, "overloaded", "warning", "Tight-a", "Write")
		sleep(10 * time.Second)
		_, _ = w.do("Tight-a", "Write", "echo x")
		w.diary.only(t, "overloaded", "warning", "Tight-a", "Write")
		w.open("g")
		held.ok("g")
		for _, p := range behind {
			p.ok("x")
		}
	})
}

func TestSlowTurnsAreToldWhileWatched(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		w.on("last", func(_ context.Context, _ *actor, arg string) (string, error) {
			d, err := time.ParseDuration(arg)
			sleep(d)
			return "", err
		})
		w.must("Plain-a", "Write", "last 5s")
		o := w.Observe()
		defer o.Close()
		w.must("Plain-a", "Write", "last 999ms")
		if events := w.diary.take(); len(events) != 0 {
			t.Errorf("events %v", events)
		}
		w.must("Plain-a", "Write", "last 1s")
		w.diary.only(t, "slow", "warning", "Plain-a", "Write")
	})
}

// A turn that hangs is told once, when somebody looks after a second, and not when it ends. One that waits does not hang.
func TestHangingTurnsAreTold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		first, second := w.Observe(), w.Observe()
		defer first.Close()
		defer second.Close()
		look := func() { first.Collect(); second.Collect() }
		held := w.begin("Plain-a", "Write", "hold g")
		behind := w.begin("Plain-a", "Write", "echo x")
		sleep(999 * time.Millisecond)
		if look(); len(w.diary.take()) != 0 {
			t.Error("a turn of less than a second is told")
		}
		sleep(time.Second)
		look()
		e := w.diary.only(t, "slow", "warning", "Plain-a", "Write")
		if !strings.Contains(e.GetText(), "has not ended") || e.GetShard() != int32(w.ShardOf("Plain-a")) {
			t.Errorf("told as %v", e)
		}
		sleep(10 * time.Second)
		look()
		w.open("g")
		held.ok("g")
		behind.ok("x")
		look()
		if events := w.diary.take(); len(events) != 0 {
			t.Errorf("told again: %v", events)
		}
	})
}

// What never ran counts as failed calls, and the stack of a panic is told with its method.
func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		o := w.Observe()
		defer o.Close()
		held := w.begin("Tight-a", "Write", "hold g")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		behind := []*pending{w.start(ctx, "Tight-a", "Write", "echo x"), w.start(ctx, "Tight-a", "Write", "echo x"), w.start(ctx, "Tight-a", "Write", "echo x")}
		_, _ = w.do("Tight-a", "Write", "echo x") // overloaded
		sleep(2 * time.Second)
		for _, p := range behind {
			p.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
		}
		if m := methodOf(o.Collect(), "Tight", "Write"); m.GetCalls() != 4 || m.GetErrors() != 4 || m.GetRunning() != 1 || m.GetLastCode() != "DeadlineExceeded" {
			t.Errorf("of Tight.Write: %v", m)
		}
		w.open("g")
		held.ok("g")
		_, _ = w.do("Tight-a", "Write", "panic now")
		m := methodOf(o.Collect(), "Tight", "Write")
		if m.GetCalls() != 2 || m.GetErrors() != 1 || m.GetRunning() != 0 || m.GetLastCode() != "Internal" || !strings.Contains(m.GetLastStack(), "goroutine") {
			t.Errorf("of Tight.Write: %v", m)
		}
	})
}

func TestOneWayCallsAndPushesHaveTheirSender(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		t := w.t
		w.on("both", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.Pushed(ctx, "Guest-1")
			_, err := w.Call(ctx, "Hook-b", "Write", word("echo x"), object.OneWay())
			return "", err
		})
		w.Pushed(t.Context(), "Guest-0") // nobody looks
		o := w.Observe()
		defer o.Close()
		for _, aim := range []*inspectmsg.WatchRequest{{Objects: true}, {Focus: "Guest-1"}, {Objects: true, Types: []string{"Guest"}}, {Focus: "Plain-a"}, {Objects: true, Focus: "Plain-a"}} {
			o.Aim(aim)
			w.must("Plain-a", "Write", "both")
			sleep(time.Millisecond)
			w.Pushed(t.Context(), "Guest-1")
			r := o.Collect()
			push, from, call := edgeOf(r.GetObjectEdges(), "Plain-a", "Guest-1"), edgeOf(r.GetObjectEdges(), "", "Guest-1"), edgeOf(r.GetObjectEdges(), "Plain-a", "Hook-b")
			guest, other := aim.GetFocus() != "Plain-a" || aim.GetObjects(), aim.GetFocus() != "Guest-1" && len(aim.GetTypes()) == 0
			if push.GetCalls() != 1 || !push.GetPush() || (from.GetCalls() == 1) != guest || (call.GetCalls() == 1) != other {
				t.Errorf("with %v: edges %v", aim, r.GetObjectEdges())
			}
			seen := make(map[string]bool)
			for _, e := range r.GetObjectEdges() {
				if way := e.GetFrom() + " " + e.GetTo(); seen[way] {
					t.Errorf("with %v: %s is told twice", aim, way)
				} else {
					seen[way] = true
				}
			}
			if e := edgeOf(r.GetTypeEdges(), "Plain", "Guest"); e.GetCalls() != 1 || !e.GetPush() {
				t.Errorf("with %v: %v", aim, r.GetTypeEdges())
			}
		}
	})
}

// The figures are right whatever the sampler does meanwhile: what turns look at follows it.
func TestFiguresOfMoreAndFewerCalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		o := w.Observe()
		defer o.Close()
		total, told := 0, uint64(0)
		collect := func() { told += methodOf(o.Collect(), "Plain", "Write").GetCalls() }
		for tick := range 24 { // of the sampler's
			calls := []int{4000, 4000, 4000, 4000, 400, 40}[tick/4]
			for range calls {
				w.must("Plain-a", "Write", "echo x")
			}
			total += calls
			if tick%5 == 0 {
				collect()
			}
			sleep(100 * time.Millisecond)
		}
		collect()
		if float64(told) < 0.8*float64(total) || float64(told) > 1.2*float64(total) {
			w.t.Errorf("%d calls are told of %d", told, total)
		}
	})
}

// Whoever closes the last observation leaves nothing behind, also while calls run, and the
// estimates of what is sampled are close.
func TestObservingManyCalls(t *testing.T) {
	t.Parallel()
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*Counter)(nil)); err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Config{Registry: r, Clock: clock.System(), Shards: 16, Logger: slog.New(slog.DiscardHandler)})
	for s := range uint32(16) {
		if err := n.OpenShard(t.Context(), s, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	const callers, calls = 8, 4000
	work := func() {
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for range calls {
					if _, err := n.Call(t.Context(), "Counter-"+string(rune('a'+i%4)), "Add", wrapperspb.String("x")); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	o, p := n.Observe(), n.Observe()
	p.Aim(&inspectmsg.WatchRequest{Objects: true, Focus: "Counter-a"})
	work()
	for _, o := range []*node.Observation{o, p} {
		r := o.Collect()
		m := methodOf(r, "Counter", "Add")
		sum := uint64(0)
		for _, of := range m.GetLatency() {
			sum += of
		}
		if sum != m.GetCalls() {
			t.Errorf("the histogram counts %d of %d calls", sum, m.GetCalls())
		}
		if got := m.GetCalls(); got < callers*calls*6/10 || got > callers*calls*14/10 {
			t.Errorf("%d calls are estimated, there were %d", got, callers*calls)
		}
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				o := n.Observe()
				o.Aim(&inspectmsg.WatchRequest{Focus: "Counter-b"})
				_ = n.Search(t.Context(), &inspectmsg.SearchRequest{Sort: inspectmsg.SearchRequest_SORT_CALLS})
				_, _ = n.Describe("Counter-b"), n.Counters()
				_ = o.Collect()
				o.Close()
				o.Close()
			}
		})
	}
	work()
	close(stop)
	wg.Wait()
	o.Close()
	if !n.Observed() {
		t.Error("one observation is left")
	}
	p.Close()
	if n.Observed() {
		t.Error("nobody observes, and calls are captured")
	}
	if r := p.Collect(); len(r.GetMethods()) != 0 {
		t.Errorf("a closed observation tells %v", r)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if types := p.Collect().GetTypes(); len(types) != 0 {
		t.Errorf("types in memory after Stop: %v", types)
	}
	if c := n.Counters(); c.Activations != 4 || c.Deactivations != 4 || c.Waiting != 0 {
		t.Errorf("counters %+v", c)
	}
}

// An object that panics for ever does not push all other events out: the first are told, then
// some, with how many were left out.
func TestEventsOfTurnsArePaced(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		for range 150 {
			_, _ = w.do("Hook-a", "Write", "panic again")
		}
		if events := w.diary.take(); len(events) != 100 {
			w.t.Errorf("%d events of 150 at once, want 100", len(events))
		}
		sleep(time.Second)
		for range 5 {
			_, _ = w.do("Hook-a", "Write", "panic again")
		}
		events := w.diary.take()
		if len(events) != 2 || !strings.Contains(events[0].GetText(), "50 events of turns before it were left out") || strings.Contains(events[1].GetText(), "left out") {
			w.t.Errorf("a second later: %v", events)
		}
	})
}
