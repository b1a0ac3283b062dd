package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// someRooms are so many that every server of a small cluster has some of them.
func someRooms() (names []string) {
	for i := range 24 {
		names = append(names, fmt.Sprintf("Room %02d", i))
	}
	return names
}

// leave stops the server, which hands its shards over.
func (w *world) leave() {
	w.t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		w.t.Fatalf("stop: %v", err)
	}
}

// takesRooms waits until the server has rooms that were elsewhere before; call calls all.
func (w *world) takesRooms(call func()) {
	w.t.Helper()
	w.until(func() bool {
		call()
		found, _ := w.log.find(restored, "")
		return len(found) > 0
	}, "the server gets no rooms")
}

func TestTwoServersAreOneChat(t *testing.T) {
	t.Parallel()
	cluster := rand.Text()
	one, two := newServer(t, cluster), newServer(t, cluster)
	for _, room := range someRooms() {
		ann, bob := one.member(room, "ann"), two.member(room, "bob")
		for _, g := range []*guest{ann, bob} {
			if !slices.Contains(g.rooms(), room) {
				t.Errorf("%s is not on the list once it is joined", room)
			}
		}
		ann.send("", "from one")
		if p := bob.pushed(); p.GetRoomName() != room || p.GetMessage().GetMessage() != "from one" {
			t.Errorf("bob was pushed %v", p)
		}
		bob.send("", "from two")
		if p := ann.pushed(); p.GetMessage().GetMessage() != "from two" || p.GetMessage().GetUserName() != "bob" {
			t.Errorf("ann was pushed %v", p)
		}
		for _, g := range []*guest{ann, bob} {
			if diff := cmp.Diff([]string{"ann: from one", "bob: from two"}, texts(g.poll("", 0))); diff != "" {
				t.Error(diff)
			}
			g.quiet()
		}
	}
}

// TestRoomsMoveWithAllTheyHave has servers come and go under a few members.
func TestRoomsMoveWithAllTheyHave(t *testing.T) {
	t.Parallel()
	cluster := rand.Text()
	one, two := newServer(t, cluster), newServer(t, cluster)
	rooms := someRooms()
	type pair struct{ ann, bob *guest }
	said := make(map[string][]string)
	members := make(map[string]pair)
	last := make(map[string]int64)
	chat := func(text string) {
		t.Helper()
		for _, room := range rooms {
			p := members[room]
			p.ann.send("", text)
			said[room] = append(said[room], "ann: "+text)
			if m := p.bob.pushed(); m.GetMessage().GetMessage() != text {
				t.Errorf("%s: bob was pushed %v, want %q", room, m, text)
			}
			all := p.bob.poll("", 0)
			if diff := cmp.Diff(said[room], texts(all)); diff != "" {
				t.Errorf("%s (-said +polled):\n%s", room, diff)
			}
			fresh := p.bob.poll("", last[room])
			if len(fresh) != 1 {
				t.Errorf("%s: polled %d messages after the newest, want one", room, len(fresh))
			}
			last[room] = newest(all, 0)
		}
		if diff := cmp.Diff(rooms, members[rooms[0]].ann.rooms()); diff != "" {
			t.Errorf("the list (-want +got):\n%s", diff)
		}
	}
	for _, room := range rooms {
		members[room] = pair{two.member(room, "ann"), two.member(room, "bob")}
	}
	poll := func() {
		for _, room := range rooms {
			members[room].bob.poll("", last[room])
		}
	}
	chat("both are there")
	one.leave()
	chat("one has left")
	three := newServer(t, cluster)
	chat("three comes")
	three.takesRooms(poll)
	chat("three has come")
	four := newServer(t, cluster)
	chat("four comes")
	four.takesRooms(poll)
	chat("four has come")
	three.leave()
	chat("three has left")
	four.leave()
	chat("two is alone again")
	for _, room := range rooms {
		members[room].ann.quiet()
		members[room].bob.quiet()
		joined := 0
		for _, w := range []*world{one, two, three, four} {
			found, _ := w.log.find("member joined", roomPrefix+room)
			joined += len(found)
		}
		if joined != 2 {
			t.Errorf("%s was joined %d times, want 2: it has lost its members in a move", room, joined)
		}
	}
}

