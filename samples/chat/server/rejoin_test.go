package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// TestListenersJoinALostRoomAgain has members that never call after a room is lost:
// they hear what is said all the same, once and in order, and nothing of other rooms.
func TestListenersJoinALostRoomAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("General", "ann"), w.member("General", "bob")
	bob.join("Other", "bobby")
	eve := w.member("Other", "eve")
	for _, room := range []string{"ChatRoom-General", "ChatRoom-Other"} {
		if err := w.DeleteObject(t.Context(), room); err != nil {
			t.Fatal(err)
		}
	}
	ann.send("", "one")
	ann.send("", "two")
	eve.send("", "elsewhere")
	heard := make(map[string][]*chat_pb.ChatMessage)
	for range 3 {
		p := bob.pushed()
		heard[p.GetRoomName()] = append(heard[p.GetRoomName()], p.GetMessage())
	}
	want := map[string][]string{"General": stamped(ann.poll("", 0)), "Other": stamped(eve.poll("", 0))}
	if diff := cmp.Diff(want, map[string][]string{"General": stamped(heard["General"]), "Other": stamped(heard["Other"])}); diff != "" {
		t.Errorf("bob was pushed (-want +got):\n%s", diff)
	}
	ann.send("", "three") // bob is a member again
	if p := bob.pushed(); p.GetMessage().GetMessage() != "three" {
		t.Errorf("bob was pushed %v", p)
	}
	bob.send("Other", "hi") // and has the name he had
	if p := eve.pushed(); p.GetMessage().GetUserName() != "bobby" || p.GetMessage().GetMessage() != "hi" {
		t.Errorf("eve was pushed %v", p)
	}
	for _, g := range []*guest{ann, bob, eve} {
		g.quiet()
	}
}

// TestRejoinRepeatsNothing calls Rejoin as a client's object would, again and again.
func TestRejoinRepeatsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("General", "ann"), w.member("General", "bob")
	joined := w.wait(2, "member joined", "ChatRoom-General")
	asBob := goverseapi.WithMetadata(clientKey, joined[1].attrs["client"])
	rejoin := func() {
		if _, err := w.CallObject(t.Context(), "ChatRoom-General", "Rejoin", &chat_pb.ChatRoom_JoinRequest{UserName: "bob"}, asBob); err != nil {
			t.Fatal(err)
		}
	}
	ann.send("", "before")
	rejoin() // he is a member
	if err := w.DeleteObject(t.Context(), "ChatRoom-General"); err != nil {
		t.Fatal(err)
	}
	ann.send("", "meanwhile")
	rejoin()
	rejoin()
	ann.send("", "after")
	rejoin()
	for _, want := range []string{"before", "meanwhile", "after"} {
		if p := bob.pushed(); p.GetMessage().GetMessage() != want {
			t.Errorf("bob was pushed %q, want %q", p.GetMessage().GetMessage(), want)
		}
	}
	ann.quiet()
	bob.quiet()
}

// TestRejoinRenamesNobody lets the word of a client's object come late: the client has
// joined under another name since.
func TestRejoinRenamesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("General", "ann")
	joined := w.wait(1, "member joined", "ChatRoom-General")
	ann.join("General", "anna")
	asAnn := goverseapi.WithMetadata(clientKey, joined[0].attrs["client"])
	if _, err := w.CallObject(t.Context(), "ChatRoom-General", "Rejoin", &chat_pb.ChatRoom_JoinRequest{UserName: "ann"}, asAnn); err != nil {
		t.Fatal(err)
	}
	ann.send("", "hi")
	if got := texts(ann.poll("", 0)); !slices.Equal(got, []string{"anna: hi"}) {
		t.Errorf("the room has %v", got)
	}
}

// TestLostRoomsGoOnInTime loses rooms whose clock is an hour ahead, as on a machine that
// does not come back: what is said then is later all the same.
func TestLostRoomsGoOnInTime(t *testing.T) {
	t.Parallel()
	join := func(_ *world, g *guest) { g.join("General", "ann") }
	poll := func(_ *world, g *guest) { g.poll("General", 0) }
	send := func(_ *world, g *guest) { g.send("General", "I am back") }
	stay := func(w *world, g *guest) {
		before, _ := w.log.find("member joined", "ChatRoom-General")
		if _, err := goverseclient.Call[*emptypb.Empty](g.t.Context(), g.Client, "StayInRooms", nil); err != nil {
			g.t.Fatal(err)
		}
		w.wait(len(before)+1, "member joined", "ChatRoom-General")
	}
	for name, do := range map[string]struct{ see, rejoin func(*world, *guest) }{
		"joined, then polls":     {join, poll},
		"joined, then sends":     {join, send},
		"joined, then stays":     {join, stay},
		"joined, and does again": {join, join},
		"polled, then stays":     {poll, stay},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ann, bob := w.member("General", "ann"), w.member("General", "bob")
			setClock(w, time.Hour)
			do.see(w, ann)
			bob.send("", "before")
			last := ann.pushed().GetMessage().GetTimestamp()
			w.lose("General")
			do.rejoin(w, ann)
			bob.send("", "after")
			if next := ann.pushed().GetMessage(); next.GetMessage() != "after" || next.GetTimestamp() <= last {
				t.Errorf("%v was said after %d", next, last)
			}
		})
	}
}

