package mem_test

import (
	"context"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
)

func TestHalfOpenIsFoundOutByKeepalive(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		from, to string
		arrives  int
	}{
		"requests": {"a", "b", 0},
		"replies":  {"b", "a", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, mem.Options{}, func(w *world) {
				t := w.t
				w.works("before", w.link)
				w.SetFaults(f.from, f.to, mem.Faults{HalfOpen: true})
				done := w.begin("Echo")
				sleep(keepalive - time.Second)
				if n := len(w.arrived()); n != f.arrives {
					t.Errorf("%d calls have arrived, want %d", n, f.arrives)
				}
				// More trouble does not begin the time anew.
				w.SetFaults(f.from, f.to, mem.Faults{HalfOpen: true, Delay: time.Second})
				w.want("a call into silence", <-done, transport.ErrBroken, object.ExecutedUnknown, keepalive)
				w.want("connecting", w.call(t.Context(), w.link, "Echo"), transport.ErrUnreachable, object.ExecutedNo, keepalive)
				w.SetFaults(f.from, f.to, mem.Faults{})
				w.works("afterwards", w.link)
			})
		})
	}
}

func TestShortSilenceLosesMessagesAndNotTheLink(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{Keepalive: time.Minute}, func(w *world) {
		t := w.t
		w.works("before", w.link)
		for range 3 { // more than the limit in sum
			w.SetFaults("a", "b", mem.Faults{HalfOpen: true})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			w.want("a lost call", w.call(ctx, w.link, "Echo"), context.DeadlineExceeded, object.ExecutedUnknown, 30*time.Second)
			cancel()
			w.SetFaults("a", "b", mem.Faults{})
			sleep(time.Second)
			if n := len(w.arrived()); n != 0 {
				t.Error("a lost call has arrived")
			}
			done := w.begin("Block") // over the same connection
			if n := len(w.arrived()); n != 1 {
				t.Errorf("%d calls have arrived, want 1", n)
			}
			w.link.Close()
			w.want("a blocked call", <-done, transport.ErrClosed, object.ExecutedUnknown, 0)
			w.link = w.a.Dial(w.b.Peer())
			w.works("a new link", w.link)
		}
	})
}

func TestConnectingIntoSilenceCanBeLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, mem.Options{}, func(w *world) {
		t := w.t
		w.SetFaults("b", "a", mem.Faults{HalfOpen: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.want("with a deadline", w.call(ctx, w.link, "Echo"), context.DeadlineExceeded, object.ExecutedNo, time.Second)
		done := w.begin("Echo")
		w.link.Close()
		w.want("when the link is closed", <-done, transport.ErrClosed, object.ExecutedNo, 0)
		w.link = w.a.Dial(w.b.Peer())
		done = w.begin("Echo")
		sleep(time.Second)
		w.SetFaults("b", "a", mem.Faults{})
		w.want("when the silence ends", <-done, nil, object.ExecutedYes, time.Second)
	})
}

func TestPauseHoldsMessages(t *testing.T) {
	t.Parallel()
	for _, paused := range []string{"a", "b"} {
		t.Run(paused, func(t *testing.T) {
			t.Parallel()
			inBubble(t, mem.Options{}, func(w *world) {
				t := w.t
				w.works("before", w.link)
				w.Pause(paused)
				done := w.begin("Echo")
				sleep(5 * time.Second)
				if n := len(w.arrived()); n != 0 {
					t.Error("a call has arrived during the pause")
				}
				w.Resume(paused)
				w.want("a call made in a pause", <-done, nil, object.ExecutedYes, 5*time.Second)

				w.Pause(paused)
				done = w.begin("Echo")
				w.want("a call in a pause that is too long", <-done, transport.ErrBroken, object.ExecutedUnknown, keepalive)
				w.arrived()
				w.Resume(paused)
				sleep(time.Minute)
				if n := len(w.arrived()); n != 0 {
					t.Error("a call has arrived over a broken connection")
				}
				w.works("after the pause", w.link)
			})
		})
	}
}

func TestHoldHoldsOneWay(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		from, to string
		arrives  int
	}{
		"requests": {"a", "b", 0},
		"replies":  {"b", "a", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, mem.Options{}, func(w *world) {
				t := w.t
				w.works("before", w.link)
				w.SetFaults(f.from, f.to, mem.Faults{Hold: true})
				done := w.begin("Echo")
				sleep(5 * time.Second)
				if n := len(w.arrived()); n != f.arrives {
					t.Errorf("%d calls have arrived, want %d", n, f.arrives)
				}
				w.SetFaults(f.from, f.to, mem.Faults{})
				w.want("a call that was held", <-done, nil, object.ExecutedYes, 5*time.Second)
				w.arrived()

				w.SetFaults(f.from, f.to, mem.Faults{Hold: true})
				done = w.begin("Echo")
				w.want("a call that is held for too long", <-done, transport.ErrBroken, object.ExecutedUnknown, keepalive)
				w.want("connecting", w.call(t.Context(), w.link, "Echo"), transport.ErrUnreachable, object.ExecutedNo, keepalive)
				w.SetFaults(f.from, f.to, mem.Faults{})
				w.works("afterwards", w.link)
			})
		})
	}
}
