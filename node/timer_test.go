package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

// timed gives tests an object's timers by name.
func (w *world) timed() func(name string) bool {
	stops := make(map[string]func() bool)
	set := func(every bool) action {
		return func(_ context.Context, o *actor, arg string) (string, error) { // "name 10s Write note x"
			parts := strings.SplitN(arg, " ", 4)
			d, err := time.ParseDuration(parts[1])
			if err != nil {
				return "", err
			}
			start := o.AfterFunc
			if every {
				start = o.Every
			}
			msg := wrapperspb.String(parts[3])
			stops[parts[0]] = start(d, parts[2], msg)
			msg.Value = "note spoilt"
			return "", nil
		}
	}
	w.on("after", set(false))
	w.on("every", set(true))
	stop := func(name string) bool { return stops[name]() }
	w.on("stop", func(_ context.Context, _ *actor, arg string) (string, error) { return fmt.Sprint(stop(arg)), nil })
	return stop
}

func TestAfterFunc(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stop := w.timed()
		w.must("Plain-a", "Write", "after t 10s Write note tick")
		sleep(10*time.Second - 1)
		w.wantNotes()
		sleep(1)
		w.wantNotes("tick")
		sleep(time.Minute)
		w.wantNotes()
		if stop("t") {
			t.Error("stop of a timer that has fired = true")
		}
		w.must("Plain-a", "Write", "after t 10s Write note tick")
		if !stop("t") || stop("t") {
			t.Error("stop of a pending timer: want true, then false")
		}
		sleep(time.Minute)
		w.wantNotes()
		w.must("Plain-a", "Write", "after t -1s Read note now")
		sleep(0)
		w.wantNotes("now")
	})
}

// Every counts from the end of the last call, so calls never overlap; an error does
// not end it.
func TestEvery(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stop := w.timed()
		began := time.Now()
		w.on("slow", func(ctx context.Context, _ *actor, _ string) (string, error) {
			w.note("%v", time.Since(began))
			sleepIn(ctx, 3*time.Second)
			return "", object.NewError(object.CodeAborted, "never mind")
		})
		w.must("Plain-a", "Write", "every t 2s Free slow")
		sleep(12 * time.Second)
		w.wantNotes("2s", "7s", "12s")
		if !stop("t") || stop("t") {
			t.Error("stop: want true, then false")
		}
		sleep(time.Minute)
		w.wantNotes()
		if !strings.Contains(w.logText(), "never mind") {
			t.Error("the error of a timer's call is not in the log")
		}
	})
}

// A timer's call is a turn like others: it waits for its turn, excludes others, and
// may be stopped as long as it has not begun.
func TestTimersTakeTurns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stop := w.timed()
		w.must("Plain-a", "Write", "after one 1s Write note one")
		w.must("Plain-a", "Write", "after two 2s Write note two")
		w.must("Plain-a", "Write", "every three 3s Write note three")
		w.must("Plain-a", "Write", "every four 4s Write hold four")
		head := w.begin("Plain-a", "Write", "hold head")
		sleep(5 * time.Second)
		w.wantNotes("head")
		if !stop("one") || !stop("three") {
			t.Error("a call that waits was not stopped")
		}
		w.open("head")
		head.ok("head")
		sleep(0)
		w.wantNotes("two", "four")
		next := w.begin("Plain-a", "Write", "note next")
		next.running()
		w.open("four")
		next.ok("next")
		w.must("Plain-a", "Write", "stop four")
	})
}

// A timer may stop itself in its own call, and be set anew.
func TestTimerStopsItself(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.timed()
		ticks := 0
		w.on("tick", func(ctx context.Context, o *actor, _ string) (string, error) {
			if ticks++; ticks == 3 {
				out, err := o.acted(ctx, "stop t")
				w.note("%s", out)
				return "", err
			}
			return "", nil
		})
		w.must("Plain-a", "Write", "every t 1s Write tick")
		sleep(time.Minute)
		if ticks != 3 {
			t.Errorf("%d ticks", ticks)
		}
		w.wantNotes("true")
		w.must("Plain-a", "Write", "every t 1s Write note again")
		sleep(time.Second)
		w.wantNotes("again")
		w.must("Plain-a", "Write", "stop t")
	})
}

