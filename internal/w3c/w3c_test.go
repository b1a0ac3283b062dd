package w3c_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/xiaonanln/goverse/internal/w3c"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

// Many entries, each within its own bounds, that come to a length.
func state(bytes int) string {
	var b strings.Builder
	for i := 'a'; b.Len() < bytes-100; i++ {
		b.WriteString(string(i) + "=" + strings.Repeat("x", 97) + ",")
	}
	b.WriteString("z=" + strings.Repeat("y", bytes-b.Len()-2))
	return b.String()
}

// What is written is read as the same span, of another process.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, parent, state, wantState string }{
		{"sampled", parent, "", ""},
		{"not sampled", strings.TrimSuffix(parent, "1") + "0", "", ""},
		{"with state", parent, "a=1,b@c=2", "a=1,b@c=2"},
		{"the longest state", parent, state(512), state(512)},
		{"state that is too long", parent, state(513), ""},
		{"malformed state", parent, "a=1,,=,", ""},
	} {
		ctx := w3c.With(t.Context(), c.parent, c.state)
		sc := trace.SpanContextFromContext(ctx)
		if sc.TraceID().String() != traceID || sc.SpanID().String() != spanID || !sc.IsRemote() ||
			sc.TraceState().String() != c.wantState || sc.IsSampled() != strings.HasSuffix(c.parent, "1") {
			t.Errorf("%s: %+v", c.name, sc)
		}
		if p, s := w3c.Of(ctx); p != c.parent || s != c.wantState {
			t.Errorf("%s: %q, %q are read and written as %q, %q", c.name, c.parent, c.state, p, s)
		}
	}
}

// What a program puts into its own context is bounded as well.
func TestLongStateIsNotWritten(t *testing.T) {
	t.Parallel()
	long, err := trace.ParseTraceState(state(600))
	if err != nil {
		t.Fatal(err)
	}
	sc := trace.SpanContextFromContext(w3c.With(t.Context(), parent, "")).WithTraceState(long)
	if p, s := w3c.Of(trace.ContextWithSpanContext(t.Context(), sc)); p != parent || s != "" {
		t.Errorf("written as %q, %q", p, s)
	}
}

// A malformed traceparent is none; the context is left as it is.
func TestMalformed(t *testing.T) {
	t.Parallel()
	before := w3c.With(t.Context(), parent, "")
	for _, p := range []string{
		"", "0", "00", parent[:54], parent + "-x", "ff" + parent[2:], "0g" + parent[2:], strings.ToUpper(parent),
		"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01",
		"\x00" + parent, "01" + parent[2:] + "-" + strings.Repeat("x", 300), strings.Repeat("-", 1<<20),
	} {
		if ctx := w3c.With(t.Context(), p, "a=1"); ctx != t.Context() {
			t.Errorf("%.80q is taken for a traceparent", p)
		}
		if after := w3c.With(before, p, ""); after != before {
			t.Errorf("%.80q replaces a span", p)
		}
	}
	// A later version counts by what it has in common with this one.
	if p, _ := w3c.Of(w3c.With(t.Context(), "01"+parent[2:]+"-more", "")); p != parent {
		t.Errorf("version 01 is passed on as %q", p)
	}
}

func TestNoSpanCostsNothing(t *testing.T) {
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if p, s := w3c.Of(ctx); p != "" || s != "" {
			t.Errorf("%q, %q without a span", p, s)
		}
		if w3c.With(ctx, "", "") != ctx {
			t.Error("the context has been wrapped")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// Whatever arrives, what is passed on is well-formed and bounded, and reads as itself.
func FuzzWith(f *testing.F) {
	f.Add(parent, "a=1")
	f.Add("01"+parent[2:]+"-x", state(512))
	f.Add("", ",,,")
	f.Fuzz(func(t *testing.T, parent, state string) {
		ctx := w3c.With(context.Background(), parent, state)
		p, s := w3c.Of(ctx)
		if (p == "") != (ctx == context.Background()) {
			t.Fatalf("%q, %q: passed on as %q", parent, state, p)
		}
		if p == "" && s != "" || p != "" && len(p) != 55 || len(s) > w3c.MaxStateBytes {
			t.Fatalf("%q, %q: passed on as %q, %q", parent, state, p, s)
		}
		if p2, s2 := w3c.Of(w3c.With(context.Background(), p, s)); p2 != p || s2 != s {
			t.Fatalf("%q, %q are read and written as %q, %q", p, s, p2, s2)
		}
	})
}
