package mem_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

func TestCutConcernsOneCallerAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		back := w.b.Dial(w.a.Peer())
		w.works("before", w.link)
		done := w.begin("Block")
		undisturbed := make(chan outcome, 1)
		ctx, leave := context.WithCancel(t.Context())
		go func() { undisturbed <- w.call(ctx, back, "Block") }()
		synctest.Wait()
		w.SetFaults("a", "b", mem.Faults{Cut: true})
		w.want("a call under way", <-done, transport.ErrBroken, object.ExecutedUnknown, 0)
		w.want("a new call", w.call(t.Context(), w.link, "Echo"), transport.ErrUnreachable, object.ExecutedNo, 0)
		w.works("the other direction", back)
		if synctest.Wait(); len(w.ended) != 1 {
			t.Errorf("%d contexts have ended, want that of the call under way", len(w.ended))
		}
		if len(undisturbed) > 0 {
			t.Error("the other direction's call has ended")
		}
		leave()
		w.want("the other direction's call", <-undisturbed, context.Canceled, object.ExecutedUnknown, 0)
		w.SetFaults("a", "b", mem.Faults{})
		w.works("after the cut", w.link)
	})
}

func TestDelayOfEachWay(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		w.SetFaults("a", "b", mem.Faults{Delay: 3 * time.Second})
		w.SetFaults("b", "a", mem.Faults{Delay: 4 * time.Second})
		done := w.begin("Echo")
		sleep(3*time.Second - 1)
		if n := len(w.arrived()); n != 0 {
			t.Error("the call has arrived early")
		}
		sleep(1)
		if n := len(w.arrived()); n != 1 {
			t.Error("the call has not arrived")
		}
		w.want("a delayed call", <-done, nil, object.ExecutedYes, 7*time.Second)

		// A caller that leaves: the callee hears of it as late.
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		w.want("a call that takes too long", w.call(ctx, w.link, "Block"), context.DeadlineExceeded, object.ExecutedUnknown, 4*time.Second)
		sleep(3*time.Second - 1)
		w.mu.Lock()
		early := len(w.ended)
		w.mu.Unlock()
		sleep(1)
		w.mu.Lock()
		defer w.mu.Unlock()
		if early != 0 || len(w.ended) != 1 {
			t.Errorf("the callee's context ended at the wrong time: %d before, %d in all", early, len(w.ended))
		}
	})
}

// burst sends numbered calls of two callers to two objects, and returns what arrived.
func burst(w *world, n int) []string {
	w.t.Helper()
	for i := range n {
		c := by(byte(i%2), fmt.Sprintf("X-%d", i/2%2), fmt.Sprintf("%d%d.%03d", i%2, i/2%2, i))
		if err := w.link.Send(w.t.Context(), c); err != nil {
			w.t.Fatal(err)
		}
	}
	sleep(time.Minute)
	return w.arrived()
}

// ordered says whether the numbers grow: those of all, or of each caller at each object.
func ordered(bodies []string, all bool) bool {
	last := map[string]string{}
	for _, body := range bodies {
		key, number, _ := strings.Cut(body, ".")
		if all {
			key = ""
		}
		if number <= last[key] {
			return false
		}
		last[key] = number
	}
	return true
}

func TestJitterKeepsOrderAndReorderThatOfEachCaller(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		w.SetFaults("a", "b", mem.Faults{Jitter: time.Second})
		if got := burst(w, 100); len(got) != 100 || !ordered(got, true) {
			t.Errorf("with jitter %d messages arrived: %v", len(got), got)
		}
		w.SetFaults("a", "b", mem.Faults{Reorder: time.Second})
		got := burst(w, 100)
		if len(got) != 100 || !ordered(got, false) {
			t.Errorf("with reordering %d messages arrived: %v", len(got), got)
		}
		if ordered(got, true) {
			t.Error("no message has overtaken another")
		}
		// What comes after that is in order again, and behind.
		if err := w.link.Send(t.Context(), by(1, "X-1", "late")); err != nil {
			t.Error(err)
		}
		w.SetFaults("a", "b", mem.Faults{})
		if err := w.link.Send(t.Context(), by(0, "X-0", "later")); err != nil {
			t.Error(err)
		}
		sleep(time.Minute)
		if got := w.arrived(); !slices.Equal(got, []string{"late", "later"}) {
			t.Errorf("%v arrived, want late and later", got)
		}
	})
}

func TestChanceRepeatsItself(t *testing.T) {
	t.Parallel()
	var runs [3][]string
	for i, seed := range []uint64{1, 1, 2} {
		inBubble(t, mem.Options{Seed: seed}, func(w *world) {
			w.SetFaults("a", "b", mem.Faults{Drop: 0.3, Duplicate: 0.2, Reorder: time.Second, Jitter: time.Second})
			runs[i] = burst(w, 400)
		})
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("the same seed has had other effects")
	}
	if slices.Equal(runs[0], runs[2]) {
		t.Error("another seed has had the same effects")
	}
	distinct := len(slices.Compact(slices.Sorted(slices.Values(runs[0]))))
	if lost, twice := 400-distinct, len(runs[0])-distinct; lost < 80 || lost > 160 || twice < 30 || twice > 85 {
		t.Errorf("of 400 messages %d are lost and %d arrived twice, want about 120 and 56", lost, twice)
	}
}

