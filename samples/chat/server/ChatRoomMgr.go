package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// mgrID is the ID of the one ChatRoomMgr there is.
const mgrID = "ChatRoomMgr-main"

// maxRooms is how many rooms there can be: so many that their names, 247 bytes each
// at most, fit into one reply of 4 MiB.
const maxRooms = 10_000

// silentRounds is how many times in a row a room may be silent before it is woken.
const silentRounds = 2

// ChatRoomMgr is the list of rooms. It goes along when it moves to another server, and
// where it was lost with its server, the rooms announce themselves again. So that they
// can, it wakes those that it has not heard of for a while: rooms that nobody has called
// since they moved.
//
// Rooms wait for it and it waits for nobody, so no chain of calls comes back to where it
// began.
type ChatRoomMgr struct {
	goverseapi.BaseObject

	rooms map[string]int // by name, how many rounds ago it was heard of
}

var (
	_ goverseapi.Activator   = (*ChatRoomMgr)(nil)
	_ goverseapi.Snapshotter = (*ChatRoomMgr)(nil)
)

// mgrOptions are the options the type is registered with.
func mgrOptions() []goverseapi.RegisterOption {
	return []goverseapi.RegisterOption{
		// The list is in memory only: idle is no reason to forget it.
		goverseapi.IdleTimeout(-1),
		goverseapi.Concurrency(goverseapi.ReadOnly, "ListChatRooms"),
	}
}

// OnActivate begins to wake rooms.
func (m *ChatRoomMgr) OnActivate(context.Context) error {
	m.Every(announceEvery, "WakeRooms", nil)
	return nil
}

// OnSnapshot returns the list, for the server that it moves to.
func (m *ChatRoomMgr) OnSnapshot(context.Context) (proto.Message, error) {
	return &chat_pb.ChatRoomMgr_Snapshot{Rooms: slices.Sorted(maps.Keys(m.rooms))}, nil
}

// OnRestore takes up the list that was on another server.
func (m *ChatRoomMgr) OnRestore(_ context.Context, state proto.Message) error {
	s, ok := state.(*chat_pb.ChatRoomMgr_Snapshot)
	if !ok {
		return fmt.Errorf("a %T is no list of rooms", state)
	}
	m.rooms = make(map[string]int, len(s.GetRooms()))
	for _, room := range s.GetRooms() {
		m.rooms[room] = 0
	}
	return nil
}

// AddRoom puts a room on the list, where it may be already. It is ResourceExhausted
// when the list is full.
func (m *ChatRoomMgr) AddRoom(ctx context.Context, name *wrapperspb.StringValue) (*emptypb.Empty, error) {
	room := name.GetValue()
	if _, ok := m.rooms[room]; !ok {
		if err := checkRoomName(room); err != nil {
			return nil, err
		}
		if len(m.rooms) >= maxRooms {
			return nil, goverseapi.NewError(goverseapi.CodeResourceExhausted, fmt.Sprintf("there are %d rooms, as many as there can be", len(m.rooms)))
		}
		if m.rooms == nil {
			m.rooms = make(map[string]int)
		}
		m.Logger().InfoContext(ctx, "room listed", "room", room, "rooms", len(m.rooms)+1)
	}
	m.rooms[room] = 0
	return &emptypb.Empty{}, nil
}

// WakeRooms is a round: it has rooms announce themselves that have not done so in the
// last ones. It does not wait for them.
func (m *ChatRoomMgr) WakeRooms(ctx context.Context, _ *emptypb.Empty) (*emptypb.Empty, error) {
	for room, silent := range m.rooms {
		m.rooms[room] = silent + 1
		if silent < silentRounds {
			continue
		}
		if _, err := goverseapi.Invoke(ctx, roomPrefix+room, (*ChatRoom).Announce, &emptypb.Empty{}, goverseapi.OneWay()); err != nil {
			return nil, err
		}
	}
	return &emptypb.Empty{}, nil
}

// ListChatRooms returns the names of all rooms, sorted.
func (m *ChatRoomMgr) ListChatRooms(context.Context, *chat_pb.ChatRoom_ListRequest) (*chat_pb.ChatRoom_ListResponse, error) {
	return &chat_pb.ChatRoom_ListResponse{ChatRooms: slices.Sorted(maps.Keys(m.rooms))}, nil
}
