package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"google.golang.org/protobuf/proto"
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
//
// All that a room has goes along when it moves to another server, and is lost when its
// server crashes: see ChatClient for what its members do then.
type ChatRoom struct {
	goverseapi.BaseObject

	members map[string]string // user name by ID of the client object
	history history
	listed  bool // it is on the list of rooms already
}

var _ goverseapi.Snapshotter = (*ChatRoom)(nil)

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
// keeps it there should the list be lost. A room that has moved is on the list: it does
// not wait for it.
func (r *ChatRoom) OnActivate(ctx context.Context) error {
	if r.members == nil {
		r.members = make(map[string]string)
	}
	if !r.listed {
		if _, err := goverseapi.Invoke(ctx, mgrID, (*ChatRoomMgr).AddRoom, wrapperspb.String(r.Name())); err != nil {
			return err
		}
	}
	r.Every(announceEvery, "Announce", nil)
	return nil
}

// OnSnapshot returns all that the room has, for the server that it moves to.
func (r *ChatRoom) OnSnapshot(context.Context) (proto.Message, error) {
	return &chat_pb.ChatRoom_Snapshot{Members: r.members, Messages: r.history.messages, LastTimestamp: r.history.last}, nil
}

// OnRestore takes up what the room had on another server.
func (r *ChatRoom) OnRestore(ctx context.Context, state proto.Message) error {
	s, ok := state.(*chat_pb.ChatRoom_Snapshot)
	if !ok {
		return fmt.Errorf("a %T is no state of a room", state)
	}
	r.members, r.listed = maps.Clone(s.GetMembers()), true
	r.history = history{messages: s.GetMessages(), last: s.GetLastTimestamp()}
	r.Logger().DebugContext(ctx, "room restored", "members", len(r.members), "messages", len(r.history.messages))
	return nil
}

// Announce puts the room on the list of rooms, where it should be already. It does not
// wait for the list, which may be between two servers.
func (r *ChatRoom) Announce(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	return goverseapi.Invoke(ctx, mgrID, (*ChatRoomMgr).AddRoom, wrapperspb.String(r.Name()), goverseapi.OneWay())
}

// Join makes the calling client a member, or renames one that is a member already,
// and returns the newest messages.
func (r *ChatRoom) Join(ctx context.Context, req *chat_pb.ChatRoom_JoinRequest) (*chat_pb.ChatRoom_JoinResponse, error) {
	if err := checkUserName(req.GetUserName()); err != nil {
		return nil, err
	}
	r.history.advance(req.GetClock())
	if client := callingClient(ctx); client != "" {
		_, again := r.members[client]
		r.members[client] = req.GetUserName()
		if !again {
			r.Logger().InfoContext(ctx, "member joined", "client", client, "members", len(r.members))
		}
	}
	return &chat_pb.ChatRoom_JoinResponse{RoomName: r.Name(), RecentMessages: r.history.recent(), Clock: r.history.clock(time.Now())}, nil
}

// Rejoin is Join for a client that was a member before the room was lost. What was said
// since is pushed to it, at most the newest messages that Join answers, and before all
// that is said from now on. For a client that is a member already it does nothing.
func (r *ChatRoom) Rejoin(ctx context.Context, req *chat_pb.ChatRoom_JoinRequest) (*chat_pb.ChatRoom_JoinResponse, error) {
	client := callingClient(ctx)
	if _, ok := r.members[client]; ok {
		return &chat_pb.ChatRoom_JoinResponse{RoomName: r.Name(), Clock: r.history.clock(time.Now())}, nil
	}
	joined, err := r.Join(ctx, req)
	if err != nil || client == "" {
		return joined, err
	}
	for _, msg := range joined.GetRecentMessages() {
		if err := goverseapi.PushMessage(ctx, client, &chat_pb.Client_MessagePush{RoomName: r.Name(), Message: msg}); err != nil {
			r.notPushed(ctx, client, err)
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
	return &chat_pb.ChatRoom_GetRecentMessagesResponse{Messages: r.history.after(req.GetAfterTimestamp()), Clock: r.history.clock(time.Now())}, nil
}

// tellOthers pushes a message to all members but its sender. A push is queued and holds up
// nobody; each member gets them in order.
func (r *ChatRoom) tellOthers(ctx context.Context, sender string, msg *chat_pb.ChatMessage) {
	push := &chat_pb.Client_MessagePush{RoomName: r.Name(), Message: msg}
	for client := range r.members {
		if client == sender {
			continue
		}
		if err := goverseapi.PushMessage(ctx, client, push); err != nil {
			r.notPushed(ctx, client, err)
		}
	}
}

// notPushed draws the consequences of a push that was refused: a member that is gone,
// or is being disconnected because it does not read, is a member no more. One whose server
// has too much waiting for it misses the message, and finds it in the history.
func (r *ChatRoom) notPushed(ctx context.Context, client string, err error) {
	overloaded := errors.Is(err, goverseapi.ErrOverloaded)
	if !overloaded && (errors.Is(err, goverseapi.ErrNotFound) || errors.Is(err, goverseapi.ErrResourceExhausted)) {
		r.remove(ctx, client, goverseapi.CodeOf(err).String())
		return
	}
	r.Logger().WarnContext(ctx, "message not pushed", "client", client, "error", err)
}

func (r *ChatRoom) remove(ctx context.Context, client, why string) {
	delete(r.members, client)
	r.Logger().InfoContext(ctx, "member left", "client", client, "members", len(r.members), "why", why)
}
