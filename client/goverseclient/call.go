package goverseclient

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// Call runs a method of the client's object and returns its reply, which must be of
// type Resp. A nil request is the method's empty message. Outgoing gRPC metadata in
// ctx whose key begins with "client-" reaches the method.
//
// The error is an [object.Error]; [object.Executed] tells whether the method ran. A
// call is sent once: whether it may be repeated is for the caller to say.
func Call[Resp object.Message](ctx context.Context, c *Client, method string, req proto.Message) (Resp, error) {
	var none Resp
	packed, err := c.call(ctx, method, req)
	if err != nil {
		return none, err
	}
	resp, ok := none.ProtoReflect().New().Interface().(Resp)
	if !ok {
		return none, badReply(method, fmt.Sprintf("%T cannot be made", none))
	}
	if err := packed.UnmarshalTo(resp); err != nil {
		return none, badReply(method, err.Error())
	}
	return resp, nil
}

// Call is the function [Call] for replies whose type is known only to the server: it
// must be linked into the program.
func (c *Client) Call(ctx context.Context, method string, req proto.Message) (proto.Message, error) {
	packed, err := c.call(ctx, method, req)
	if err != nil {
		return nil, err
	}
	resp, err := packed.UnmarshalNew()
	if err != nil {
		return nil, badReply(method, err.Error())
	}
	return resp, nil
}

func (c *Client) call(ctx context.Context, method string, req proto.Message) (*anypb.Any, error) {
	in := &client_pb.CallRequest{ClientId: c.id, Method: method}
	if req != nil {
		packed, err := anypb.New(req)
		if err != nil {
			return nil, object.Refuse(object.CodeInvalidArgument, "", "call", "", method, "encode request: "+err.Error())
		}
		in.Request = packed
	}
	if size := proto.Size(in); size > maxMessageBytes {
		return nil, object.Refuse(object.CodeResourceExhausted, "", "call", "", method,
			fmt.Sprintf("the request takes %d bytes, at most %d are allowed", size, maxMessageBytes))
	}
	select {
	case <-c.done:
		text := "the client is closed"
		if c.err != nil {
			text = "the client is not connected: " + c.err.Error()
		}
		return nil, object.Refuse(object.CodeUnavailable, "", "call", "", method, text)
	default:
	}
	out, err := c.rpc.Call(ctx, in)
	if err != nil {
		return nil, grpcerr.FromError(err).At("call", "", method)
	}
	return out.GetResponse(), nil
}

// badReply is the error of a call that succeeded and whose reply is of no use.
func badReply(method, why string) error {
	return object.Refuse(object.CodeInternal, "", "call", "", method, "decode reply: "+why).WithExecuted(object.ExecutedYes)
}
