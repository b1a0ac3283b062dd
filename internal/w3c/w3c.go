// Package w3c writes and reads the trace context of a call as the W3C's Trace Context
// recommendation spells it, for carriers that have two texts for it: traceparent and
// tracestate. It only passes spans on and makes none of its own: without a tracing
// system in the program nothing is carried, and nothing is done.
//
// What is read comes from strangers. A malformed traceparent counts as none, a
// malformed or too long tracestate is dropped without harm to its traceparent, as the
// recommendation wants.
//
// The package has no state and starts no goroutine. All functions are safe for
// concurrent use.
package w3c

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The names of the two texts, where the carrier has names, in lower case.
const (
	TraceParent = "traceparent"
	TraceState  = "tracestate"
)

const (
	// MaxStateBytes is the longest tracestate that is passed on, in either direction: what
	// the recommendation asks everybody to support. A longer one is dropped.
	MaxStateBytes = 512

	// maxParentBytes is the longest traceparent that is looked at. Version 00 has 55 bytes;
	// later ones may have more fields.
	maxParentBytes = 256
)

// texts is a carrier of the two texts.
type texts struct{ parent, state string }

// Get implements [propagation.TextMapCarrier].
func (t *texts) Get(key string) string {
	switch key {
	case TraceParent:
		return t.parent
	case TraceState:
		return t.state
	}
	return ""
}

// Set implements [propagation.TextMapCarrier].
func (t *texts) Set(key, value string) {
	switch key {
	case TraceParent:
		t.parent = value
	case TraceState:
		t.state = value
	}
}

// Keys implements [propagation.TextMapCarrier].
func (t *texts) Keys() []string { return []string{TraceParent, TraceState} }

// Of returns the texts of ctx's span; both are empty without a valid one.
func Of(ctx context.Context) (parent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() { // most often: the carrier would be an allocation
		return "", ""
	}
	var t texts
	propagation.TraceContext{}.Inject(ctx, &t)
	if len(t.state) > MaxStateBytes {
		t.state = ""
	}
	return t.parent, t.state
}

// Without returns ctx without its span: for what begins in a span and outlives it.
func Without(ctx context.Context) context.Context { return trace.ContextWithSpan(ctx, nil) }

// With returns ctx with the span that the texts describe, as one of another process;
// ctx itself where they describe none.
func With(ctx context.Context, parent, state string) context.Context {
	if parent == "" || len(parent) > maxParentBytes {
		return ctx
	}
	if len(state) > MaxStateBytes {
		state = ""
	}
	return propagation.TraceContext{}.Extract(ctx, &texts{parent, state})
}
