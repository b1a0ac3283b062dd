package inspection_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/inspection"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/object"
	inspectpb "github.com/xiaonanln/goverse/proto/inspect"
)

// bubble runs a test in virtual time, and sees that nothing of the service is left.
func bubble(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		test(w)
		if err := w.service.Wait(t.Context()); err != nil {
			t.Errorf("wait: %v", err)
		}
		if n := w.looking(); n != 0 {
			t.Errorf("%d observations are left open", n)
		}
	})
}

func codeOf(err error) object.Code { return grpcerr.FromError(err).Code }

func TestWatchTellsEveryHalfSecond(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		s := w.watch(t.Context())
		synctest.Wait()
		if w.looking() != 0 {
			t.Error("it looks before somebody says at what")
		}
		s.in <- &inspectpb.WatchRequest{Objects: true, MaxEdges: 1 << 30}
		began := time.Now()
		first := <-s.out
		if time.Since(began) != 0 || first.GetVitals().GetIncarnation() != "me" || first.GetVitals().GetPid() == 0 || first.GetSampling() != 1 {
			t.Errorf("after %v: %v", time.Since(began), first)
		}
		for i := range 3 {
			res := <-s.out
			if since := time.Since(began); since != time.Duration(i+1)*inspection.Interval {
				t.Errorf("message %d came after %v", i+1, since)
			}
			if res.GetIntervalNs() != int64(inspection.Interval) || res.GetOtherCalls() != uint64(i+2) {
				t.Errorf("message %d: %v", i+1, res)
			}
		}
		s.in <- &inspectpb.WatchRequest{Focus: "Box-1"}
		<-s.out
		if n := len(w.aims); n != 2 || w.aims[1].GetFocus() != "Box-1" || w.aims[0].GetMaxEdges() != inspection.MaxEdges {
			t.Errorf("aimed %v", w.aims)
		}
		close(s.in)
		if err := <-s.result; err != nil {
			t.Errorf("a watcher that has gone: %v", err)
		}
	})
}

// How the node is stands in the first message, once a second, and with what happens; resident memory is asked for more seldom.
func TestWatchTellsHowTheNodeIsOnceASecond(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		s := w.watch(t.Context())
		tells := func(message string, wants bool) {
			t.Helper()
			if res := <-s.out; (res.GetVitals() != nil) != wants {
				t.Errorf("%s: vitals %v, wanted: %t", message, res.GetVitals(), wants)
			}
		}
		s.in <- &inspectpb.WatchRequest{}
		tells("first", true)
		tells("after half a second", false)
		tells("after a second", true)
		w.journal.Add(&inspectpb.Event{Kind: "slow"})
		tells("an event", true)
		tells("the next half second", false)
		tells("the next second, hardly less after the event", true)
		s.in <- &inspectpb.WatchRequest{Unattended: true}
		tells("as was said before", false)
		tells("unattended", true)
		tells("unattended again", true)
		close(s.in)
		<-s.result
	})
}

// Who wants details only is told neither how the node is nor its events, until it wants all.
func TestWatchTellsDetailsOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		s := w.watch(t.Context())
		w.journal.Add(&inspectpb.Event{Kind: "slow"})
		s.in <- &inspectpb.WatchRequest{Objects: true, DetailsOnly: true}
		began := time.Now()
		for i := range 4 {
			res := <-s.out
			w.journal.Add(&inspectpb.Event{Kind: "slow"}) // which it does not wake
			if at := time.Since(began); at != time.Duration(i)*inspection.Interval {
				t.Errorf("message %d after %v", i, at)
			}
			if res.GetVitals() != nil || len(res.GetEvents()) != 0 || res.GetOtherCalls() != uint64(i+1) {
				t.Errorf("message %d: %v", i, res)
			}
		}
		s.in <- &inspectpb.WatchRequest{}
		if res := <-s.out; res.GetVitals() == nil || len(res.GetEvents()) != 5 {
			t.Errorf("all: %v", res)
		}
		close(s.in)
		<-s.result
	})
}

