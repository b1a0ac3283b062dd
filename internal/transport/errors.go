package transport

import (
	"context"
	"errors"
	"fmt"

	"github.com/xiaonanln/goverse/object"
)

// Why there is no reply. The error of a link has one of these, or what ended the context, in its chain, beside the
// [object.Error] that tells the caller; [object.Executed] tells whether the call may have run.
var (
	// ErrUnreachable: no connection to the peer could be made. Executed=no.
	ErrUnreachable = errors.New("the peer cannot be reached")
	// ErrWrongPeer: another incarnation or cluster is at the address. The incarnation dialed is gone if the cluster is
	// the same. Executed=no.
	ErrWrongPeer = errors.New("the peer is not the one that was dialed")
	// ErrDraining: the peer takes no new calls. Executed=no.
	ErrDraining = errors.New("the peer is stopping and takes no new calls")
	// ErrBroken: the connection broke. Executed=unknown if the call may have left.
	ErrBroken = errors.New("the link broke")
	// ErrClosed: this side's link or endpoint was closed. Executed=unknown if the call may have left.
	ErrClosed = errors.New("the link is closed")
	// ErrTooLarge: the call or reply exceeds [MaxBytes].
	ErrTooLarge = errors.New("the message is too large")
)

// failure is the error of a link: what the caller of the object is told, and why.
type failure struct {
	told *object.Error
	why  error
}

// Error is what the object.Error says.
func (f *failure) Error() string { return f.told.Error() }

// Unwrap has the object.Error first, so that a cause which is one too does not decide.
func (f *failure) Unwrap() []error { return []error{f.told, f.why} }

// Fail returns the error of a call to a peer that got no reply because of why: one of this package's errors, or what
// ended the context. The code is the context's, resource exhausted for [ErrTooLarge], and else unavailable. Without a
// call the error names none.
func Fail(why error, executed object.Execution, to Peer, c *Call) error {
	code := object.CodeUnavailable
	switch {
	case errors.Is(why, ErrTooLarge):
		code = object.CodeResourceExhausted
	case errors.Is(why, context.DeadlineExceeded):
		code = object.CodeDeadlineExceeded
	case errors.Is(why, context.Canceled):
		code = object.CodeCanceled
	}
	told := object.Refuse(code, "", "", "", "", fmt.Sprintf("node %s: %v", to, why)).WithExecuted(executed)
	if c != nil {
		told = told.At(c.Op.String(), c.ID, c.Method)
	}
	return &failure{told: told, why: why}
}

// StartAndWait is [Link.Call] where that is made of its halves.
func StartAndWait(ctx context.Context, l Link, c *Call) (*Reply, error) {
	f, err := l.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	reply, err := f.Wait(ctx)
	if f, ok := err.(*failure); ok { //nolint:errorlint // as Fail has made it
		err = &failure{told: f.told.At(c.Op.String(), c.ID, c.Method), why: f.why}
	}
	return reply, err
}

// Ended returns what ended ctx, for [Fail]: its error, which decides the code, and its cause where that says more.
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err || errors.Is(cause, err) { //nolint:errorlint // the common case, in which they are the same value
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
