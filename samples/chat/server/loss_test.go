package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

func TestMembersJoinALostRoomAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("General", "ann"), w.member("General", "bob")
	ann.send("", "before")
	bob.pushed()
	seen := newest(bob.poll("", 0), 0)

	if err := w.DeleteObject(t.Context(), "ChatRoom-General"); err != nil {
		t.Fatal(err)
	}
	if got := bob.poll("", seen); len(got) != 0 { // a poll joins again
		t.Errorf("after the loss bob polled %v", texts(got))
	}
	ann.send("", "after") // and so does a message
	if p := bob.pushed(); p.GetMessage().GetMessage() != "after" || p.GetMessage().GetUserName() != "ann" {
		t.Errorf("bob was pushed %v", p)
	}
	if diff := cmp.Diff([]string{"ann: after"}, texts(bob.poll("General", seen))); diff != "" {
		t.Errorf("polling goes on from the timestamp before the loss: %s", diff)
	}
	if rooms := bob.rooms(); !slices.Equal(rooms, []string{"General"}) {
		t.Errorf("rooms are %v", rooms)
	}
	ann.quiet()
	bob.quiet()
}

func TestRoomsAnnounceThemselvesToALostList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("General", "ann")
	if err := w.DeleteObject(t.Context(), mgrID); err != nil {
		t.Fatal(err)
	}
	w.until(func() bool { return slices.Equal(ann.rooms(), []string{"General"}) }, "the room is not on the list any more")
}

// TestRoomsDoNotWaitForTheList holds up the list, as where it is between two servers.
func TestRoomsDoNotWaitForTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("General", "ann"), w.member("General", "bob")
	goOn := w.stick("room listed")
	made := make(chan error, 1)
	go func() {
		_, err := w.CallObject(t.Context(), "ChatRoom-New", "Announce", nil)
		made <- err
	}()
	w.wait(2, "room listed", mgrID)
	if _, err := w.CallObject(t.Context(), "ChatRoom-General", "Announce", nil); err != nil {
		t.Fatal(err)
	}
	ann.send("", "hello")
	if p := bob.pushed(); p.GetMessage().GetMessage() != "hello" {
		t.Errorf("bob was pushed %v", p)
	}
	select {
	case err := <-made:
		t.Errorf("the list was not held up: %v", err)
	default:
	}
	goOn()
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// TestSilentRoomsAreWoken counts rounds with a list that reaches nobody, and says so.
func TestSilentRoomsAreWoken(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(newWorld(t).Context(t.Context()))
	cancel()
	var m ChatRoomMgr
	add := func(room string) {
		t.Helper()
		if _, err := m.AddRoom(ctx, wrapperspb.String(room)); err != nil {
			t.Fatal(err)
		}
	}
	add("Silent")
	for range silentRounds {
		add("Heard of")
		if done, err := m.WakeRooms(ctx, &emptypb.Empty{}); done == nil || err != nil {
			t.Errorf("a room is woken before it was silent for long: %v", err)
		}
	}
	add("Heard of")
	_, err := m.WakeRooms(ctx, &emptypb.Empty{})
	wantCode(t, "wake a silent room", err, goverseapi.CodeCanceled)
	add("Silent")
	if _, err := m.WakeRooms(ctx, &emptypb.Empty{}); err != nil {
		t.Errorf("a room is woken that was heard of: %v", err)
	}
}

// TestClientsDoNotWaitForRooms holds up one of a client's rooms.
func TestClientsDoNotWaitForRooms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("Stuck", "ann"), w.member("Fine", "bob")
	ann.join("Fine", "ann")
	goOn := w.stick("member joined")
	joined := make(chan error, 1)
	eve := w.connect()
	go func() {
		_, err := eve.tryJoin("Stuck", "eve")
		joined <- err
	}()
	w.wait(4, "member joined", "")
	if _, err := goverseclient.Call[*emptypb.Empty](t.Context(), ann.Client, "StayInRooms", nil); err != nil {
		t.Fatal(err)
	}
	ann.send("Fine", "hello")
	if p := bob.pushed(); p.GetMessage().GetMessage() != "hello" {
		t.Errorf("bob was pushed %v", p)
	}
	select {
	case err := <-joined:
		t.Errorf("the room was not held up: %v", err)
	default:
	}
	goOn()
	if err := <-joined; err != nil {
		t.Error(err)
	}
}

func TestFullListRefusesTheRoomAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := w.Context(t.Context())
	for i := range maxRooms {
		room := roomPrefix + fmt.Sprint(i)
		if _, err := w.CallObject(ctx, room, "Join", &chat_pb.ChatRoom_JoinRequest{UserName: "ann"}); err != nil {
			t.Fatalf("join %s: %v", room, err)
		}
	}
	ann := w.connect()
	for i := range maxJoined + 1 { // which do not count as joined
		_, err := ann.tryJoin(fmt.Sprint("one too many ", i), "ann")
		if wantCode(t, "join", err, goverseapi.CodeResourceExhausted); !strings.Contains(err.Error(), "there are 10000 rooms") {
			t.Fatal(err)
		}
	}
	wantCode(t, "send", ann.trySend("", "", "hi"), goverseapi.CodeFailedPrecondition)
	if err := w.DeleteObject(t.Context(), "ChatRoom-7"); err != nil {
		t.Fatal(err)
	}
	ann.join("7", "ann") // one that is on the list may come back
	if n := len(ann.rooms()); n != maxRooms {
		t.Errorf("%d rooms are listed", n)
	}
}

