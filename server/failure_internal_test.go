package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"testing"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/lifecycle"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
)

// The codes of what a test cannot bring about everywhere, beside those of failure_test.go.
func TestCodesOfFailures(t *testing.T) {
	t.Parallel()
	cannotListen := func(err error) error { return &net.OpError{Op: "listen", Net: "tcp", Err: err} }
	for _, c := range []struct {
		err  error
		want object.Code
	}{
		{cannotListen(syscall.EADDRINUSE), object.CodeUnavailable},
		{cannotListen(syscall.EMFILE), object.CodeUnavailable},
		{cannotListen(syscall.EADDRNOTAVAIL), object.CodeInvalidArgument},
		{cannotListen(errWindowsNotAvailable), object.CodeInvalidArgument},
		{cannotListen(syscall.EACCES), object.CodePermissionDenied},
		{cannotListen(&net.DNSError{Err: "no such host", Name: "nowhere", IsNotFound: true}), object.CodeInvalidArgument},
		{cannotListen(&net.DNSError{Err: "server misbehaving", Name: "somewhere", IsTemporary: true}), object.CodeUnavailable},
		{cannotListen(&net.AddrError{Err: "missing port"}), object.CodeInvalidArgument},
		{&fs.PathError{Op: "mkdir", Err: syscall.EACCES}, object.CodePermissionDenied},
		{&fs.PathError{Op: "write", Err: syscall.ENOSPC}, object.CodeResourceExhausted},
		{&fs.PathError{Op: "mkdir", Err: syscall.ENOTDIR}, object.CodeInvalidArgument},
		{coord.ErrUnavailable, object.CodeUnavailable},
		{fmt.Errorf("%w: %w", coord.ErrUnavailable, context.DeadlineExceeded), object.CodeUnavailable},
		{coord.ErrRefused, object.CodeFailedPrecondition},
		{coord.ErrRestored, object.CodeFailedPrecondition},
		{coord.ErrInvalid, object.CodeInvalidArgument},
		{shard.ErrIncompatible, object.CodeFailedPrecondition},
		{shard.ErrGarbage, object.CodeDataLoss},
		{errTooLong, object.CodeDeadlineExceeded},
		{context.DeadlineExceeded, object.CodeDeadlineExceeded},
		{lifecycle.ErrStop, object.CodeCanceled},
		{&lifecycle.PanicError{Value: "broken"}, object.CodeInternal},
		{lifecycle.ErrReturned, object.CodeInternal},
		{errors.New("broken"), object.CodeInternal},
	} {
		err := fail(t.Context(), "start server", object.ExecutedNo, fmt.Errorf("run service part: %w", c.err))
		if got := object.CodeOf(err); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%v, want code %v around %v", err, c.want, c.err)
		}
	}
}

// An error that has a code keeps it, whatever it has executed.
func TestFailuresKeepTheirCodes(t *testing.T) {
	t.Parallel()
	inner := object.Refuse(object.CodeResourceExhausted, object.Overloaded, "create", "Box-1", "", "full").WithExecuted(object.ExecutedUnknown)
	err := fail(t.Context(), "start server", object.ExecutedNo, fmt.Errorf("run service part: %w", inner))
	if want := "start server Box-1: run service part: create Box-1: full (resource_exhausted, Overloaded)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, object.ErrOverloaded) || object.Executed(err) != object.ExecutedNo || object.FromError(err).ID != "Box-1" {
		t.Errorf("%#v", object.FromError(err))
	}
}
