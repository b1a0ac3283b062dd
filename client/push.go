package client

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/object"
)

// Push queues msg for the client whose object has that ID; it never blocks, and msg
// may be changed when it has returned. The error is InvalidArgument for a nil or
// unencodable message or one over Limits.MessageBytes, NotFound when there is no such
// client, ResourceExhausted when too much waits for it: then its stream ends and its
// object goes. After any error the message is not sent.
func (s *Service) Push(ctx context.Context, id string, msg proto.Message) error {
	if msg == nil || !msg.ProtoReflect().IsValid() {
		return refusePush(object.CodeInvalidArgument, id, "the message is nil")
	}
	packed, err := anypb.New(msg)
	if err != nil {
		return refusePush(object.CodeInvalidArgument, id, "encode message: "+err.Error())
	}
	return s.PushAny(ctx, id, packed)
}

// PushAny is [Service.Push] for a message that is encoded already, and belongs to the
// service from now on.
func (s *Service) PushAny(_ context.Context, id string, packed *anypb.Any) error {
	sess := s.findReceiver(id)
	if sess == nil {
		return refusePush(object.CodeNotFound, id, "no such client is connected here")
	}
	size := proto.Size(packed)
	if size > s.limits.MessageBytes {
		return refusePush(object.CodeInvalidArgument, id,
			fmt.Sprintf("the message takes %d bytes, at most %d are allowed", size, s.limits.MessageBytes))
	}
	switch sess.out.put(packed, size) {
	case overflow:
		text := fmt.Sprintf("the client does not read: %d messages or %d bytes are waiting for it", s.limits.QueueMessages, s.limits.QueueBytes)
		sess.end(ending{object.DisconnectTooSlow, object.NewError(object.CodeResourceExhausted, text), false})
		sess.out.abandon()
		return refusePush(object.CodeResourceExhausted, id, text)
	case tooLarge:
		return refusePush(object.CodeInvalidArgument, id,
			fmt.Sprintf("the message takes %d bytes, and with what is around it more than the %d that are allowed", size, s.limits.MessageBytes))
	case shut:
		return refusePush(object.CodeNotFound, id, "the client has gone")
	case queued:
	}
	return nil
}

func refusePush(code object.Code, id, message string) error {
	return object.Refuse(code, "", "push", id, "", message)
}
