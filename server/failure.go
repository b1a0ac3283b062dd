package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
)

// failure is the error of a start or a stop in which a part of the server has failed: the
// coded error that programs match, and what is behind it. errors.Is and errors.As find
// both, the coded one first.
type failure struct {
	coded *object.Error
	cause error
}

// Error is the coded error's text, which holds that of the cause.
func (f failure) Error() string { return f.coded.Error() }

// Unwrap is for errors.Is and errors.As.
func (f failure) Unwrap() []error { return []error{f.coded, f.cause} }

// fail makes the error of Start, Stop and Run out of that of a part, for all of them. ctx is
// that of who asked for op. An error that has a code keeps it, with the object it is about.
func fail(ctx context.Context, op string, executed object.Execution, cause error) error {
	coded := &object.Error{Code: codeOf(ctx, cause)}
	if e, ok := errors.AsType[*object.Error](cause); ok {
		coded.Code, coded.Reason, coded.ID, coded.RetryAfter = object.CodeOf(e), e.Reason, e.ID, e.RetryAfter
	}
	code := (&object.Error{Code: coded.Code, Reason: coded.Reason}).Error()
	coded.Op, coded.Message = op, strings.TrimSuffix(cause.Error(), " "+code) // said once
	return failure{coded.WithExecuted(executed), cause}
}

// codeOf finds the code of an error that has none.
func codeOf(ctx context.Context, err error) object.Code {
	switch {
	case ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()) || errors.Is(err, coord.ErrUnavailable)):
		return object.CodeOf(ctx.Err()) // a store that was not waited for counts as one that did not answer
	case errors.Is(err, lifecycle.ErrStop): // somebody has called Stop
		return object.CodeCanceled
	case errors.Is(err, errTooLong):
		return object.CodeDeadlineExceeded
	case errors.Is(err, errInUse):
		return object.CodeUnavailable
	case errors.Is(err, coord.ErrRefused), errors.Is(err, coord.ErrRestored), errors.Is(err, shard.ErrIncompatible):
		return object.CodeFailedPrecondition
	}
	for _, find := range []func(error) (object.Code, bool){codeOfNet, codeOfStore, codeOfFile} {
		if code, ok := find(err); ok {
			return code
		}
	}
	if code := object.CodeOf(err); code != object.CodeUnknown { // a time limit of a part's own
		return code
	}
	return object.CodeInternal
}

// errWindowsNotAvailable is what Windows says instead of EADDRNOTAVAIL; elsewhere it is no
// error's number.
const errWindowsNotAvailable = syscall.Errno(10049)

// codeOfNet is the code of a listener's error: a port that is taken may be free in a
// moment, an address that is not this machine's is not.
func codeOfNet(err error) (object.Code, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "listen" {
		return object.CodeOK, false
	}
	name, unresolved := errors.AsType[*net.DNSError](op)
	_, malformed := errors.AsType[*net.AddrError](op)
	switch {
	case unresolved && name.IsNotFound, malformed, errors.Is(op, syscall.EADDRNOTAVAIL), errors.Is(op, errWindowsNotAvailable):
		return object.CodeInvalidArgument, true
	case errors.Is(op, fs.ErrPermission):
		return object.CodePermissionDenied, true
	}
	return object.CodeUnavailable, true
}

// codeOfStore is the code of a coordination store's error.
func codeOfStore(err error) (object.Code, bool) {
	switch {
	case errors.Is(err, coord.ErrInvalid):
		return object.CodeInvalidArgument, true
	case errors.Is(err, coord.ErrUnavailable):
		return object.CodeUnavailable, true
	case errors.Is(err, shard.ErrGarbage):
		return object.CodeDataLoss, true
	}
	return object.CodeOK, false
}

// codeOfFile is the code of a data directory's error.
func codeOfFile(err error) (object.Code, bool) {
	_, garbled := errors.AsType[*json.SyntaxError](err)
	_, path := errors.AsType[*fs.PathError](err)
	switch {
	case garbled:
		return object.CodeDataLoss, true
	case errors.Is(err, fs.ErrPermission):
		return object.CodePermissionDenied, true
	case errors.Is(err, syscall.ENOSPC):
		return object.CodeResourceExhausted, true
	case path: // no directory can be there
		return object.CodeInvalidArgument, true
	}
	return object.CodeOK, false
}
