package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	if err := join(w.Context(t.Context()), "7"); err != nil {
		t.Errorf("another attempt: %v", err)
	}
}
