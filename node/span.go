package node

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// probe is a context without anything that keeps the key that it is asked for.
type probe struct{ asked any }

// Deadline implements [context.Context].
func (*probe) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements [context.Context].
func (*probe) Done() <-chan struct{} { return nil }

// Err implements [context.Context].
func (*probe) Err() error { return nil }

// Value implements [context.Context].
func (p *probe) Value(key any) any {
	p.asked = key
	return nil
}

// spanKeyOf is the key under which OpenTelemetry keeps the span in a context. Of a
// caller's values the span alone is visible in its calls' turns, and so that a call
// which is not traced pays nothing for it, a turn answers for the key itself and does
// not wrap its context. The key is not exported: OpenTelemetry is asked what it looks
// for. The test of it fails should that ever be more than one key.
//
//nolint:contextcheck,nolintlint // there is no call yet; the one linter heeds it, the other does not see that
func spanKeyOf(lookUp func(context.Context)) any {
	var p probe
	lookUp(&p)
	return p.asked
}

// findSpan looks for the span in ctx.
func findSpan(ctx context.Context) { trace.SpanFromContext(ctx) }

// traced returns base with the span of from, if that has one: for what goes on when
// from may have ended.
func traced(base, from context.Context) context.Context {
	span := trace.SpanFromContext(from)
	if !span.SpanContext().IsValid() {
		return base
	}
	return trace.ContextWithSpan(base, span)
}