func TestDuplicatesRunTwiceAndAnswerOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		everything := mem.Faults{Duplicate: 1, Jitter: time.Second}
		w.SetFaults("a", "b", everything)
		w.SetFaults("b", "a", everything)
		w.begin("Echo")
		sleep(time.Minute)
		if n := len(w.arrived()); n != 2 {
			t.Errorf("the call arrived %d times, want 2", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		blocked := make(chan outcome, 1)
		go func() { blocked <- w.call(ctx, w.link, "Block") }()
		synctest.Wait()
		w.SetFaults("a", "b", mem.Faults{}) // the cancellation comes once
		w.want("a call that blocks", <-blocked, context.DeadlineExceeded, object.ExecutedUnknown, time.Minute)
		synctest.Wait()
		if w.mu.Lock(); len(w.ended) != 2 {
			t.Errorf("%d calls have ended, want both", len(w.ended))
		}
		w.mu.Unlock()
		sleep(time.Minute) // until all replies are there: each counts once
		if err := w.b.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
	})
}

func TestDrainWaitsForRepliesOnTheirWay(t *testing.T) {
	t.Parallel()
	for _, arrive := range []bool{true, false} {
		inBubble(t, mem.Options{}, func(w *world) {
			t := w.t
			w.SetFaults("b", "a", mem.Faults{Delay: 5 * time.Second})
			done := w.begin("Echo")
			start := time.Now()
			if !arrive {
				go func() { sleep(time.Second); w.link.Close() }()
			}
			if err := w.b.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := 5 * time.Second
			if !arrive {
				want = time.Second
			}
			if took := time.Since(start); took != want {
				t.Errorf("Drain took %v, want %v", took, want)
			}
			if err := w.b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := <-done; (got.err == nil) != arrive {
				t.Errorf("the call ended with %v", got.err)
			}
		})
	}
}

// A call that arrives when its callee drains already is refused, and known not to have run.
func TestDrainRefusesWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		w.SetFaults("a", "b", mem.Faults{Delay: time.Second})
		done := w.begin("Echo")
		if err := w.link.Send(t.Context(), call("X-1", "Echo", "")); err != nil {
			t.Error(err)
		}
		if err := w.b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.want("a call on its way", <-done, transport.ErrDraining, object.ExecutedNo, time.Second)
		if got := w.arrived(); len(got) != 0 {
			t.Errorf("%d calls have been accepted", len(got))
		}
	})
}

// exiting is a handler that ends the goroutine that receives.
type exiting struct{ transport.Handler }

// AcceptCall implements transport.Handler.
func (e exiting) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	if c.Method == "Exit" {
		runtime.Goexit()
	}
	return e.Handler.AcceptCall(ctx, c)
}

func TestReceiverThatExitsBreaksTheLink(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		c := w.listen("c", exiting{w})
		w.link = w.a.Dial(c.Peer())
		w.works("before", w.link)
		w.want("the call that exits", <-w.begin("Exit"), transport.ErrBroken, object.ExecutedUnknown, 0)
		w.works("after", w.link)
		if err := c.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
	})
}

// slow is a handler that breaks the rule not to block.
type slow struct {
	transport.Handler

	let chan struct{}
}

// AcceptCall implements transport.Handler.
func (s slow) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	<-s.let
	return s.Handler.AcceptCall(ctx, c)
}

func TestCloseWaitsForTheGoroutinesOfALink(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		s := slow{w, make(chan struct{})}
		w.link = w.a.Dial(w.listen("c", s).Peer())
		w.begin("Echo")
		closed := make(chan struct{}, 2)
		go func() { w.link.Close(); closed <- struct{}{} }()
		synctest.Wait()
		go func() { _ = w.a.Close(context.WithoutCancel(t.Context())); closed <- struct{}{} }()
		if synctest.Wait(); len(closed) > 0 {
			t.Error("Close has returned while a goroutine of the link runs")
		}
		close(s.let)
		<-closed
		<-closed
	})
}

// What was left is forgotten, even if it is never answered.
func TestAbandonedCallsAreForgotten(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		w.works("before", w.link)
		w.SetFaults("a", "b", mem.Faults{Drop: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.want("a dropped call", w.call(ctx, w.link, "Echo"), context.DeadlineExceeded, object.ExecutedUnknown, time.Second)
		if n := mem.Pending(w.link); n != 0 {
			t.Errorf("the link remembers %d calls", n)
		}
	})
}

func TestOpenAddressesDiffer(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		x, y := w.listen("host:0", w), w.listen("host:0", w)
		if x.Peer().Address == y.Peer().Address || !strings.HasPrefix(x.Peer().Address, "host:") || strings.HasSuffix(x.Peer().Address, ":0") {
			t.Errorf("addresses %q and %q", x.Peer().Address, y.Peer().Address)
		}
		w.works("one", w.a.Dial(x.Peer()))
		w.works("the other", w.a.Dial(y.Peer()))
	})
}

func TestFaultsAreTold(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		want := mem.Faults{Delay: time.Second, Drop: 0.5}
		w.SetFaults("a", "b", want)
		if got := w.Faults("a", "b"); got != want {
			t.Errorf("Faults = %+v", got)
		}
		if got := w.Faults("b", "a"); got != (mem.Faults{}) {
			t.Errorf("Faults of the other way = %+v", got)
		}
	})
}

func TestPaceIsKept(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		w.works("before", w.link)
		w.SetFaults("a", "b", mem.Faults{Pace: time.Second, Reorder: time.Millisecond})
		for i := range 10 {
			if err := w.link.Send(t.Context(), by(byte(i), "X-1", "paced")); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 5 {
			sleep(time.Second)
			if got := w.arrived(); len(got) != 1 {
				t.Errorf("%d messages arrived in second %d, want 1", len(got), n)
			}
		}
		w.SetFaults("a", "b", mem.Faults{})
		sleep(time.Minute)
		if got := w.arrived(); len(got) != 5 {
			t.Errorf("%d messages arrived in the end, want 5", len(got))
		}
	})
}
