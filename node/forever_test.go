package node_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// Durations that nobody sees the end of. What is added to them must not come out in the past.
var enormous = []time.Duration{math.MaxInt64, math.MaxInt64 - time.Hour, 1 << 62}

// forever runs f on worlds with a type "Ages" and one "AgesSaver" whose timeouts are
// enormous: by the type's own word, or by the node's. A minute has passed: at its beginning a node
// can add more to its time than later.
func forever(t *testing.T, f func(w *world)) {
	t.Helper()
	for _, d := range enormous {
		t.Run(fmt.Sprint("type/", d), func(t *testing.T) {
			t.Parallel()
			asked := []object.RegisterOption{object.IdleTimeout(d), object.CallTimeout(d)}
			inBubble(t, func(w *world) { sleep(time.Minute); f(w) },
				typed((*hooked)(nil), "Ages", asked...), typed((*saver)(nil), "AgesSaver", asked...))
		})
		t.Run(fmt.Sprint("node/", d), func(t *testing.T) {
			t.Parallel()
			configure := func(c *node.Config) { c.IdleTimeout, c.CallTimeout = d, d }
			inBubbleOf(t, configure, func(w *world) { sleep(time.Minute); f(w) },
				typed((*hooked)(nil), "Ages"), typed((*saver)(nil), "AgesSaver"))
		})
	}
}

// An enormous idle timeout is none: objects stay, and what is kept of them.
func TestEnormousIdleTimeout(t *testing.T) {
	t.Parallel()
	forever(t, func(w *world) {
		kept := w.id("AgesSaver", 3)
		w.must(kept, "Write", "put mem")
		if err := w.ReopenShard(3, 1, w.drain(w.t.Context(), 3).ok()); err != nil {
			w.t.Fatal(err)
		}
		w.must("Ages-a", "Write", "put mem")
		for range 3 {
			sleep(24 * time.Hour)
			if n := w.Activations(); n != 1 {
				w.t.Fatalf("%d activations, want 1", n)
			}
			w.remembers("Ages-a", "mem")
		}
		w.remembers(kept, "mem")
		if d := w.Describe("Ages-a").GetIdleTimeoutNs(); d != -1 {
			w.t.Errorf("the idle timeout is told as %d ns, want none", d)
		}
	})
}

// An enormous call timeout is none: calls wait and run, hooks too, whatever expires beside them.
func TestEnormousCallTimeout(t *testing.T) {
	t.Parallel()
	forever(t, func(w *world) {
		unexpired := func(ctx context.Context, _ *actor, _ string) (string, error) {
			at, limited := ctx.Deadline()
			if ctx.Err() != nil || limited && time.Until(at) < 50*365*24*time.Hour {
				return "", fmt.Errorf("expires at %v: %w", at, ctx.Err())
			}
			return "", nil
		}
		w.on("look", unexpired)
		w.on("OnActivate", unexpired)
		w.on("OnCreate", unexpired)
		if _, err := w.Create(w.t.Context(), "Ages", "Ages-a", nil); err != nil {
			w.t.Fatal(err)
		}
		for _, method := range []string{"Write", "Read", "Free", "Loose"} {
			w.must("Ages-a", method, "look")
		}
		head := w.begin("Ages-a", "Write", "hold head")
		deactivated := make(chan error, 1)
		waits := []*pending{w.begin("Ages-a", "Loose", "look"), w.begin("Ages-a", "Write", "look"), w.begin("Ages-a", "Read", "look")}
		go func() { deactivated <- w.Deactivate(w.t.Context(), "Ages-a") }()
		hurried := w.begin("Ages-a", "Hurry", "note hurried")
		hurried.fails(object.ErrDeadlineExceeded, object.ExecutedNo)
		sleep(time.Hour)
		for _, p := range waits {
			p.running()
		}
		w.open("head")
		head.ok("head")
		for _, p := range waits {
			p.ok("")
		}
		if err := <-deactivated; err != nil {
			w.t.Error(err)
		}
		if err := w.Delete(w.t.Context(), "Ages-a"); err != nil {
			w.t.Error(err)
		}
	})
}

// The same for a deadline that callers bring, also to one-way calls from another node, which keep
// nothing of their context but that.
func TestEnormousDeadline(t *testing.T) {
	t.Parallel()
	for _, d := range enormous {
		inBubble(t, func(w *world) {
			sleep(time.Minute)
			ctx, cancel := context.WithTimeout(w.t.Context(), d)
			defer cancel()
			head := w.begin("Plain-a", "Write", "hold head")
			waits := w.start(ctx, "Plain-a", "Loose", "echo x")
			sent := object.Request{ID: "Plain-a", Method: "Write", Message: strName, Body: encoded(w.t, word("note sent"))}
			arrived := make(chan error, 1)
			run := w.Arrive(ctx, node.Departure{Request: sent, OneWay: true})
			go func() {
				_, err := run()
				arrived <- err
			}()
			w.begin("Plain-a", "Hurry", "note hurried").fails(object.ErrDeadlineExceeded, object.ExecutedNo)
			sleep(time.Hour)
			waits.running()
			w.open("head")
			head.ok("head")
			waits.ok("x")
			if err := <-arrived; err != nil {
				w.t.Error(err)
			}
			w.wantNotes("head", "sent")
		})
	}
}

// A timer of an enormous time is set, does not fire and can be stopped.
func TestEnormousTimers(t *testing.T) {
	t.Parallel()
	for _, d := range enormous {
		inBubble(t, func(w *world) {
			sleep(time.Minute)
			stop := w.timed()
			w.must("Endless-a", "Write", fmt.Sprintf("after once %v Write note once", d))
			w.must("Endless-a", "Write", fmt.Sprintf("every often %v Write note often", d))
			sleep(24 * time.Hour)
			w.wantNotes()
			for _, name := range []string{"once", "often"} {
				if !stop(name) {
					w.t.Errorf("%v: timer %s was not pending", d, name)
				}
			}
		})
	}
}
