package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// spanned is ctx in a span of that number, of this process.
func spanned(ctx context.Context, number byte) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{number}, TraceFlags: trace.FlagsSampled,
	}))
}

// spanIn is the number of the span that ctx is in; 0: none.
func spanIn(ctx context.Context) byte {
	id := trace.SpanContextFromContext(ctx).SpanID()
	return id[0]
}

// spanning makes "span" note the number of its turn's span, and "spans" the same of
// the calls that it makes: with its own context, one derived from it, and a new span's.
func (w *world) spanning() {
	w.on("span", func(ctx context.Context, _ *actor, arg string) (string, error) {
		w.note("%s %d", arg, spanIn(ctx))
		return "", nil
	})
	w.on("spans", func(ctx context.Context, _ *actor, _ string) (string, error) {
		w.note("own %d", spanIn(ctx))
		derived, cancel := context.WithTimeout(context.WithValue(ctx, "x", "y"), time.Hour) //nolint:revive,staticcheck // the test's
		defer cancel()
		w.note("derived %d", spanIn(derived))
		_, err := worldOf(ctx).Call(derived, "Plain-b", "Write", word("span called"))
		if err != nil {
			return "", err
		}
		if _, err = worldOf(ctx).Call(spanned(ctx, 9), "Plain-b", "Write", word("span called anew")); err != nil {
			return "", err
		}
		_, err = worldOf(ctx).Call(ctx, "Plain-c", "Write", word("span told"), object.OneWay())
		return "", err
	})
}

// A method's context has its caller's span and nothing else of what its caller's context has.
func TestSpanOfTheCaller(t *testing.T) {
	t.Parallel()
	type private struct{}
	inBubble(t, func(w *world) {
		w.spanning()
		for _, number := range []byte{5, 0} {
			ctx := context.WithValue(w.t.Context(), private{}, "secret")
			if number != 0 {
				ctx = spanned(ctx, number)
			}
			for _, method := range []string{"Write", "Read", "Free", "Loose"} {
				if _, err := w.try(ctx, "Plain-a", method, "spans"); err != nil {
					w.t.Fatal(err)
				}
				synctest.Wait()
				if number == 0 {
					w.wantNotes("own 0", "derived 0", "called 0", "called anew 9", "told 0")
				} else {
					w.wantNotes("own 5", "derived 5", "called 5", "called anew 9", "told 5")
				}
			}
			w.on("look", func(ctx context.Context, _ *actor, _ string) (string, error) {
				if v := ctx.Value(private{}); v != nil {
					w.t.Errorf("the caller's own value is there: %v", v)
				}
				return "", nil
			})
			if _, err := w.try(ctx, "Plain-a", "Write", "look"); err != nil {
				w.t.Fatal(err)
			}
		}
	})
}

// Hooks belong to the trace of the call that causes them, one-way calls to that of who made them.
func TestSpanOfHooksAndOneWayCalls(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.spanning()
		for _, hook := range []string{"OnCreate", "OnActivate", "OnDeactivate"} {
			w.on(hook, func(ctx context.Context, _ *actor, _ string) (string, error) {
				w.note("%s %d", hook, spanIn(ctx))
				return "", nil
			})
		}
		ctx := spanned(w.t.Context(), 5)
		if _, err := w.Create(ctx, "Hook", "Hook-a", nil); err != nil {
			w.t.Fatal(err)
		}
		if err := w.Delete(spanned(ctx, 6), "Hook-a"); err != nil {
			w.t.Fatal(err)
		}
		w.wantNotes("OnCreate 5", "OnActivate 5", "OnDeactivate 6")
		if _, err := w.try(ctx, "Hook-a", "Write", "span called"); err != nil {
			w.t.Fatal(err)
		}
		w.wantNotes("OnActivate 5", "called 5")
		sleep(3 * time.Minute) // it is idle
		w.wantNotes("OnDeactivate 0")
		ctx, cancel := context.WithCancel(ctx)
		if _, err := w.try(ctx, "Hook-a", "Write", "span told", object.OneWay()); err != nil {
			w.t.Fatal(err)
		}
		cancel() // its span is over, and still the one
		synctest.Wait()
		w.wantNotes("OnActivate 5", "told 5")
	})
}

// A call that arrives has the span that it arrives with, for as long as it runs.
func TestSpanOfACallThatArrives(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.spanning()
		ctx := spanned(w.t.Context(), 5)
		body, err := proto.Marshal(word("spans"))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, oneWay := range []bool{false, true} {
			d := node.Departure{Request: object.Request{ID: "Plain-a", Method: "Write", Message: "google.protobuf.StringValue", Body: body}, OneWay: oneWay}
			arriving, cancel := context.WithCancel(ctx)
			run := w.Arrive(arriving, d)
			if oneWay {
				cancel()
			}
			if _, err := run(); err != nil {
				w.t.Error(err)
			}
			cancel()
			synctest.Wait()
			w.wantNotes("own 5", "derived 5", "called 5", "called anew 9", "told 5")
		}
	})
}
