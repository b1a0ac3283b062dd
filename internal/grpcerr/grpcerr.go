// Package grpcerr is the only place where the errors of GoVerse meet gRPC statuses.
//
// On the wire an error is a gRPC status with the error's code and message and a
// google.rpc.ErrorInfo detail: domain "goverse", the error's reason, which is empty
// for most application errors, and in its metadata "executed" = "no", "yes" or
// "unknown". An error with advice when to try again has it in a google.rpc.RetryInfo
// detail as well. The package promises that code, reason, message, execution and advice survive
// [ToStatus] followed by [FromStatus], within the limits below, and that a status
// made here can always be sent: it is valid UTF-8 and small enough for the trailers
// that every gRPC implementation accepts by default (8 KiB).
//
// What names the call on the sending side (Op, ID, Method) does not cross: it is the
// receiver who knows what it called, and object IDs are not a client's business.
//
// The package has no state and starts no goroutine. All functions are safe for
// concurrent use.
package grpcerr

import (
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/xiaonanln/goverse/object"
)

const (
	// Domain is the domain of the ErrorInfo detail of GoVerse's errors.
	Domain = "goverse"

	// ExecutedKey is the key of the ErrorInfo's metadata under which "no", "yes" or
	// "unknown" answers whether the call ran.
	ExecutedKey = "executed"

	// MaxReasonBytes is the longest reason that crosses; a longer one is cut.
	MaxReasonBytes = 128

	// MessageBudget is how many bytes of trailers a message may cost. It travels
	// twice: percent-encoded in grpc-message and in base64 in
	// grpc-status-details-bin. So about 2 600 bytes of ASCII cross, or 1 400 bytes of
	// other text; a longer message is cut and ends in "…".
	MessageBudget = 6 << 10
)

// ToStatus returns the status that tells err to a client or another node; OK for a
// nil error. An [object.Error] in err's chain decides, as in [FromError]. The text is
// made valid UTF-8 and cut to [MessageBudget].
func ToStatus(err error) *status.Status {
	e := FromError(err)
	if e == nil {
		return status.New(codes.OK, "")
	}
	st := status.New(codes.Code(e.Code), clip(e.Message))
	reason := strings.ToValidUTF8(string(e.Reason), "\uFFFD")
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason:   cut(reason, MaxReasonBytes),
		Domain:   Domain,
		Metadata: map[string]string{ExecutedKey: object.Executed(e).String()},
	}}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	detailed, derr := st.WithDetails(details...)
	if derr != nil {
		return st // not reached: the code is not OK and the details are valid UTF-8
	}
	return detailed
}

// FromStatus returns the error that st tells; nil for OK and for a nil status. Advice
// when to try again counts whoever gives it, as far as it is a duration and none of less
// than nothing. A
// status without GoVerse's ErrorInfo was made by gRPC itself, a proxy or another
// kind of server; see [FromError] for what it proves.
func FromStatus(st *status.Status) *object.Error {
	if st.Code() == codes.OK {
		return nil
	}
	e := object.NewError(knownCode(object.Code(st.Code())), st.Message())
	executed, ours := provable(e.Code), false
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if !ours && d.GetDomain() == Domain {
				ours = true
				e.Reason, executed = object.Reason(d.GetReason()), execution(d.GetMetadata()[ExecutedKey])
			}
		case *errdetails.RetryInfo: // whoever gives it
			if delay := d.GetRetryDelay(); delay.CheckValid() == nil {
				e.RetryAfter = max(delay.AsDuration(), 0)
			}
		}
	}
	return e.WithExecuted(executed)
}

// FromError returns err, as a gRPC client or a part of the runtime received it, as an
// [object.Error]: one in its chain, else the status of a gRPC error in its chain,
// else a new one with the code of a context error or CodeUnknown, and err's text. It
// returns nil for nil.
//
// What a status without ErrorInfo proves about the call: Unimplemented,
// Unauthenticated and PermissionDenied were answered before any of our code, so the
// call did not run. Everything else stays unknown: Unavailable is a refused
// connection as well as one lost after sending, ResourceExhausted a request that was
// too large to send as well as a reply that was too large to receive.
func FromError(err error) *object.Error {
	if err == nil {
		return nil
	}
	// The outermost error decides: one that implements GRPCStatus and wraps an
	// object.Error means its own status.
	if _, outermost := err.(statusError); !outermost { //nolint:errorlint // the chain comes next
		if e, ok := errors.AsType[*object.Error](err); ok {
			return fromObject(err, e)
		}
	}
	if e, ok := errors.AsType[statusError](err); ok {
		return fromStatusError(err, e)
	}
	return object.FromError(err)
}

// FromApp returns err, as a method or hook of user code returned it, as the error of
// its call, which by that has run ([object.ExecutedYes]); nil for nil. An
// [object.Error] keeps code, reason and message; an error that implements
// GRPCStatus counts with its status's code and message, and with its reason if its
// ErrorInfo is GoVerse's; a context error has its own code; any other is
// CodeUnknown. Text that was wrapped around such an error is kept.
func FromApp(err error) *object.Error {
	e := FromError(err)
	if e == nil {
		return nil
	}
	return e.WithExecuted(object.ExecutedYes)
}

// statusError is an error that knows its gRPC status.
type statusError interface {
	error
	GRPCStatus() *status.Status
}

// fromObject returns inner, which is in err's chain, with a code that has a meaning.
func fromObject(err error, inner *object.Error) *object.Error {
	if inner == nil {
		return object.NewError(object.CodeUnknown, "error is a nil *object.Error")
	}
	e := object.FromError(err)
	if code := knownCode(e.Code); code != e.Code {
		c := *e
		c.Code = code
		return &c
	}
	return e
}

// fromStatusError returns the error that inner's status tells, with what err, whose
// chain holds inner, wrapped around its text.
func fromStatusError(err error, inner statusError) *object.Error {
	e := FromStatus(inner.GRPCStatus())
	if e == nil { // it claims OK, and yet is an error
		return object.NewError(object.CodeUnknown, err.Error())
	}
	text, innerText := err.Error(), inner.Error()
	if text == innerText {
		return e
	}
	c := *e
	c.Message = text
	if e.Message != "" && innerText != "" {
		c.Message = strings.Replace(text, innerText, e.Message, 1)
	}
	return &c
}

// knownCode returns code, or CodeUnknown for one that gRPC does not define or that
// is no failure.
func knownCode(code object.Code) object.Code {
	if code == object.CodeOK || code > object.CodeUnauthenticated {
		return object.CodeUnknown
	}
	return code
}

func execution(word string) object.Execution {
	switch word {
	case object.ExecutedNo.String():
		return object.ExecutedNo
	case object.ExecutedYes.String():
		return object.ExecutedYes
	}
	return object.ExecutedUnknown
}

func provable(code object.Code) object.Execution {
	switch code { //nolint:exhaustive // every other code proves nothing
	case object.CodeUnimplemented, object.CodeUnauthenticated, object.CodePermissionDenied:
		return object.ExecutedNo
	}
	return object.ExecutedUnknown
}
