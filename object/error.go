package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is the one error type of GoVerse. It crosses nodes and client
// connections with its code, reason, message and execution intact.
//
// errors.Is matches a sentinel of this package by code, or by code and reason
// where the sentinel has one; [context.DeadlineExceeded] and [context.Canceled]
// match their codes. An error is a value: do not modify one that you received.
type Error struct {
	Code    Code   // what kind of failure
	Reason  Reason // narrows the code; empty for application errors unless they set one
	Message string // for people; an application's own text crosses every hop unchanged
	Op      string // what was attempted: "call", "create", "delete", "push", "register", …
	ID      string // the object concerned, where there is one
	Method  string // the method concerned, where there is one

	// RetryAfter is advice from whoever refused the work, with [ErrOverloaded] above all:
	// how long to wait from now before it makes sense to try again; not positive: none. It
	// crosses nodes, and reaches clients as google.rpc.RetryInfo. Nobody acts on it but
	// callers: the runtime never repeats a call that was refused.
	RetryAfter time.Duration

	executed Execution
	ofHook   bool // see OfHook
}

// The sentinels. An error matches the sentinel of its code and that of its reason.
var (
	ErrCanceled           = &Error{Code: CodeCanceled}
	ErrUnknown            = &Error{Code: CodeUnknown}
	ErrInvalidArgument    = &Error{Code: CodeInvalidArgument}
	ErrDeadlineExceeded   = &Error{Code: CodeDeadlineExceeded}
	ErrNotFound           = &Error{Code: CodeNotFound}
	ErrAlreadyExists      = &Error{Code: CodeAlreadyExists}
	ErrPermissionDenied   = &Error{Code: CodePermissionDenied}
	ErrResourceExhausted  = &Error{Code: CodeResourceExhausted}
	ErrFailedPrecondition = &Error{Code: CodeFailedPrecondition}
	ErrAborted            = &Error{Code: CodeAborted}
	ErrOutOfRange         = &Error{Code: CodeOutOfRange}
	ErrUnimplemented      = &Error{Code: CodeUnimplemented}
	ErrInternal           = &Error{Code: CodeInternal}
	ErrUnavailable        = &Error{Code: CodeUnavailable}
	ErrDataLoss           = &Error{Code: CodeDataLoss}
	ErrUnauthenticated    = &Error{Code: CodeUnauthenticated}

	ErrNotRegistered = &Error{Code: CodeNotFound, Reason: NotRegistered}
	ErrUnknownMethod = &Error{Code: CodeUnimplemented, Reason: UnknownMethod}
	ErrDeadlock      = &Error{Code: CodeFailedPrecondition, Reason: Deadlock}
	ErrKeyReused     = &Error{Code: CodeFailedPrecondition, Reason: KeyReused}
	ErrOverloaded    = &Error{Code: CodeResourceExhausted, Reason: Overloaded}
	ErrFenced        = &Error{Code: CodeUnavailable, Reason: Fenced}
)

// NewError returns an application error: a method that returns it fails its call
// with this code and message, on any node and for any client. The zero Code is
// taken as [CodeUnknown].
func NewError(code Code, message string) *Error {
	if code == CodeOK {
		code = CodeUnknown
	}
	return &Error{Code: code, Message: message}
}

// Refuse returns an error of the runtime about work that did not run.
func Refuse(code Code, reason Reason, op, id, method, message string) *Error {
	return &Error{Code: code, Reason: reason, Message: message, Op: op, ID: id, Method: method, executed: ExecutedNo}
}

// WithExecuted returns a copy of e that answers [Executed] with x.
func (e *Error) WithExecuted(x Execution) *Error {
	c := *e.orUnknown()
	c.executed = x
	return &c
}

// OfHook returns a copy of e of which [FromHook] is true. It is exported for
// implementations of the runtime, which never try a call again whose object did not come
// up, whatever the hook's error looks like. The mark does not cross nodes.
func (e *Error) OfHook() *Error {
	c := *e.orUnknown()
	c.ofHook = true
	return &c
}

// FromHook reports whether err is what a hook of the object failed with: not a refusal by
// the runtime, although the call itself did not run.
func FromHook(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e != nil && e.ofHook && e.executed == ExecutedNo // not where a method passed it on
}

// At returns a copy of e that names the operation, object and method it is
// about, where e does not name them already.
func (e *Error) At(op, id, method string) *Error {
	c := *e.orUnknown()
	if c.Op == "" {
		c.Op, c.ID, c.Method = op, id, method
	}
	return &c
}

// Error returns "op id.method: message (code, reason)".
func (e *Error) Error() string {
	e = e.orUnknown()
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		if e.ID != "" {
			b.WriteString(" " + e.ID)
		}
		if e.Method != "" {
			b.WriteString(separator(e.ID) + e.Method)
		}
		b.WriteString(": ")
	}
	if e.Message != "" {
		b.WriteString(e.Message + " ")
	}
	b.WriteString("(" + e.Code.String())
	if e.Reason != "" {
		b.WriteString(", " + string(e.Reason))
	}
	b.WriteString(")")
	return b.String()
}

func separator(id string) string {
	if id == "" {
		return " "
	}
	return "."
}

// Is matches by code, and by reason where target has one, so that errors.Is
// works after the error crossed nodes.
func (e *Error) Is(target error) bool {
	e = e.orUnknown()
	switch target {
	case context.DeadlineExceeded:
		return e.Code == CodeDeadlineExceeded
	case context.Canceled:
		return e.Code == CodeCanceled
	}
	t, ok := target.(*Error)
	if !ok || t == nil || t.Message != "" || t.Op != "" {
		return false
	}
	return e.Code == t.Code && (t.Reason == "" || t.Reason == e.Reason)
}

// Executed tells whether the call that returned err ran: [ExecutedYes] for a nil
// error, an application error or a panic; [ExecutedNo] where it certainly did not;
// [ExecutedUnknown] otherwise, and for errors that are not GoVerse's.
func Executed(err error) Execution {
	if err == nil {
		return ExecutedYes
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.orUnknown().executed
	}
	return ExecutedUnknown
}

// CodeOf returns the code of err: [CodeOK] for nil, the code of an [*Error] or of
// a context error in its chain, else [CodeUnknown].
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.orUnknown().Code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	}
	return CodeUnknown
}

// FromError returns err as an [*Error]: itself where it is one in its chain, with
// the text of the whole chain kept where err wraps it, else a new one with the
// code of [CodeOf] and err's text. It returns nil for nil.
func FromError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // the unwrapped case, without a copy
		return e.orUnknown()
	}
	if e, ok := errors.AsType[*Error](err); ok {
		c := *e.orUnknown()
		// The copy says code, operation and object itself: in the text they would be twice.
		own, text := c.Message, err.Error()
		c.Message = strings.Replace(text, e.Error(), own, 1)
		if own == "" && c.Message != text {
			c.Message = strings.TrimSuffix(c.Message, ": ")
		}
		return &c
	}
	return &Error{Code: CodeOf(err), Message: err.Error()}
}

// orUnknown returns e, and for a nil e, which an error variable can hold by a common
// mistake, an error that says so: a nil *Error must not end the process, and it must
// not pass for success.
func (e *Error) orUnknown() *Error {
	if e != nil {
		return e
	}
	return &Error{Code: CodeUnknown, Message: "a nil *Error was returned as an error"}
}

// invalid is the error of a programming or configuration mistake.
func invalid(op, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidArgument, Op: op, Message: fmt.Sprintf(format, args...), executed: ExecutedNo}
}