func TestTimersThatCannotBe(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		stop := w.timed()
		for _, bad := range []string{"after t 1s Nothing x", "every t 1s Nothing x", "every t 0s Write x", "every t -1s Write x", "after t 1s OnActivate x"} {
			w.must("Plain-a", "Write", bad)
			if stop("t") {
				t.Errorf("%s: stop = true", bad)
			}
		}
		w.on("wrong", func(_ context.Context, o *actor, _ string) (string, error) {
			if o.AfterFunc(time.Second, "Write", wrapperspb.Bool(true))() {
				t.Error("a timer with another request was set")
			}
			if !o.AfterFunc(time.Hour, "Write", nil)() {
				t.Error("a timer with a nil request was not set")
			}
			return "", nil
		})
		w.must("Plain-a", "Write", "wrong")
		sleep(time.Minute)
		if n := strings.Count(w.logText(), "timer refused"); n != 6 {
			t.Errorf("%d refusals in the log, want 6", n)
		}
	})
}

// Timers end with their activation, however that ends, and do not fire on the next.
func TestTimersEndWithTheActivation(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"deleted": func(w *world) { _ = w.Delete(w.t.Context(), "Brief-a") },
		"failed":  func(w *world) { _, _ = w.do("Brief-a", "Write", "panic") },
		"idle":    func(*world) { sleep(idle + sweeps) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				stop := w.timed()
				w.must("Brief-a", "Write", "after once 2h Write note once")
				w.must("Brief-a", "Write", "every often 2h Write note often")
				end(w)
				if n := w.Activations(); n != 0 {
					w.t.Fatalf("%d activations", n)
				}
				if stop("once") || stop("often") {
					w.t.Error("stop after the end = true")
				}
				for range 300 {
					w.must("Brief-a", "Write", "nothing") // the next activation
					sleep(30 * time.Second)
				}
				w.wantNotes()
			})
		})
	}
}

// A timer's call that waits when the activation ends is not run on the next one.
func TestWaitingTimerCallEndsWithTheActivation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.timed()
		w.must("Plain-a", "Write", "every t 1s Write note tick")
		w.on("burst", func(context.Context, *actor, string) (string, error) { <-w.gate("burst"); panic("burst") })
		bad := w.begin("Plain-a", "Write", "burst")
		sleep(10 * time.Second)
		next := w.begin("Plain-a", "Write", "note next")
		w.open("burst")
		bad.fails(object.ErrInternal, object.ExecutedYes)
		next.ok("next")
		sleep(10 * time.Second)
		w.wantNotes("next")
	})
}

// Ticking does not keep an object alive.
func TestTimersDoNotKeepAlive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.timed()
		w.must("Brief-a", "Write", "every t 1s Write note tick")
		sleep(idle + sweeps + time.Second)
		if n := w.Activations(); n != 0 {
			t.Errorf("%d activations", n)
		}
		if n := len(w.notes()); n < 60 || n > 76 {
			t.Errorf("%d ticks in a life of 60 to 75 s", n)
		}
	})
}

// The activation's context ends with it and carries the server.
func TestActivationContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		contexts := make(chan context.Context, 2)
		w.on("context", func(_ context.Context, o *actor, _ string) (string, error) { contexts <- o.Context(); return "", nil })
		w.must("Plain-a", "Write", "context")
		own := <-contexts
		sleep(time.Minute)
		if own.Err() != nil {
			t.Error("the context ended with the turn")
		}
		if out, err := w.try(own, "Plain-a", "Write", "echo from outside"); err != nil || out != "from outside" {
			t.Errorf("a call with it: %q, %v", out, err)
		}
		if rt, ok := object.FromContext(own); !ok || rt != object.Runtime(w) {
			t.Error("the runtime is not in the context")
		}
		ended := false
		context.AfterFunc(own, func() { ended = true })
		if err := w.Delete(w.t.Context(), "Plain-a"); err != nil {
			t.Error(err)
		}
		sleep(0)
		if !ended || own.Err() == nil {
			t.Error("the context outlives the activation")
		}
	})
}
