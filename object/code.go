package object

import "strconv"

// Code classifies an error. The numbers equal gRPC's status codes, so a code
// means the same to a caller in the same process and to a client in another language.
type Code uint32

// The codes, with gRPC's numbers and meanings.
const (
	CodeOK                 Code = 0
	CodeCanceled           Code = 1
	CodeUnknown            Code = 2
	CodeInvalidArgument    Code = 3
	CodeDeadlineExceeded   Code = 4
	CodeNotFound           Code = 5
	CodeAlreadyExists      Code = 6
	CodePermissionDenied   Code = 7
	CodeResourceExhausted  Code = 8
	CodeFailedPrecondition Code = 9
	CodeAborted            Code = 10
	CodeOutOfRange         Code = 11
	CodeUnimplemented      Code = 12
	CodeInternal           Code = 13
	CodeUnavailable        Code = 14
	CodeDataLoss           Code = 15
	CodeUnauthenticated    Code = 16
)

// String returns the code's name in lower snake case, "invalid_argument".
func (c Code) String() string {
	switch c {
	case CodeOK:
		return "ok"
	case CodeCanceled:
		return "canceled"
	case CodeUnknown:
		return "unknown"
	case CodeInvalidArgument:
		return "invalid_argument"
	case CodeDeadlineExceeded:
		return "deadline_exceeded"
	case CodeNotFound:
		return "not_found"
	case CodeAlreadyExists:
		return "already_exists"
	case CodePermissionDenied:
		return "permission_denied"
	case CodeResourceExhausted:
		return "resource_exhausted"
	case CodeFailedPrecondition:
		return "failed_precondition"
	case CodeAborted:
		return "aborted"
	case CodeOutOfRange:
		return "out_of_range"
	case CodeUnimplemented:
		return "unimplemented"
	case CodeInternal:
		return "internal"
	case CodeUnavailable:
		return "unavailable"
	case CodeDataLoss:
		return "data_loss"
	case CodeUnauthenticated:
		return "unauthenticated"
	}
	return "code_" + strconv.FormatUint(uint64(c), 10)
}

// Reason narrows a [Code] for errors of the runtime itself; empty otherwise.
type Reason string

// The runtime's reasons and the code each belongs to.
const (
	NotRegistered Reason = "NotRegistered" // CodeNotFound: no such type is registered
	UnknownMethod Reason = "UnknownMethod" // CodeUnimplemented: the type has no such method
	Deadlock      Reason = "Deadlock"      // CodeFailedPrecondition: the call chain already holds the target
	KeyReused     Reason = "KeyReused"     // CodeFailedPrecondition: idempotency key seen with another request
	Overloaded    Reason = "Overloaded"    // CodeResourceExhausted: too many calls wait already
	Fenced        Reason = "Fenced"        // CodeUnavailable: the node lost the right to answer
)

// Execution answers what a caller must know after a failure: did the call run?
type Execution uint8

// The three answers. The zero value is the careful one.
const (
	ExecutedUnknown Execution = iota // it may have run, in part or whole
	ExecutedNo                       // it did not run and never will
	ExecutedYes                      // it ran to its end
)

// String returns "unknown", "no" or "yes": the words used on the wire.
func (e Execution) String() string {
	switch e {
	case ExecutedNo:
		return "no"
	case ExecutedYes:
		return "yes"
	case ExecutedUnknown:
	}
	return "unknown"
}
