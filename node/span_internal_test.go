package node

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// OpenTelemetry looks for one key, and keeps its span under that.
func TestSpanKey(t *testing.T) {
	t.Parallel()
	asked := 0
	key := spanKeyOf(func(ctx context.Context) { trace.SpanFromContext(counting{ctx, &asked}) })
	if key == nil || asked != 1 {
		t.Fatalf("OpenTelemetry asked %d times, at last for %v", asked, key)
	}
	if key != spanKeyOf(findSpan) {
		t.Error("another look finds another key")
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), sc)
	if span, ok := ctx.Value(key).(trace.Span); !ok || !span.SpanContext().Equal(sc) {
		t.Errorf("under the key is %v", ctx.Value(key))
	}
}

// counting counts what it is asked for.
type counting struct {
	context.Context

	asked *int
}

func (c counting) Value(key any) any {
	*c.asked++
	return c.Context.Value(key)
}
