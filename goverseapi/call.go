package goverseapi

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// CallObject runs a method of an object, activating it where it is not active, and
// returns its reply, which belongs to the caller. A nil req is the empty message.
// Without a deadline in ctx the method's call timeout applies, 30 s by default.
func CallObject(ctx context.Context, id, method string, req proto.Message, opts ...CallOption) (proto.Message, error) {
	rt, err := runtimeFor(ctx, "call", id)
	if err != nil {
		return nil, err
	}
	return rt.Call(ctx, id, method, req, opts...)
}

// Call is [CallObject] with a typed reply. A method that answers with another type
// than Resp ran, and is [ErrInternal].
func Call[Resp Message](ctx context.Context, id, method string, req proto.Message, opts ...CallOption) (Resp, error) {
	out, err := CallObject(ctx, id, method, req, opts...)
	return typed[Resp](id, method, out, err)
}

// typed is the outcome of a call with its reply's type.
func typed[Resp Message](id, method string, out proto.Message, err error) (Resp, error) {
	var none Resp
	if err != nil || out == nil { // nil without an error: a one-way call
		return none, err
	}
	resp, ok := out.(Resp)
	if !ok {
		e := &Error{Code: CodeInternal, Op: "call", ID: id, Method: method, Message: fmt.Sprintf("the reply is a %T, not a %T", out, none)}
		return none, e.WithExecuted(ExecutedYes)
	}
	return resp, nil
}

// Invoke is [Call] with the method expression, (*ChatRoom).Join, so that a renamed
// method or a wrong message does not compile. An ID of another type than the
// method's is [ErrInvalidArgument] where this server knows the type.
func Invoke[O Object, Req, Resp Message](ctx context.Context, id string, method func(O, context.Context, Req) (Resp, error), req Req, opts ...CallOption) (Resp, error) {
	var none Req
	var in proto.Message
	if req != none {
		in = req
	}
	rt, err := runtimeFor(ctx, "call", id)
	if err != nil {
		var zero Resp
		return zero, err
	}
	out, err := rt.Invoke(ctx, id, object.ExprOf(method), in, opts...)
	return typed[Resp](id, "", out, err)
}

// CreateObject creates an object of a type, running OnCreate with init and then
// OnActivate, and returns its ID; an empty id asks for a generated one. An object
// that is active already, be it by a mere call, is [ErrAlreadyExists]. Before the
// server's start the creation is recorded and carried out there.
func CreateObject(ctx context.Context, typ, id string, init proto.Message) (string, error) {
	rt, err := runtimeFor(ctx, "create", id)
	if err != nil {
		return "", err
	}
	return rt.Create(ctx, typ, id, init)
}

// DeleteObject ends an object after the calls that came before, and removes all that
// is kept of it. Deleting what is not there is nil; a later call starts afresh.
// Deleting a client's object disconnects the client.
func DeleteObject(ctx context.Context, id string) error {
	rt, err := runtimeFor(ctx, "delete", id)
	if err != nil {
		return err
	}
	return rt.Delete(ctx, id)
}

// PushMessage queues msg for the client that owns the client object of that ID, wherever
// that client is connected, and waits for nothing. No error means that the message is
// queued, not that it has arrived: on the way to another server it is lost if the link
// breaks. [BaseClient]'s Push says what the errors mean.
func PushMessage(ctx context.Context, clientObjectID string, msg proto.Message) error {
	rt, err := runtimeFor(ctx, "push", clientObjectID)
	if err != nil {
		return err
	}
	return rt.Push(ctx, clientObjectID, msg)
}
