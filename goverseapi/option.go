package goverseapi

import (
	"context"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// NewRegistry returns an empty registry, for servers that do not use the process's.
func NewRegistry() *Registry { return object.NewRegistry() }

// NewError returns an application error: the code and message reach the caller
// unchanged over any number of nodes.
func NewError(code Code, message string) *Error { return object.NewError(code, message) }

// Executed tells whether the call that returned err ran.
func Executed(err error) Execution { return object.Executed(err) }

// CodeOf returns the code of err, [CodeOK] for nil.
func CodeOf(err error) Code { return object.CodeOf(err) }

// IdempotencyKey returns the key that the caller gave the running call; empty
// without one.
func IdempotencyKey(ctx context.Context) string { return object.IdempotencyKey(ctx) }

// MetadataFrom returns a copy of the metadata of the running call.
func MetadataFrom(ctx context.Context) map[string]string { return object.MetadataFrom(ctx) }

// Concurrency sets the mode of the named methods, or of the whole type without names.
func Concurrency(mode Mode, methods ...string) RegisterOption {
	return object.Concurrency(mode, methods...)
}

// CallTimeout limits calls without a deadline of the named methods, or of the whole
// type without names. Default 30 s; negative: no limit. It counts from the first time
// that anybody looks at the deadline of the call's context, or from the moment the call
// has to wait.
func CallTimeout(d time.Duration, methods ...string) RegisterOption {
	return object.CallTimeout(d, methods...)
}

// Detached makes calls of the named methods, or of the whole type without names,
// return at their deadline whatever the method does.
func Detached(methods ...string) RegisterOption { return object.Detached(methods...) }

// Reentrant lets a call chain come back to an object that it already holds.
func Reentrant() RegisterOption { return object.Reentrant() }

// IdleTimeout sets how long an object without calls stays active. Default 15 min;
// negative: for ever.
func IdleTimeout(d time.Duration) RegisterOption { return object.IdleTimeout(d) }

// MailboxLimit sets how many calls may wait for one object, and how many deletions
// beside them. Default 10 000; negative: no limit.
func MailboxLimit(n int) RegisterOption { return object.MailboxLimit(n) }

// TypeName sets the type's name in IDs. Default: the Go type's own name.
func TypeName(name string) RegisterOption { return object.TypeName(name) }

// Methods gives typed thunks, made by [Method], for methods of the type.
func Methods(thunks ...MethodThunk) RegisterOption { return object.Methods(thunks...) }

// Method turns a method expression, (*ChatRoom).Join, into a typed thunk.
func Method[O Object, Req, Resp Message](method func(O, context.Context, Req) (Resp, error)) MethodThunk {
	return object.Method(method)
}

// ShareMessages declares that the type's requests and replies are never modified
// after they are sent, so that local calls need not copy them.
func ShareMessages() RegisterOption { return object.ShareMessages() }

// WithIdempotencyKey names the call across the caller's own retries.
func WithIdempotencyKey(key string) CallOption { return object.WithIdempotencyKey(key) }

// AtMostOnce makes the runtime resend the call only where it provably did not run.
func AtMostOnce() CallOption { return object.AtMostOnce() }

// OneWay makes the call return as soon as it is accepted, with a nil reply.
func OneWay() CallOption { return object.OneWay() }

// WithMetadata adds one key and value to the call's metadata.
func WithMetadata(key, value string) CallOption { return object.WithMetadata(key, value) }