// TestNewcomersTellNoTime joins with a server's clock that is no room's.
func TestNewcomersTellNoTime(t *testing.T) {
	t.Parallel()
	var m membership
	if got := m.join("ann").GetClock(); got != 0 {
		t.Errorf("who has never been in the room says that its clock shows %d", got)
	}
}

// TestRejoiningTellsTheTime loses a room twice: what its clock showed in between, the
// client's object knows from joining it again only.
func TestRejoiningTellsTheTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.member("General", "ann"), w.member("General", "bob")
	w.lose("General")
	setClock(w, time.Hour)
	ann.send("", "I am back")
	bob.send("", "before")
	last := ann.pushed().GetMessage().GetTimestamp()
	w.lose("General")
	ann.send("", "I am back again")
	bob.send("", "after")
	if next := ann.pushed().GetMessage(); next.GetTimestamp() <= last {
		t.Errorf("%v was said after %d", next, last)
	}
}

// setClock lets a room's clock be ahead.
func setClock(w *world, ahead time.Duration) {
	w.t.Helper()
	req := &chat_pb.ChatRoom_JoinRequest{UserName: "server", Clock: time.Now().Add(ahead).UnixMicro()}
	if _, err := w.CallObject(w.t.Context(), "ChatRoom-General", "Join", req); err != nil {
		w.t.Fatal(err)
	}
}

// lose has a room forget all it has, as where its server crashes.
func (w *world) lose(room string) {
	w.t.Helper()
	if err := w.DeleteObject(w.t.Context(), roomPrefix+room); err != nil {
		w.t.Fatal(err)
	}
}

func TestAClientJoinsAtMostAHundredRooms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob := w.connect(), w.member("his", "bob")
	for i := range maxJoined {
		ann.join(fmt.Sprint(i), "ann")
	}
	for _, room := range []string{"new", "his"} {
		_, err := ann.tryJoin(room, "ann")
		if wantCode(t, "one room more", err, goverseapi.CodeResourceExhausted); err != nil && !strings.Contains(err.Error(), "100 rooms") {
			t.Errorf("the refusal is %v", err)
		}
		wantCode(t, "send there", ann.trySend(room, "", "hi"), goverseapi.CodeFailedPrecondition)
	}
	ann.send("", "in the last one")
	ann.join("7", "anna") // again
	ann.send("", "hi")
	if got := texts(ann.poll("7", 0)); len(got) != 1 || got[0] != "anna: hi" {
		t.Errorf("room 7 has %v", got)
	}
	bob.join("new", "bob") // another client may
	if n := len(bob.rooms()); n != maxJoined+2 {
		t.Errorf("%d rooms are listed", n)
	}
}

// TestFailedJoinsCount gives up on each join: the rooms may be there all the same.
func TestFailedJoinsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(w.Context(t.Context()))
	cancel()
	var c ChatClient
	join := func(ctx context.Context, room string) error {
		_, err := c.Join(ctx, &chat_pb.Client_JoinChatRoomRequest{RoomName: room, UserName: "ann"})
		return err
	}
	for i := range maxJoined {
		wantCode(t, "join in vain", join(ctx, fmt.Sprint(i)), goverseapi.CodeCanceled)
	}
	_, err := c.SendMessage(ctx, &chat_pb.Client_SendChatMessageRequest{RoomName: "7", Message: "hi"})
	wantCode(t, "send", err, goverseapi.CodeFailedPrecondition)
	wantCode(t, "one room more", join(w.Context(t.Context()), "new"), goverseapi.CodeResourceExhausted)
	if _, err := c.StayInRooms(ctx, &emptypb.Empty{}); err != nil { // nor does it call them to stay
		t.Error(err)
	}
	if err := join(w.Context(t.Context()), "7"); err != nil {
		t.Errorf("another attempt: %v", err)
	}
}