func TestDisconnectEndsMembership(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("One", "ann"), w.member("One", "bob")
	bob.join("Two", "bob")
	_ = bob.Close()
	for _, room := range []string{"ChatRoom-One", "ChatRoom-Two"} {
		left := w.wait(1, "member left", room)[0]
		if left.attrs["why"] != "left" || !strings.HasPrefix(left.attrs["client"], "ChatClient-") {
			t.Errorf("%s logged %v", room, left.attrs)
		}
	}
	ann.send("", "anybody there?")
	ann.quiet()
	if found, _ := w.log.find("message not pushed", "ChatRoom-One"); len(found) > 0 {
		t.Errorf("a message was pushed to a member that had left: %v", found)
	}
}

func TestDisconnectFromARoomThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.member("One", "bob")
	bob.join("Two", "bob")
	if err := w.DeleteObject(t.Context(), "ChatRoom-One"); err != nil {
		t.Fatal(err)
	}
	_ = bob.Close()
	w.wait(1, "member left", "ChatRoom-Two")
}

// TestGoneMembersAreForgotten plants a member whose client never was.
func TestGoneMembersAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("General", "ann")
	ghost := goverseapi.WithMetadata(clientKey, "ChatClient-ghost")
	if _, err := w.CallObject(t.Context(), "ChatRoom-General", "Join", &chat_pb.ChatRoom_JoinRequest{UserName: "ghost"}, ghost); err != nil {
		t.Fatal(err)
	}
	ann.send("", "who is there?")
	if left := w.wait(1, "member left", "ChatRoom-General")[0]; left.attrs["client"] != "ChatClient-ghost" || left.attrs["why"] != "not_found" || left.attrs["members"] != "1" {
		t.Errorf("logged %v", left.attrs)
	}
}

// TestSlowMemberIsDropped floods a member that does not read: the room goes on, the
// others get everything, and the slow one is told why.
func TestSlowMemberIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := w.connect(goverseclient.WithPushBuffer(-1))
	slow.join("General", "slow")
	ann, bob := w.member("General", "ann"), w.member("General", "bob")
	text := strings.Repeat("x", maxText)
	sent := 0
	for found, _ := w.log.find("member left", "ChatRoom-General"); len(found) == 0; found, _ = w.log.find("member left", "ChatRoom-General") {
		if sent > 5000 {
			t.Fatal("the slow member is still there after 20 MB")
		}
		ann.send("", text)
		bob.pushed()
		sent++
	}
	if left := w.wait(1, "member left", "ChatRoom-General")[0]; left.attrs["why"] != "resource_exhausted" {
		t.Errorf("logged %v", left.attrs)
	}
	ann.send("", "after")
	if p := bob.pushed(); p.GetMessage().GetMessage() != "after" {
		t.Errorf("bob was pushed %q", p.GetMessage().GetMessage())
	}
	for range slow.Pushes() {
	}
	<-slow.Done()
	wantCode(t, "the slow member's stream", slow.Err(), goverseapi.CodeResourceExhausted)
	bob.quiet()
}

// TestClientsCannotForgeWhoTheyAre tries to speak to a room as another client.
func TestClientsCannotForgeWhoTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.member("General", "ann")
	joined := w.wait(1, "member joined", "ChatRoom-General")[0]
	eve := w.connect()
	forged := metadata.AppendToOutgoingContext(t.Context(), "client-"+clientKey, joined.attrs["client"], clientKey, joined.attrs["client"])
	_, err := goverseclient.Call[*chat_pb.Client_JoinChatRoomResponse](forged, eve.Client, "Join",
		&chat_pb.Client_JoinChatRoomRequest{RoomName: "General", UserName: "eve"})
	if err != nil {
		t.Fatal(err)
	}
	if next := w.wait(2, "member joined", "ChatRoom-General")[1]; next.attrs["client"] == joined.attrs["client"] {
		t.Error("eve joined as ann")
	}
}

// TestServerCodeMaySpeak calls a room as no client, as other objects might.
func TestServerCodeMaySpeak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("General", "ann")
	ctx := w.Context(context.Background())
	say := &chat_pb.ChatRoom_SendChatMessageRequest{UserName: "server", Message: "welcome"}
	if _, err := goverseapi.CallObject(ctx, "ChatRoom-General", "SendMessage", say); err != nil {
		t.Fatal(err)
	}
	if p := ann.pushed(); p.GetMessage().GetUserName() != "server" {
		t.Errorf("ann was pushed %v", p)
	}
	_, err := goverseapi.CallObject(ctx, "ChatRoom-General", "SendMessage", &chat_pb.ChatRoom_SendChatMessageRequest{Message: "welcome"})
	wantCode(t, "without a name", err, goverseapi.CodeInvalidArgument)
	_, err = goverseapi.CallObject(ctx, "ChatRoom-General", "SendMessage", &chat_pb.ChatRoom_SendChatMessageRequest{UserName: "server"})
	wantCode(t, "without a text", err, goverseapi.CodeInvalidArgument)
	asAnn := goverseapi.WithMetadata(clientKey, w.wait(1, "member joined", "ChatRoom-General")[0].attrs["client"])
	if _, err := goverseapi.CallObject(ctx, "ChatRoom-General", "SendMessage", say, asAnn); err != nil {
		t.Error(err)
	}
	got, err := goverseapi.Call[*chat_pb.ChatRoom_GetRecentMessagesResponse](ctx, "ChatRoom-General", "GetRecentMessages", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"server: welcome", "ann: welcome"}, texts(got.GetMessages())); diff != "" {
		t.Error(diff)
	}
}
