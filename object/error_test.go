package object_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/xiaonanln/goverse/object"
)

// codeSentinels and reasonSentinels are all sentinels of the package.
var (
	codeSentinels = map[object.Code]*object.Error{
		object.CodeCanceled:           object.ErrCanceled,
		object.CodeUnknown:            object.ErrUnknown,
		object.CodeInvalidArgument:    object.ErrInvalidArgument,
		object.CodeDeadlineExceeded:   object.ErrDeadlineExceeded,
		object.CodeNotFound:           object.ErrNotFound,
		object.CodeAlreadyExists:      object.ErrAlreadyExists,
		object.CodePermissionDenied:   object.ErrPermissionDenied,
		object.CodeResourceExhausted:  object.ErrResourceExhausted,
		object.CodeFailedPrecondition: object.ErrFailedPrecondition,
		object.CodeAborted:            object.ErrAborted,
		object.CodeOutOfRange:         object.ErrOutOfRange,
		object.CodeUnimplemented:      object.ErrUnimplemented,
		object.CodeInternal:           object.ErrInternal,
		object.CodeUnavailable:        object.ErrUnavailable,
		object.CodeDataLoss:           object.ErrDataLoss,
		object.CodeUnauthenticated:    object.ErrUnauthenticated,
	}
	reasonSentinels = map[object.Reason]struct {
		sentinel *object.Error
		code     object.Code
	}{
		object.NotRegistered: {object.ErrNotRegistered, object.CodeNotFound},
		object.UnknownMethod: {object.ErrUnknownMethod, object.CodeUnimplemented},
		object.Deadlock:      {object.ErrDeadlock, object.CodeFailedPrecondition},
		object.KeyReused:     {object.ErrKeyReused, object.CodeFailedPrecondition},
		object.Overloaded:    {object.ErrOverloaded, object.CodeResourceExhausted},
		object.Fenced:        {object.ErrFenced, object.CodeUnavailable},
	}
)

// TestSentinels matches an error of every code and reason with every sentinel: it
// must match those of its own code and reason, and no other.
func TestSentinels(t *testing.T) {
	if want := len(allCodes) - 1; len(codeSentinels) != want {
		t.Fatalf("%d sentinels of codes, want one for each of %d (all but ok)", len(codeSentinels), want)
	}
	check := func(err error, code object.Code, reason object.Reason) {
		t.Helper()
		for c, sentinel := range codeSentinels {
			if got, want := errors.Is(err, sentinel), c == code; got != want {
				t.Errorf("errors.Is(%v, sentinel of %v) = %v, want %v", err, c, got, want)
			}
		}
		for r, s := range reasonSentinels {
			if got, want := errors.Is(err, s.sentinel), r == reason; got != want {
				t.Errorf("errors.Is(%v, sentinel of %v) = %v, want %v", err, r, got, want)
			}
		}
	}
	for code, sentinel := range codeSentinels {
		check(sentinel, code, "")
		check(object.NewError(code, "text"), code, "")
		check(fmt.Errorf("read book: %w", object.NewError(code, "text")), code, "")
	}
	for reason, s := range reasonSentinels {
		check(s.sentinel, s.code, reason)
		err := object.Refuse(s.code, reason, "call", "T-x", "M", "text")
		check(err, s.code, reason)
		check(errors.Join(io.EOF, fmt.Errorf("read book: %w", err)), s.code, reason)
		check(err.WithExecuted(object.ExecutedUnknown), s.code, reason)
		check(err.At("push", "T-y", "N"), s.code, reason)
		check(object.FromError(fmt.Errorf("read book: %w", err)), s.code, reason)
		// As a codec of another node would rebuild it.
		check(&object.Error{Code: err.Code, Reason: err.Reason, Message: err.Message, Op: err.Op, ID: err.ID, Method: err.Method}, s.code, reason)
	}
}