// Whenever they begin, all streams tell at the same times: so one who puts together what the nodes of a cluster tell waits
// for none of them.
func TestWatchTellsInStep(t *testing.T) {
	t.Parallel()
	const interval, delay = inspection.Interval, inspection.EventDelay
	for late, first := range map[time.Duration]time.Duration{
		0:                    interval,
		interval / 3:         interval,
		interval - delay:     interval,
		interval - delay + 1: 2 * interval, // not two at once
		interval - 1:         2 * interval,
	} {
		bubble(t, func(w *world) {
			t := w.t
			began := time.Now() // a multiple of an interval
			time.Sleep(late)    //nolint:forbidigo // virtual time
			s := w.watch(t.Context())
			s.in <- &inspectpb.WatchRequest{}
			<-s.out
			for i := range 3 {
				<-s.out
				if since := time.Since(began); since != first+time.Duration(i)*interval {
					t.Errorf("%v late: message %d came after %v", late, i+1, since)
				}
			}
			close(s.in)
			<-s.result
		})
	}
}

// A stream that nobody looks at tells once a second; it does not wait for that where somebody looks again.
func TestUnattendedWatchTellsEverySecond(t *testing.T) {
	t.Parallel()
	const half = inspection.Interval
	bubble(t, func(w *world) {
		t := w.t
		began := time.Now() // a multiple of a second
		s := w.watch(t.Context())
		tells := func(at time.Duration) {
			t.Helper()
			<-s.out
			if since := time.Since(began); since != at {
				t.Errorf("a message came after %v, want %v", since, at)
			}
		}
		s.in <- &inspectpb.WatchRequest{Unattended: true}
		tells(0)
		tells(2 * half)
		tells(4 * half)
		time.Sleep(half / 2) //nolint:forbidigo // virtual time
		s.in <- &inspectpb.WatchRequest{}
		tells(5 * half)
		tells(6 * half)
		time.Sleep(half / 2) //nolint:forbidigo // virtual time
		s.in <- &inspectpb.WatchRequest{Unattended: true}
		tells(7 * half) // as was said before
		tells(8 * half)
		time.Sleep(2*half - inspection.EventDelay/2) //nolint:forbidigo // virtual time
		s.in <- &inspectpb.WatchRequest{}            // holds up nothing
		tells(10 * half)
		s.in <- &inspectpb.WatchRequest{Unattended: true}
		synctest.Wait()
		time.Sleep(half / 2) //nolint:forbidigo // virtual time
		w.journal.Add(&inspectpb.Event{Kind: "join"})
		synctest.Wait()
		s.in <- &inspectpb.WatchRequest{} // makes the event no later
		tells(10*half + half/2 + inspection.EventDelay)
		tells(11 * half)
		close(s.in)
		<-s.result
	})
}

func TestEventsDoNotWaitForTheNextMessage(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		for range 3 {
			w.journal.Add(&inspectpb.Event{Kind: "join"})
		}
		ctx, cancel := context.WithCancel(t.Context())
		s := w.watch(ctx)
		s.in <- &inspectpb.WatchRequest{Since: 1}
		if got := (<-s.out).GetEvents(); len(got) != 2 || got[0].GetSeq() != 2 {
			t.Errorf("the first message has the events %v", got)
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // virtual time
		began := time.Now()
		w.journal.Add(&inspectpb.Event{Kind: "panic"})
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // virtual time
		w.journal.Add(&inspectpb.Event{Kind: "panic"})
		if got := (<-s.out).GetEvents(); len(got) != 2 || got[1].GetSeq() != 5 || time.Since(began) > 100*time.Millisecond {
			t.Errorf("after %v the events %v", time.Since(began), got)
		}
		if got := (<-s.out).GetEvents(); len(got) != 0 {
			t.Errorf("events were told again: %v", got)
		}
		cancel()
		if err := <-s.result; codeOf(err) != object.CodeCanceled {
			t.Errorf("a stream that broke: %v", err)
		}
	})
}

// What is told at a time fits into a message; nothing is left out for that.
func TestManyEventsComeInPieces(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		for range journal.Kept {
			w.journal.Add(&inspectpb.Event{Kind: "panic", Stack: strings.Repeat("x", journal.MaxStack)})
		}
		s := w.watch(t.Context())
		s.in <- &inspectpb.WatchRequest{}
		seen := uint64(0)
		for seen < journal.Kept {
			res := <-s.out
			if size := len(res.GetEvents()) * journal.MaxStack; size > inspection.MaxEventBytes || size == 0 {
				t.Fatalf("a message has %d bytes of events", size)
			}
			for _, e := range res.GetEvents() {
				if seen++; e.GetSeq() != seen {
					t.Fatalf("event %d after %d", e.GetSeq(), seen-1)
				}
			}
		}
		close(s.in)
		<-s.result
	})
}

func TestWatchersThatDoNotReadAreCutOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		s := w.watch(t.Context())
		s.in <- &inspectpb.WatchRequest{}
		<-s.out
		began := time.Now()
		err := <-s.result
		if codeOf(err) != object.CodeResourceExhausted || time.Since(began) != inspection.Interval+inspection.Patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestWatchersThatSayNothingAreCutOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		began := time.Now()
		if err := <-w.watch(t.Context()).result; codeOf(err) != object.CodeDeadlineExceeded || time.Since(began) != inspection.Patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestWishesThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, req := range []*inspectpb.WatchRequest{
		{Focus: "nonsense"}, {Focus: "Box-\x00"}, {Focus: "Box-" + strings.Repeat("x", 300)}, {Types: make([]string, inspection.MaxTypes+1)},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				t := w.t
				s := w.watch(t.Context())
				s.in <- req
				if err := <-s.result; codeOf(err) != object.CodeInvalidArgument {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestWatchersAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		var all []*stream
		add := func(req *inspectpb.WatchRequest) *stream {
			s := w.watch(t.Context())
			s.in <- req
			<-s.out
			all = append(all, s)
			return s
		}
		refused := func(what string, s *stream) {
			t.Helper()
			if err := <-s.result; codeOf(err) != object.CodeResourceExhausted {
				t.Errorf("%s: %v", what, err)
			}
		}
		for i := range inspection.MaxDetailed {
			add([]*inspectpb.WatchRequest{{Objects: true}, {Focus: "Box-1"}}[i%2])
		}
		more := w.watch(t.Context())
		more.in <- &inspectpb.WatchRequest{Objects: true}
		refused("one more with detail", more)
		var basic *stream
		for range inspection.MaxStreams - inspection.MaxDetailed {
			basic = add(&inspectpb.WatchRequest{})
		}
		refused("one more in all", w.watch(t.Context()))
		basic.in <- &inspectpb.WatchRequest{Focus: "Box-1"}
		refused("one that wants detail then", basic)
		all[0].in <- &inspectpb.WatchRequest{} // gives its place back
		<-all[0].out
		close(all[1].in) // likewise
		<-all[1].result
		for range 2 {
			add(&inspectpb.WatchRequest{Objects: true})
		}
		for _, s := range all {
			if s != basic && s != all[1] {
				close(s.in)
				<-s.result
			}
		}
	})
}

// While nobody looks what a second has waits for that of others, if the watcher allows it: for an event, for somebody who looks, and for the end of
// a time that is the same for all nodes.
func TestSecondsAreHeldBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		const most = 5 * time.Second
		began := time.Now() // a multiple of it
		s := w.watch(t.Context())
		collected := uint64(0)
		tells := func(at time.Duration, intervals ...time.Duration) {
			t.Helper()
			for i, interval := range intervals {
				res, last := <-s.out, i == len(intervals)-1
				if since := time.Since(began); since != at {
					t.Errorf("response %d came after %v, want %v", i+1, since, at)
				}
				age := time.Duration(0)
				for _, later := range intervals[i+1:] {
					age += later
				}
				if collected++; res.GetOtherCalls() != collected || res.GetIntervalNs() != int64(interval) || res.GetAgeNs() != int64(age) || (res.GetVitals() != nil) != last {
					t.Errorf("after %v, response %d is %v, want collection %d, of %v, %v ago", at, i+1, res, collected, interval, age)
				}
			}
		}
		const second = time.Second
		s.in <- &inspectpb.WatchRequest{Unattended: true, HoldNs: int64(most)}
		tells(0, 0)
		tells(most, second, second, second, second, second)
		tells(2*most, second, second, second, second, second)
		time.Sleep(2*second + second/2) //nolint:forbidigo // virtual time
		w.journal.Add(&inspectpb.Event{Kind: "panic"})
		tells(2*most+2*second+second/2+inspection.EventDelay, second, second, second/2+inspection.EventDelay)
		tells(3*most, second/2-inspection.EventDelay, second, second)
		time.Sleep(second + second/4) //nolint:forbidigo // virtual time
		s.in <- &inspectpb.WatchRequest{}
		tells(3*most+second+second/2, second, second/2)
		s.in <- &inspectpb.WatchRequest{Unattended: true, HoldNs: int64(24 * time.Hour)}
		tells(4*most, second/2, second, second, second)
		tells(6*most, slices.Repeat([]time.Duration{second}, int(inspection.MaxHold/second))...)
		s.in <- &inspectpb.WatchRequest{Unattended: true, HoldNs: -1}
		tells(6*most+second, second)
		tells(6*most+2*second, second)
		close(s.in)
		<-s.result
	})
}
