package object

import (
	"context"
	"maps"
	"time"

	"google.golang.org/protobuf/proto"
)

// Runtime is what a server offers to its objects and to the program around them.
// All methods are safe for concurrent use and return errors of type [*Error].
type Runtime interface {
	// Call runs a method of an object and returns its reply.
	Call(ctx context.Context, id, method string, req proto.Message, opts ...CallOption) (proto.Message, error)
	// Invoke is Call with a method expression: a call to an object of another type
	// than the method's is refused where the type is known.
	Invoke(ctx context.Context, id string, method Expr, req proto.Message, opts ...CallOption) (proto.Message, error)
	// Create activates a new object; an empty id asks for a generated one.
	Create(ctx context.Context, typ, id string, init proto.Message) (string, error)
	// Delete ends an object and removes all that is kept of it.
	Delete(ctx context.Context, id string) error
	// Push queues a message for the client that owns a client object, and waits for
	// nothing; see [BaseClient.Push].
	Push(ctx context.Context, clientID string, msg proto.Message) error
}

// ContextKey names what the runtime keeps in a context. It is exported for
// implementations of the runtime; others use the functions of this package.
type ContextKey int

// The keys of the runtime's own context values.
const (
	RuntimeKey ContextKey = iota // a Runtime
	CallKey                      // a CallInfo
)

// CallInfo is what a running method may learn about its call.
type CallInfo interface {
	// IdempotencyKey is the caller's key; empty without one.
	IdempotencyKey() string
	// Metadata is the call's metadata; nil without any. The map must not be modified.
	Metadata() map[string]string
}

// NewContext returns a copy of ctx that points the package functions of
// goverseapi at rt.
func NewContext(ctx context.Context, rt Runtime) context.Context {
	s := &scope{Context: ctx, runtime: rt, call: ctx.Value(CallKey)}
	s.deadline, s.limited = ctx.Deadline()
	return s
}

// scope is a context with a runtime. What every call made with the context asks for
// is looked up once: the call that the parent belongs to, and its deadline.
type scope struct {
	context.Context //nolint:containedctx // a context implementation

	runtime  Runtime
	call     any
	deadline time.Time
	limited  bool
}

func (s *scope) Deadline() (time.Time, bool) { return s.deadline, s.limited }

func (s *scope) Value(key any) any {
	switch key {
	case RuntimeKey:
		return s.runtime
	case CallKey:
		return s.call
	}
	return s.Context.Value(key)
}

// FromContext returns the runtime that hosts the object whose method received ctx,
// or the one set by [NewContext].
func FromContext(ctx context.Context) (Runtime, bool) {
	if s, ok := ctx.(*scope); ok { // the commonest, without a walk
		return s.runtime, s.runtime != nil
	}
	rt, ok := ctx.Value(RuntimeKey).(Runtime)
	return rt, ok
}

// CallFrom returns the [CallInfo] of the call that ctx belongs to; nil without one.
func CallFrom(ctx context.Context) any {
	if s, ok := ctx.(*scope); ok {
		return s.call
	}
	return ctx.Value(CallKey)
}

// IdempotencyKey returns the key that the caller gave its call with
// [WithIdempotencyKey]; empty without one.
func IdempotencyKey(ctx context.Context) string {
	if info, ok := ctx.Value(CallKey).(CallInfo); ok {
		return info.IdempotencyKey()
	}
	return ""
}

// MetadataFrom returns a copy of the metadata that came with the call; nil without
// any. Metadata flows from caller to callee and on to the calls the callee makes,
// never back.
func MetadataFrom(ctx context.Context) map[string]string {
	if info, ok := ctx.Value(CallKey).(CallInfo); ok {
		return maps.Clone(info.Metadata())
	}
	return nil
}

// Deduplicator is implemented by an object that keeps its own record of
// idempotency keys instead of the runtime's bounded table. Both methods run within
// the call's turn.
type Deduplicator interface {
	// Lookup returns the reply remembered for key.
	Lookup(ctx context.Context, key string) (reply proto.Message, ok bool)
	// Remember keeps the reply of a call that succeeded.
	Remember(ctx context.Context, key string, reply proto.Message)
}
