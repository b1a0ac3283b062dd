package main

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// announceEvery is how often a room tells the list of rooms that it is there.
const announceEvery = 5 * time.Second

// ChatRoom is one room: its members and its newest messages. Its methods are called
// by the members' client objects, which say so by asClient. Other code of the server
// may call them too: it is no member, gets no pushes and needs no Join.
type ChatRoom struct {
	goverseapi.BaseObject

	members map[string]string // user name by ID of the client object
	history history
}

// roomOptions are the options the type is registered with.
func roomOptions() []goverseapi.RegisterOption {
	return []goverseapi.RegisterOption{
		// A room keeps its messages in memory only: idle is no reason to forget them.
		goverseapi.IdleTimeout(-1),
		// Polls look and change nothing, so those of many members run beside each other.
		goverseapi.Concurrency(goverseapi.ReadOnly, "GetRecentMessages"),
		// The messages of the history never change, and neither does what is made of them.
		goverseapi.ShareMessages(),
	}
}

// OnActivate puts the room on the list of rooms, before its first member is in, and
// keeps it there should the list be lost.
func (r *ChatRoom) OnActivate(ctx context.Context) error {
	r.members = make(map[string]string)
	if _, err := r.Announce(ctx, &emptypb.Empty{}); err != nil {
		return err
	}
	r.Every(announceEvery, "Announce", nil)
	return nil
}

// Announce puts the room on the list of rooms, where it may be already.
func (r *ChatRoom) Announce(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	return goverseapi.Invoke(ctx, mgrID, (*ChatRoomMgr).AddRoom, wrapperspb.String(r.Name()))
}

// Join makes the calling client a member, or renames one that is a member already,
// and returns the newest messages.
func (r *ChatRoom) Join(ctx context.Context, req *chat_pb.ChatRoom_JoinRequest) (*chat_pb.ChatRoom_JoinResponse, error) {
	if err := checkUserName(req.GetUserName()); err != nil {
		return nil, err
	}
	if client := callingClient(ctx); client != "" {
		_, again := r.members[client]
		r.members[client] = req.GetUserName()
		if !again {
			r.Logger().InfoContext(ctx, "member joined", "client", client, "members", len(r.members))
		}
	}
	return &chat_pb.ChatRoom_JoinResponse{RoomName: r.Name(), RecentMessages: r.history.recent()}, nil
}

// Rejoin is Join for a client that was a member before the room was lost. What was said
// since is pushed to it, at most the newest messages that Join answers, and before all
// that is said from now on. A client that is a member already is pushed nothing.
func (r *ChatRoom) Rejoin(ctx context.Context, req *chat_pb.ChatRoom_JoinRequest) (*chat_pb.ChatRoom_JoinResponse, error) {
	client := callingClient(ctx)
	_, again := r.members[client]
	joined, err := r.Join(ctx, req)
	if err != nil || again || client == "" {
		return joined, err
	}
	for _, msg := range joined.GetRecentMessages() {
		if !r.tell(ctx, client, &chat_pb.Client_MessagePush{RoomName: r.Name(), Message: msg}) {
			break
		}
	}
	return joined, nil
}

// Leave ends the calling client's membership, if there is one.
func (r *ChatRoom) Leave(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	client := callingClient(ctx)
	if _, ok := r.members[client]; ok {
		r.remove(ctx, client, "left")
	}
	return &emptypb.Empty{}, nil
}

// SendMessage adds a message to the history, under the name that the calling client
// joined with, and pushes it to the other members. It is errNotMember for a client
// that is none.
func (r *ChatRoom) SendMessage(ctx context.Context, req *chat_pb.ChatRoom_SendChatMessageRequest) (*chat_pb.ChatRoom_SendChatMessageResponse, error) {
	if err := checkText(req.GetMessage()); err != nil {
		return nil, err
	}
	client, userName := callingClient(ctx), req.GetUserName()
	if client == "" {
		if err := checkUserName(userName); err != nil {
			return nil, err
		}
	} else {
		joined, ok := r.members[client]
		if !ok {
			return nil, refuseStranger()
		}
		userName = joined
	}
	r.tellOthers(ctx, client, r.history.add(time.Now(), userName, req.GetMessage()))
	return &chat_pb.ChatRoom_SendChatMessageResponse{}, nil
}

// GetRecentMessages returns the messages that follow a timestamp. It is errNotMember
// for a client that is none. Its turns run beside each other: it changes nothing.
func (r *ChatRoom) GetRecentMessages(ctx context.Context, req *chat_pb.ChatRoom_GetRecentMessagesRequest) (*chat_pb.ChatRoom_GetRecentMessagesResponse, error) {
	if client := callingClient(ctx); client != "" {
		if _, ok := r.members[client]; !ok {
			return nil, refuseStranger()
		}
	}
	return &chat_pb.ChatRoom_GetRecentMessagesResponse{Messages: r.history.after(req.GetAfterTimestamp())}, nil
}

// tellOthers pushes a message to all members but its sender.
func (r *ChatRoom) tellOthers(ctx context.Context, sender string, msg *chat_pb.ChatMessage) {
	push := &chat_pb.Client_MessagePush{RoomName: r.Name(), Message: msg}
	for client := range r.members {
		if client != sender {
			r.tell(ctx, client, push)
		}
	}
}

// tell pushes a message to a member, and reports whether it still is one. A push is
// queued or refused and never waits, so no member can hold up the room; one that is
// gone, or is being disconnected because it does not read, is a member no more.
func (r *ChatRoom) tell(ctx context.Context, client string, push *chat_pb.Client_MessagePush) bool {
	err := goverseapi.PushMessage(ctx, client, push)
	switch {
	case err == nil:
	case errors.Is(err, goverseapi.ErrNotFound), errors.Is(err, goverseapi.ErrResourceExhausted):
		r.remove(ctx, client, goverseapi.CodeOf(err).String())
		return false
	default:
		r.Logger().WarnContext(ctx, "message not pushed", "client", client, "error", err)
	}
	return true
}

func (r *ChatRoom) remove(ctx context.Context, client, why string) {
	delete(r.members, client)
	r.Logger().InfoContext(ctx, "member left", "client", client, "members", len(r.members), "why", why)
}
