package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// worded is an error for people. It unwraps to the error of the call.
type worded struct {
	text  string
	cause error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.cause }

// inWords says what a failed call means for the user.
func inWords(err error, timeout time.Duration) error {
	return &worded{wordsFor(object.FromError(err), timeout), err}
}

func wordsFor(e *object.Error, timeout time.Duration) string {
	switch e.Code {
	case object.CodeUnavailable, object.CodeUnauthenticated, object.CodeCanceled:
		return "the connection is lost"
	case object.CodeDeadlineExceeded:
		return fmt.Sprintf("the server has not answered within %v", timeout)
	case object.CodeInvalidArgument, object.CodeFailedPrecondition, object.CodeResourceExhausted, object.CodeAborted:
		if e.Message != "" {
			return e.Message
		}
	case object.CodeUnimplemented:
		return "that is no chat server's port for clients"
	default:
	}
	return "the server has failed; its log says more"
}

// mayHaveRun tells that nobody knows whether a call that failed had its effect.
func mayHaveRun(err error) bool {
	if errors.Is(err, errNotConnected) {
		return false
	}
	return object.Executed(err) == object.ExecutedUnknown || object.CodeOf(err) == object.CodeInternal
}

// connectionLost tells that a call failed because the connection did.
func connectionLost(err error) bool {
	switch object.CodeOf(err) {
	case object.CodeUnavailable, object.CodeUnauthenticated, object.CodeCanceled:
		return true
	default:
		return false
	}
}

// thrownOut tells that a stream ended because the server does not want this client.
func thrownOut(err error) bool { return errors.Is(err, object.ErrAborted) }

// whyLost adds a reason to "connection lost" if there is one worth telling.
func whyLost(err error) string {
	if errors.Is(err, object.ErrResourceExhausted) {
		return " because messages came faster than they were shown"
	}
	return ""
}

// whyNotConnected says why dialling failed. What gRPC tells of that is not for
// people, so it looks for itself.
func whyNotConnected(ctx context.Context, server string, err error) string {
	switch e := object.FromError(err); e.Code {
	case object.CodeUnavailable:
	case object.CodeDeadlineExceeded:
		return fmt.Sprintf("no answer within %v", dialTimeout)
	default:
		return wordsFor(e, dialTimeout)
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", server)
	if err == nil {
		_ = conn.Close()
		return "what listens there takes no chat clients"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error() + "; is the chat server running?"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	return err.Error()
}
