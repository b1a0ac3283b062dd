package object_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xiaonanln/goverse/object"
)

func TestErrorText(t *testing.T) {
	tests := map[string]struct {
		err  *object.Error
		want string
	}{
		"code only":          {object.ErrNotFound, "(not_found)"},
		"code and reason":    {object.ErrDeadlock, "(failed_precondition, Deadlock)"},
		"application":        {object.NewError(object.CodeAborted, "try later"), "try later (aborted)"},
		"everything":         {object.Refuse(object.CodeUnavailable, object.Fenced, "call", "T-x", "M", "lost"), "call T-x.M: lost (unavailable, Fenced)"},
		"operation only":     {object.Refuse(object.CodeInternal, "", "register", "", "", "bad"), "register: bad (internal)"},
		"no method":          {object.Refuse(object.CodeNotFound, "", "delete", "T-x", "", "gone"), "delete T-x: gone (not_found)"},
		"no message":         {object.Refuse(object.CodeNotFound, "", "delete", "T-x", "", ""), "delete T-x: (not_found)"},
		"placed by At":       {object.NewError(object.CodeAborted, "later").At("call", "T-x", "M"), "call T-x.M: later (aborted)"},
		"At keeps the first": {object.Refuse(object.CodeAborted, "", "push", "C-1", "", "later").At("call", "T-x", "M"), "push C-1: later (aborted)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAtCopies(t *testing.T) {
	err := object.NewError(object.CodeAborted, "later")
	placed := err.At("call", "T-x", "M")
	if err.Op != "" || err.ID != "" || err.Method != "" {
		t.Errorf("At changed the error it was called on: %+v", err)
	}
	if placed.Op != "call" || placed.ID != "T-x" || placed.Method != "M" || placed.Message != "later" {
		t.Errorf("At returned %+v", placed)
	}
	if object.ErrNotFound.At("call", "T-x", "M"); object.ErrNotFound.Op != "" {
		t.Error("At changed a sentinel")
	}
}

func TestFromError(t *testing.T) {
	app := object.NewError(object.CodeAborted, "try later")
	refused := object.Refuse(object.CodeFailedPrecondition, object.Deadlock, "call", "T-x", "M", "T-x waits for T-x")
	tests := map[string]struct {
		err     error
		code    object.Code
		reason  object.Reason
		message string
		text    string
	}{
		"itself":             {app, object.CodeAborted, "", "try later", "try later (aborted)"},
		"foreign":            {io.EOF, object.CodeUnknown, "", "EOF", "EOF (unknown)"},
		"context":            {context.DeadlineExceeded, object.CodeDeadlineExceeded, "", "context deadline exceeded", "context deadline exceeded (deadline_exceeded)"},
		"wrapped":            {fmt.Errorf("join room: %w", app), object.CodeAborted, "", "join room: try later", "join room: try later (aborted)"},
		"wrapped twice":      {fmt.Errorf("a: %w", fmt.Errorf("b: %w now", app)), object.CodeAborted, "", "a: b: try later now", "a: b: try later now (aborted)"},
		"wrapped sentinel":   {fmt.Errorf("open room: %w", object.ErrNotFound), object.CodeNotFound, "", "open room", "open room (not_found)"},
		"wrapped, with text": {fmt.Errorf("join: %w", refused), object.CodeFailedPrecondition, object.Deadlock, "join: T-x waits for T-x", "call T-x.M: join: T-x waits for T-x (failed_precondition, Deadlock)"},
		"hidden in text":     {hiding{app}, object.CodeAborted, "", "something failed", "something failed (aborted)"},
		"joined":             {errors.Join(io.EOF, app), object.CodeAborted, "", "EOF\ntry later", "EOF\ntry later (aborted)"},
		"text ends in colon": {fmt.Errorf("ask: %w", object.NewError(object.CodeAborted, "which one: ")), object.CodeAborted, "", "ask: which one: ", "ask: which one:  (aborted)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := object.FromError(tt.err)
			if got.Code != tt.code || got.Reason != tt.reason || got.Message != tt.message {
				t.Errorf("FromError(%q) = code %v, reason %q, message %q; want %v, %q, %q", tt.err, got.Code, got.Reason, got.Message, tt.code, tt.reason, tt.message)
			}
			if got.Error() != tt.text {
				t.Errorf("text %q, want %q", got, tt.text)
			}
			if again := object.FromError(got); again != got {
				t.Errorf("a second FromError changed %v to %v", got, again)
			}
		})
	}
	if got := object.FromError(nil); got != nil {
		t.Errorf("FromError(nil) = %v, want nil", got)
	}
	want := *object.NewError(object.CodeAborted, "try later")
	if diff := cmp.Diff(&want, app, cmp.AllowUnexported(object.Error{})); diff != "" {
		t.Errorf("FromError changed the wrapped error (-want +got):\n%s", diff)
	}
}

// hiding wraps an error without showing its text.
type hiding struct{ error }

func (hiding) Error() string   { return "something failed" }
func (h hiding) Unwrap() error { return h.error }

// TestNilErrorPointer: a method that returns its nil *Error variable as an error is
// a common mistake. It must neither end the process nor count as success.
func TestNilErrorPointer(t *testing.T) {
	var none *object.Error
	for name, err := range map[string]error{"bare": none, "wrapped": fmt.Errorf("ask: %w", none)} {
		t.Run(name, func(t *testing.T) {
			if got := object.CodeOf(err); got != object.CodeUnknown {
				t.Errorf("CodeOf = %v, want unknown", got)
			}
			if got := object.Executed(err); got != object.ExecutedUnknown {
				t.Errorf("Executed = %v, want unknown", got)
			}
			if got := object.FromError(err); got == nil || got.Code != object.CodeUnknown || got.Message == "" {
				t.Errorf("FromError = %+v, want an error that says what happened", got)
			}
			if !errors.Is(err, object.ErrUnknown) || errors.Is(err, object.ErrInternal) {
				t.Error("errors.Is does not match ErrUnknown alone")
			}
		})
	}
	if object.ErrNotFound.Is(none) {
		t.Error("an error matches a nil target")
	}
	if got := none.At("call", "T-x", "M").WithExecuted(object.ExecutedYes); got.ID != "T-x" || got.Code != object.CodeUnknown {
		t.Errorf("At of a nil error = %+v", got)
	}
	if got := none.WithExecuted(object.ExecutedYes); object.Executed(got) != object.ExecutedYes {
		t.Errorf("WithExecuted of a nil error = %+v", got)
	}
}