func TestIsComparesOnlyWithSentinels(t *testing.T) {
	err := object.NewError(object.CodeNotFound, "no book")
	if errors.Is(err, object.NewError(object.CodeNotFound, "no book")) {
		t.Error("an error matches another error of the same text: only sentinels match by code")
	}
	if errors.Is(err, object.ErrNotFound.At("call", "T-x", "M")) {
		t.Error("an error matches a sentinel that was placed somewhere")
	}
	copied := *object.ErrNotFound
	if !errors.Is(err, &copied) {
		t.Error("an error does not match a copy of its sentinel")
	}
	if !errors.Is(err, err) {
		t.Error("an error does not match itself")
	}
	if errors.Is(err, io.EOF) || object.ErrNotFound.Is(err) {
		t.Error("an error matches what it is not")
	}
	if errors.Is(object.NewError(object.CodeNotFound, ""), object.ErrNotRegistered) {
		t.Error("an error without a reason matches a sentinel with one")
	}
}

func TestIsMatchesContextErrors(t *testing.T) {
	for code := range codeSentinels {
		err := object.NewError(code, "text")
		if got, want := errors.Is(err, context.DeadlineExceeded), code == object.CodeDeadlineExceeded; got != want {
			t.Errorf("errors.Is(%v, DeadlineExceeded) = %v", err, got)
		}
		if got, want := errors.Is(err, context.Canceled), code == object.CodeCanceled; got != want {
			t.Errorf("errors.Is(%v, Canceled) = %v", err, got)
		}
	}
}

func TestExecuted(t *testing.T) {
	refused := object.Refuse(object.CodeResourceExhausted, object.Overloaded, "call", "T-x", "M", "full")
	tests := map[string]struct {
		err  error
		want object.Execution
	}{
		"nil":                  {nil, object.ExecutedYes},
		"foreign error":        {io.EOF, object.ExecutedUnknown},
		"context error":        {context.Canceled, object.ExecutedUnknown},
		"sentinel":             {object.ErrUnavailable, object.ExecutedUnknown},
		"refusal":              {refused, object.ExecutedNo},
		"refusal, wrapped":     {fmt.Errorf("ask: %w", refused), object.ExecutedNo},
		"refusal, joined":      {errors.Join(io.EOF, refused), object.ExecutedNo},
		"refusal, placed":      {refused.At("push", "", ""), object.ExecutedNo},
		"refusal, from error":  {object.FromError(fmt.Errorf("ask: %w", refused)), object.ExecutedNo},
		"set to yes":           {refused.WithExecuted(object.ExecutedYes), object.ExecutedYes},
		"set to unknown":       {refused.WithExecuted(object.ExecutedUnknown), object.ExecutedUnknown},
		"application, set yes": {object.NewError(object.CodeAborted, "no").WithExecuted(object.ExecutedYes), object.ExecutedYes},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := object.Executed(tt.err); got != tt.want {
				t.Errorf("Executed(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
	if object.Executed(refused) != object.ExecutedNo {
		t.Error("WithExecuted changed the error it was called on")
	}
}

func TestCodeOf(t *testing.T) {
	tests := map[string]struct {
		err  error
		want object.Code
	}{
		"nil":              {nil, object.CodeOK},
		"foreign":          {io.EOF, object.CodeUnknown},
		"deadline":         {fmt.Errorf("wait: %w", context.DeadlineExceeded), object.CodeDeadlineExceeded},
		"cancelled":        {fmt.Errorf("wait: %w", context.Canceled), object.CodeCanceled},
		"own":              {object.ErrDataLoss, object.CodeDataLoss},
		"wrapped":          {fmt.Errorf("read: %w", object.ErrFenced), object.CodeUnavailable},
		"own before ctx's": {errors.Join(context.Canceled, object.ErrAborted), object.CodeAborted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := object.CodeOf(tt.err); got != tt.want {
				t.Errorf("CodeOf(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
	if got := object.NewError(object.CodeOK, "x").Code; got != object.CodeUnknown {
		t.Errorf("NewError(ok) has code %v: a failure must not look like success", got)
	}
}