// TestQuietRoomsKeepThemselvesOnTheList loses the list after rooms have moved that
// nobody has called since.
func TestQuietRoomsKeepThemselvesOnTheList(t *testing.T) {
	t.Parallel()
	cluster := rand.Text()
	one, two := newServer(t, cluster), newServer(t, cluster)
	ann := one.connect()
	for _, room := range someRooms() {
		ann.join(room, "ann")
	}
	_ = ann.Close()
	for _, room := range someRooms() {
		left := func() bool {
			here, _ := one.log.find("member left", roomPrefix+room)
			there, _ := two.log.find("member left", roomPrefix+room)
			return len(here)+len(there) > 0
		}
		two.until(left, "%s still has its member", room)
	}
	one.leave()
	bob := two.connect()
	if got := bob.rooms(); !slices.Equal(got, someRooms()) { // which makes the list look after them
		t.Errorf("the list has lost rooms in the move: %v", got)
	}
	for _, room := range someRooms() {
		here, _ := two.log.find("member joined", roomPrefix+room)
		back, _ := two.log.find(restored, roomPrefix+room)
		if len(here)+len(back) == 0 {
			two.wait(1, restored, roomPrefix+room)
		}
	}
	if err := two.DeleteObject(t.Context(), mgrID); err != nil {
		t.Fatal(err)
	}
	two.until(func() bool { return slices.Equal(bob.rooms(), someRooms()) }, "the rooms are not all on the list again")
	for _, room := range someRooms() {
		bob.join(room, "bob")
		bob.send("", "hello?")
		if got := texts(bob.poll("", 0)); !slices.Equal(got, []string{"bob: hello?"}) {
			t.Errorf("%s has %v", room, got)
		}
	}
}

// TestRoomsKeepTheirTimeInMoves has the clock of a room far ahead: it moves with it.
func TestRoomsKeepTheirTimeInMoves(t *testing.T) {
	t.Parallel()
	cluster := rand.Text()
	one, two := newServer(t, cluster), newServer(t, cluster)
	ahead := time.Now().Add(time.Hour).UnixMicro()
	last := make(map[string]int64)
	ann := two.connect()
	for _, room := range someRooms() {
		if _, err := one.CallObject(t.Context(), roomPrefix+room, "Join", &chat_pb.ChatRoom_JoinRequest{UserName: "x", Clock: ahead}); err != nil {
			t.Fatal(err)
		}
		ann.join(room, "ann")
		for range 3 {
			ann.send("", "an hour ahead")
		}
		last[room] = newest(ann.poll("", 0), 0)
		if last[room] <= ahead {
			t.Fatalf("the clock of %s was not set", room)
		}
	}
	one.leave()
	for _, room := range someRooms() {
		ann.send(room, "after the move")
		if got := texts(ann.poll(room, last[room])); !slices.Equal(got, []string{"ann: after the move"}) {
			t.Errorf("polled %v of %s", got, room)
		}
	}
}

// TestFullRoomsMove has rooms that are as large as they can be.
func TestFullRoomsMove(t *testing.T) {
	t.Parallel()
	cluster := rand.Text()
	one := newServer(t, cluster)
	ann := one.member("Full", "ann")
	text := strings.Repeat("t", maxText-4)
	for i := range maxHistory + 5 {
		ann.send("", fmt.Sprintf("%s%04d", text, i))
	}
	two := newServer(t, cluster)
	one.leave()
	bob := two.member("Full", "bob")
	after := int64(0)
	for i := 5; i < maxHistory+5; {
		page := bob.poll("", after)
		after = newest(page, after)
		if len(page) != maxPoll {
			t.Fatalf("polled %d messages", len(page))
		}
		for _, m := range page {
			if want := fmt.Sprintf("%s%04d", text, i); m.GetMessage() != want {
				t.Fatalf("message %d ends in %s", i, m.GetMessage()[maxText-4:])
			}
			i++
		}
	}
}

// TestMembersAreForgottenWithTheirServer stops the server that a member is connected to.
func TestMembersAreForgottenWithTheirServer(t *testing.T) {
	t.Parallel()
	cluster := rand.Text()
	one, two := newServer(t, cluster), newServer(t, cluster)
	ann := two.connect()
	for _, room := range someRooms() {
		one.member(room, "bob")
		ann.join(room, "ann")
	}
	one.leave()
	for _, room := range someRooms() {
		ann.send(room, "anybody there?")
		left := func() bool {
			here, _ := two.log.find("member left", roomPrefix+room)
			there, _ := one.log.find("member left", roomPrefix+room)
			return len(here)+len(there) == 1
		}
		two.until(left, "%s keeps a member who is gone", room)
	}
}
