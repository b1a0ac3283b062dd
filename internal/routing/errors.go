package routing

import (
	"context"
	"errors"
	"strconv"

	"github.com/xiaonanln/goverse/object"
)

// misrouted is the reason, between nodes only, of a refusal to be retried: the node cannot answer for the object now.
const misrouted object.Reason = "Misrouted"

// fenceMessage is the error of what a node without a valid lease does not do.
const fenceMessage = "the node has lost contact with its cluster"

// refused says whether a node refused a call because it does not answer for the object, not because of the call or of
// what the object or its hooks did.
func refused(err error) bool {
	e, ok := err.(*object.Error) //nolint:errorlint // as nodes return it
	return ok && e != nil && e.Code == object.CodeUnavailable && object.Executed(e) == object.ExecutedNo && !object.FromHook(e)
}

// isMissing says whether a node has not found an object.
func isMissing(err error) bool {
	e, ok := err.(*object.Error) //nolint:errorlint // as nodes return it
	return ok && e != nil && e.Code == object.CodeNotFound && e.Reason == "" && object.Executed(e) == object.ExecutedNo
}

// isGone says whether a call of a client object has ended because the client is not there, which is counted by no node
// that says so: for all it knows, the client may be another's. An attempt before may have run.
func isGone(err error) bool {
	e := object.FromError(err)
	return e.Code == object.CodeNotFound && e.Reason == "" && object.Executed(e) != object.ExecutedYes
}

// told is err as another node is told: what a hook failed with must not look like a refusal to be retried there.
func told(err error) *object.Error {
	e := object.FromError(err)
	if !object.FromHook(e) || e.Reason != misrouted && e.Reason != object.Fenced {
		return e
	}
	plain := *e
	plain.Reason = ""
	return &plain
}

func fenced(op, id, method string) *object.Error {
	return object.Refuse(object.CodeUnavailable, object.Fenced, op, id, method, fenceMessage)
}

// withheld is told instead of the outcome of a turn.
func withheld(op, id, method string) error {
	return fenced(op, id, method).WithExecuted(object.ExecutedUnknown)
}

// lost says whether the outcome of a turn is lost with its shard.
func lost(err error) bool {
	e, ok := err.(*object.Error) //nolint:errorlint // as the node gives it, never wrapped
	return ok && e.Reason == object.Fenced && object.Executed(e) == object.ExecutedUnknown
}

func clientGone(op, id, method string) *object.Error {
	return object.Refuse(object.CodeNotFound, "", op, id, method, "the client is not connected")
}

// endOf is the code of what has ended a context.
func endOf(ctx context.Context) object.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return object.CodeDeadlineExceeded
	}
	return object.CodeCanceled
}

// printable makes a name from another node harmless in errors and logs.
func printable(name string) string { return strconv.Quote(name[:min(len(name), object.MaxIDBytes)]) }
