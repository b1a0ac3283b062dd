package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// checkEvery is how often a client's object makes sure that a room still knows it.
const checkEvery = 5 * time.Second

// maxJoined is how many rooms one client can be in.
const maxJoined = 100

// ChatClient is the object of one connected client. Its four methods are what the
// client may call; it knows the rooms the client has joined, and which is current.
//
// A room may forget its members: it is in memory only and lost with its node, or by a
// panic. Then the client's object joins again by itself, under the same name: with the
// client's next call that concerns the room, and at the latest when it next polls the
// room of its own accord, which it does every checkEvery for clients that only listen.
// The client notices only that the older messages are gone, and is pushed late what was
// said meanwhile.
type ChatClient struct {
	goverseapi.BaseClient

	// The user name by the name of the room joined. It is empty where a first Join has
	// failed: the room may be there since, so it counts, and it is not joined.
	rooms   map[string]string
	current string // the room joined last; empty before
}

// ListChatRooms returns the names of all rooms.
func (c *ChatClient) ListChatRooms(ctx context.Context, _ *chat_pb.Client_ListChatRoomsRequest) (*chat_pb.Client_ListChatRoomsResponse, error) {
	list, err := goverseapi.Invoke(ctx, mgrID, (*ChatRoomMgr).ListChatRooms, &chat_pb.ChatRoom_ListRequest{})
	if err != nil {
		return nil, err
	}
	return &chat_pb.Client_ListChatRoomsResponse{ChatRooms: list.GetChatRooms()}, nil
}

// Join enters a room and makes it current. Joining a room again is allowed and is how
// a client changes its name there; messages sent before keep theirs. It is
// ResourceExhausted for one room more than maxJoined.
func (c *ChatClient) Join(ctx context.Context, req *chat_pb.Client_JoinChatRoomRequest) (*chat_pb.Client_JoinChatRoomResponse, error) {
	room := req.GetRoomName()
	if err := checkRoomName(room); err != nil {
		return nil, err
	}
	if err := checkUserName(req.GetUserName()); err != nil {
		return nil, err
	}
	if err := c.count(room); err != nil {
		return nil, err
	}
	joined, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Join, &chat_pb.ChatRoom_JoinRequest{UserName: req.GetUserName()}, asClient(c.ID()))
	if err != nil {
		if c.rooms[room] == "" && errors.Is(err, goverseapi.ErrResourceExhausted) {
			delete(c.rooms, room) // the list is full: there is no such room
		}
		return nil, err
	}
	if c.rooms[room] == "" {
		c.keepChecking(room)
	}
	c.rooms[room], c.current = req.GetUserName(), room
	return &chat_pb.Client_JoinChatRoomResponse{RoomName: joined.GetRoomName(), RecentMessages: joined.GetRecentMessages()}, nil
}

// SendMessage says something in a room. An empty user name stands for the one given
// at Join; another one is InvalidArgument.
func (c *ChatClient) SendMessage(ctx context.Context, req *chat_pb.Client_SendChatMessageRequest) (*chat_pb.Client_SendChatMessageResponse, error) {
	if err := checkText(req.GetMessage()); err != nil {
		return nil, err
	}
	if req.GetUserName() != "" {
		if err := checkUserName(req.GetUserName()); err != nil {
			return nil, err
		}
	}
	room, err := c.joined(req.GetRoomName())
	if err != nil {
		return nil, err
	}
	if req.GetUserName() != "" && req.GetUserName() != c.rooms[room] {
		return nil, invalid("the user name is not the one given at Join: join again to change it")
	}
	say := &chat_pb.ChatRoom_SendChatMessageRequest{UserName: c.rooms[room], Message: req.GetMessage()}
	err = c.inRoom(ctx, room, func() error {
		_, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).SendMessage, say, asClient(c.ID()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &chat_pb.Client_SendChatMessageResponse{}, nil
}

// GetRecentMessages returns the messages of a room that follow a timestamp.
func (c *ChatClient) GetRecentMessages(ctx context.Context, req *chat_pb.Client_GetRecentMessagesRequest) (*chat_pb.Client_GetRecentMessagesResponse, error) {
	room, err := c.joined(req.GetRoomName())
	if err != nil {
		return nil, err
	}
	poll := &chat_pb.ChatRoom_GetRecentMessagesRequest{AfterTimestamp: req.GetAfterTimestamp()}
	var got *chat_pb.ChatRoom_GetRecentMessagesResponse
	err = c.inRoom(ctx, room, func() (err error) {
		got, err = goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).GetRecentMessages, poll, asClient(c.ID()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &chat_pb.Client_GetRecentMessagesResponse{Messages: got.GetMessages()}, nil
}

// OnDisconnect leaves all rooms. It does not wait for them: the calls leave when the
// hook has ended, and one that fails is logged. A room that keeps a member who is
// gone finds out by its next message.
func (c *ChatClient) OnDisconnect(ctx context.Context, _ goverseapi.DisconnectReason) {
	for room, userName := range c.rooms {
		if userName == "" {
			continue
		}
		_, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Leave, &emptypb.Empty{}, asClient(c.ID()), goverseapi.OneWay())
		if err != nil {
			c.Logger().WarnContext(ctx, "room not left", "room", room, "error", err)
		}
	}
}

// joined returns the room that a request names, or the current one for none. It is
// InvalidArgument for a bad name, and FailedPrecondition for a room that the client
// has not joined.
func (c *ChatClient) joined(room string) (string, error) {
	if room == "" && c.current == "" {
		return "", goverseapi.NewError(goverseapi.CodeFailedPrecondition, "no room has been joined")
	}
	if room == "" {
		return c.current, nil
	}
	if err := checkRoomName(room); err != nil {
		return "", err
	}
	if c.rooms[room] == "" {
		return "", goverseapi.NewError(goverseapi.CodeFailedPrecondition, "the room has not been joined")
	}
	return room, nil
}

// count makes sure that a room counts, before anything is done that may make it. It is
// ResourceExhausted where the client is in maxJoined others.
func (c *ChatClient) count(room string) error {
	if _, ok := c.rooms[room]; ok {
		return nil
	}
	if len(c.rooms) >= maxJoined {
		return goverseapi.NewError(goverseapi.CodeResourceExhausted, fmt.Sprintf("you have joined %d rooms, as many as a client can", len(c.rooms)))
	}
	if c.rooms == nil {
		c.rooms = make(map[string]string)
	}
	c.rooms[room] = ""
	return nil
}

// keepChecking polls a room, which has been joined, for as long as the client is
// connected. The poll asks for no messages; it finds out whether the room has lost its
// members, and is one that the client itself might make: the timer needs no method
// that clients do not have.
func (c *ChatClient) keepChecking(room string) {
	c.Every(checkEvery, "GetRecentMessages", &chat_pb.Client_GetRecentMessagesRequest{RoomName: room, AfterTimestamp: math.MaxInt64})
}

// inRoom runs a call to a room that the client has joined; when the room does not know
// the client it joins again and runs the call once more.
func (c *ChatClient) inRoom(ctx context.Context, room string, call func() error) error {
	err := call()
	if !errors.Is(err, errNotMember) {
		return err
	}
	again := &chat_pb.ChatRoom_JoinRequest{UserName: c.rooms[room]}
	if _, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Rejoin, again, asClient(c.ID())); err != nil {
		return err
	}
	c.Logger().InfoContext(ctx, "joined again a room that had lost its members", "room", room)
	return call()
}
