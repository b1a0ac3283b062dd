package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// stayEvery is how often a client's object tells its rooms that it is still a member.
const stayEvery = 5 * time.Second

// maxJoined is how many rooms one client can be in.
const maxJoined = 100

// ChatClient is the object of one connected client. Its methods are what the client
// may call; it knows the rooms the client has joined, and which is current.
//
// A room may forget its members: it is in memory only and lost when its server crashes,
// or by a panic. Then the client's object joins again by itself, under the same name:
// with the client's next call that concerns the room, and at the latest when it next
// tells its rooms of its own accord that it is there, for clients that only listen. The
// client notices only that the older messages are gone, and is pushed late what was
// said meanwhile.
type ChatClient struct {
	goverseapi.BaseClient

	rooms   map[string]*membership // by name of the room
	current string                 // the room joined last; empty before
	staying bool                   // the timer of StayInRooms runs
}

// membership is what a client's object knows of a room.
type membership struct {
	// userName is the client's name there. It is empty where a first Join has failed: the
	// room may be there since, so it counts, and it is not joined.
	userName string
	// ahead is how far the room's clock was ahead of this server's when it was seen last.
	// A room that was lost may come back on a server whose clock is behind: the members
	// tell it what time it was.
	ahead time.Duration
}

// saw takes note of what the room's clock shows.
func (m *membership) saw(clock int64) { m.ahead = -time.Since(time.UnixMicro(clock)) }

// join is the request to be a member of the room, again where the client was before.
func (m *membership) join(userName string) *chat_pb.ChatRoom_JoinRequest {
	req := &chat_pb.ChatRoom_JoinRequest{UserName: userName}
	if m.userName != "" {
		req.Clock = time.Now().Add(m.ahead).UnixMicro()
	}
	return req
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
	m, err := c.count(room)
	if err != nil {
		return nil, err
	}
	joined, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Join, m.join(req.GetUserName()), asClient(c.ID()))
	if err != nil {
		if m.userName == "" && errors.Is(err, goverseapi.ErrResourceExhausted) {
			delete(c.rooms, room) // the list is full: there is no such room
		}
		return nil, err
	}
	m.saw(joined.GetClock())
	m.userName, c.current = req.GetUserName(), room
	if !c.staying {
		c.staying = true
		c.Every(stayEvery, "StayInRooms", nil)
	}
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
	m := c.rooms[room]
	if req.GetUserName() != "" && req.GetUserName() != m.userName {
		return nil, invalid("the user name is not the one given at Join: join again to change it")
	}
	say := &chat_pb.ChatRoom_SendChatMessageRequest{UserName: m.userName, Message: req.GetMessage()}
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
	c.rooms[room].saw(got.GetClock())
	return &chat_pb.Client_GetRecentMessagesResponse{Messages: got.GetMessages()}, nil
}

// StayInRooms tells all rooms that the client is a member, for those that have lost
// their members. It is for the object's timer; a client that calls it changes nothing.
// It waits for no room: one may be between two servers.
func (c *ChatClient) StayInRooms(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	for room, m := range c.rooms {
		if m.userName == "" {
			continue
		}
		if _, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Rejoin, m.join(m.userName), asClient(c.ID()), goverseapi.OneWay()); err != nil {
			return nil, err
		}
	}
	return &emptypb.Empty{}, nil
}

// OnDisconnect leaves all rooms. It does not wait for them: the calls leave when the
// hook has ended, and one that fails is logged. A room that keeps a member who is
// gone finds out by its next message.
func (c *ChatClient) OnDisconnect(ctx context.Context, _ goverseapi.DisconnectReason) {
	for room, m := range c.rooms {
		if m.userName == "" {
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
	if m := c.rooms[room]; m == nil || m.userName == "" {
		return "", goverseapi.NewError(goverseapi.CodeFailedPrecondition, "the room has not been joined")
	}
	return room, nil
}

// count makes sure that a room counts, before anything is done that may make it. It is
// ResourceExhausted where the client is in maxJoined others.
func (c *ChatClient) count(room string) (*membership, error) {
	if m := c.rooms[room]; m != nil {
		return m, nil
	}
	if len(c.rooms) >= maxJoined {
		return nil, goverseapi.NewError(goverseapi.CodeResourceExhausted, fmt.Sprintf("you have joined %d rooms, as many as a client can", len(c.rooms)))
	}
	if c.rooms == nil {
		c.rooms = make(map[string]*membership)
	}
	m := new(membership)
	c.rooms[room] = m
	return m, nil
}

// inRoom runs a call to a room that the client has joined; when the room does not know
// the client it joins again and runs the call once more.
func (c *ChatClient) inRoom(ctx context.Context, room string, call func() error) error {
	err := call()
	if !errors.Is(err, errNotMember) {
		return err
	}
	m := c.rooms[room]
	again, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Rejoin, m.join(m.userName), asClient(c.ID()))
	if err != nil {
		return err
	}
	m.saw(again.GetClock())
	c.Logger().InfoContext(ctx, "joined again a room that had lost its members", "room", room)
	return call()
}
