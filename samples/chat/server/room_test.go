package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xiaonanln/goverse/goverseapi"
	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

func TestMessagesReachHistoryAndTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, bob, eve := w.member("General", "ann"), w.member("General", "bob"), w.member("Other", "eve")
	ann.send("General", "hello")
	bob.send("", "hi ann")

	push := bob.pushed()
	if push.GetRoomName() != "General" || push.GetMessage().GetUserName() != "ann" || push.GetMessage().GetMessage() != "hello" {
		t.Errorf("bob was pushed %v", push)
	}
	if back := ann.pushed(); back.GetMessage().GetMessage() != "hi ann" {
		t.Errorf("ann was pushed %v", back)
	}
	history := ann.poll("", 0)
	if diff := cmp.Diff([]string{"ann: hello", "bob: hi ann"}, texts(history)); diff != "" {
		t.Error(diff)
	}
	if history[0].GetTimestamp() != push.GetMessage().GetTimestamp() {
		t.Errorf("pushed with timestamp %d, polled with %d", push.GetMessage().GetTimestamp(), history[0].GetTimestamp())
	}
	if late := bob.poll("General", newest(history, 0)); len(late) != 0 {
		t.Errorf("polled again: %v", late)
	}
	if from := bob.poll("General", -1); len(from) != 2 {
		t.Errorf("a negative timestamp answers %d messages", len(from))
	}
	for _, g := range []*guest{ann, bob, eve} {
		g.quiet()
	}
}

func TestJoinAnswersTheNewestFifty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("General", "ann")
	for i := range maxRecent + 5 {
		ann.send("", fmt.Sprint(i))
	}
	recent := w.connect().join("General", "bob")
	if len(recent) != maxRecent || recent[0].GetMessage() != "5" || recent[maxRecent-1].GetMessage() != "54" {
		t.Errorf("joined with %d messages: %v", len(recent), texts(recent))
	}
	if again := ann.join("General", "ann"); len(again) != maxRecent {
		t.Errorf("joined again with %d messages", len(again))
	}
}

func TestRoomKeepsItsNewestThousand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("General", "ann")
	var want []string
	for i := range maxHistory + 25 {
		ann.send("", fmt.Sprint(i))
		if i >= 25 {
			want = append(want, fmt.Sprintf("ann: %d", i))
		}
	}
	var got []string
	var pages []int
	for after := int64(0); ; {
		page := ann.poll("", after)
		if len(page) == 0 {
			break
		}
		pages, got, after = append(pages, len(page)), append(got, texts(page)...), newest(page, after)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(pages, []int{200, 200, 200, 200, 200}) {
		t.Errorf("pages of %v messages", pages)
	}
}

// TestPollersMissAndRepeatNothing lets eight clients speak at once while others poll.
func TestPollersMissAndRepeatNothing(t *testing.T) {
	t.Parallel()
	const speakers, each, pollers = 8, 100, 3
	w := newWorld(t)
	reader := w.member("General", "reader")
	var wg sync.WaitGroup
	for s := range speakers {
		speaker := w.member("General", fmt.Sprintf("s%d", s))
		go func() { // so that it is not disconnected as too slow
			for range speaker.Pushes() {
			}
		}()
		wg.Go(func() {
			for i := range each {
				if err := speaker.trySend("", "", fmt.Sprint(i)); err != nil {
					t.Errorf("send: %v", err)
					return
				}
			}
		})
	}
	polled := make([][]*chat_pb.ChatMessage, pollers)
	for p := range pollers {
		g := w.member("General", "poller")
		go func() {
			for range g.Pushes() {
			}
		}()
		wg.Go(func() {
			for after := int64(0); len(polled[p]) < speakers*each; {
				page, err := g.tryPoll("", after)
				if err != nil {
					t.Errorf("poll: %v", err)
					return
				}
				polled[p], after = append(polled[p], page...), newest(page, after)
			}
		})
	}
	pushed := make([]*chat_pb.ChatMessage, 0, speakers*each)
	for range speakers * each {
		pushed = append(pushed, reader.pushed().GetMessage())
	}
	wg.Wait()
	for p := range pollers {
		if diff := cmp.Diff(stamped(pushed), stamped(polled[p])); diff != "" {
			t.Errorf("poller %d and the pushed differ:\n%s", p, diff)
		}
	}
	checkOrder(t, pushed, each)
	reader.quiet()
}

// stamped are messages as comparable values.
func stamped(messages []*chat_pb.ChatMessage) []string {
	var all []string
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%d %s %s", m.GetTimestamp(), m.GetUserName(), m.GetMessage()))
	}
	return all
}

// checkOrder wants increasing timestamps, and 0, 1, 2, … from every speaker.
func checkOrder(t *testing.T, messages []*chat_pb.ChatMessage, each int) {
	t.Helper()
	next := make(map[string]int)
	last := int64(0)
	for _, m := range messages {
		if m.GetTimestamp() <= last {
			t.Fatalf("timestamp %d follows %d", m.GetTimestamp(), last)
		}
		last = m.GetTimestamp()
		if m.GetMessage() != fmt.Sprint(next[m.GetUserName()]) {
			t.Fatalf("%s said %s, want %d", m.GetUserName(), m.GetMessage(), next[m.GetUserName()])
		}
		next[m.GetUserName()]++
	}
	for name, n := range next {
		if n != each {
			t.Errorf("%s was heard %d times, want %d", name, n, each)
		}
	}
}

func TestTwoRoomsAndTheCurrentOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.member("One", "ann")
	ann.join("Two", "anna")
	one, two := w.member("One", "bob"), w.member("Two", "bob")

	ann.send("", "to the current room")
	ann.send("One", "to the other")
	ann.join("One", "ann")
	ann.send("", "back in the first")

	if p := two.pushed(); p.GetRoomName() != "Two" || p.GetMessage().GetUserName() != "anna" || p.GetMessage().GetMessage() != "to the current room" {
		t.Errorf("Two was pushed %v", p)
	}
	for _, want := range []string{"to the other", "back in the first"} {
		if p := one.pushed(); p.GetRoomName() != "One" || p.GetMessage().GetUserName() != "ann" || p.GetMessage().GetMessage() != want {
			t.Errorf("One was pushed %v, want %q", p, want)
		}
	}
	if diff := cmp.Diff([]string{"anna: to the current room"}, texts(ann.poll("Two", 0))); diff != "" {
		t.Error(diff)
	}
	for _, g := range []*guest{ann, one, two} {
		g.quiet()
	}
}

func TestNamesAreFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.member("General", "ann"), w.member("General", "ann")
	first.send("", "one")
	second.send("", "two")
	if p := first.pushed(); p.GetMessage().GetMessage() != "two" || p.GetMessage().GetUserName() != "ann" {
		t.Errorf("first was pushed %v", p)
	}
	if p := second.pushed(); p.GetMessage().GetMessage() != "one" {
		t.Errorf("second was pushed %v", p)
	}
	first.join("General", "anna") // joining again changes the name, and nothing else
	first.send("", "three")
	wantCode(t, "the old name", first.trySend("", "ann", "four"), goverseapi.CodeInvalidArgument)
	if err := first.trySend("", "anna", "four"); err != nil {
		t.Errorf("the new name: %v", err)
	}
	want := []string{"ann: one", "ann: two", "anna: three", "anna: four"}
	if diff := cmp.Diff(want, texts(second.poll("", 0))); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const bad, not = goverseapi.CodeInvalidArgument, goverseapi.CodeFailedPrecondition
	w := newWorld(t)
	fresh := w.connect()
	wantCode(t, "send before any join", fresh.trySend("", "", "hi"), not)
	wantCode(t, "send as somebody before any join", fresh.trySend("", "ann", "hi"), not)
	_, err := fresh.tryPoll("", 0)
	wantCode(t, "poll before any join", err, not)

	ann := w.member("General", "ann")
	w.member("Other", "bob")
	wantCode(t, "send to a room not joined", ann.trySend("Other", "", "hi"), not)
	wantCode(t, "send to a room that is not", ann.trySend("Nowhere", "", "hi"), not)
	_, err = ann.tryPoll("Other", 0)
	wantCode(t, "poll a room not joined", err, not)
	if rooms := ann.rooms(); !slices.Equal(rooms, []string{"General", "Other"}) {
		t.Errorf("the refused calls made rooms: %v", rooms)
	}

	for _, name := range []string{"a/b", "/", "a\x00", "a\n", "\x1b[31m", "\x7f", "\u0085", strings.Repeat("x", maxRoomName+1), strings.Repeat("ü", maxRoomName/2+1)} {
		_, err := ann.tryJoin(name, "ann")
		wantCode(t, fmt.Sprintf("join %q", name), err, bad)
		wantCode(t, fmt.Sprintf("send to %q", name), ann.trySend(name, "", "hi"), bad)
		_, err = ann.tryPoll(name, 0)
		wantCode(t, fmt.Sprintf("poll %q", name), err, bad)
	}
	_, err = ann.tryJoin("", "ann")
	wantCode(t, "join no room", err, bad)
	for _, name := range []string{"", strings.Repeat("x", maxUserName+1)} {
		_, err := ann.tryJoin("General", name)
		wantCode(t, fmt.Sprintf("join as %q", name), err, bad)
	}
	wantCode(t, "another name", ann.trySend("", "bob", "hi"), bad)
	wantCode(t, "a long name, not joined", ann.trySend("Other", strings.Repeat("x", maxUserName+1), "hi"), bad)
	wantCode(t, "no text", ann.trySend("", "", ""), bad)
	wantCode(t, "no text, not joined", ann.trySend("Other", "", ""), bad)
	wantCode(t, "a long text", ann.trySend("", "", strings.Repeat("x", maxText+1)), bad)
	if got := ann.poll("", 0); len(got) != 0 {
		t.Errorf("refused messages are in the history: %v", texts(got))
	}
}

func TestNamesAndTextsAtTheirLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name, text := strings.Repeat("n", maxUserName), strings.Repeat("t", maxText)
	rooms := []string{strings.Repeat("r", maxRoomName), "-", " ", "..", "Ünïcode 房间 🎉", "a-b-c", "ChatRoom-x", "'; DROP"}
	ann := w.connect()
	for _, room := range rooms {
		ann.join(room, name)
		ann.send("", text)
		ann.send(room, "x")
		if got := ann.poll(room, 0); len(got) != 2 || got[0].GetMessage() != text || got[0].GetUserName() != name {
			t.Errorf("room %q has %v", room, got)
		}
	}
	slices.Sort(rooms)
	if diff := cmp.Diff(rooms, ann.rooms()); diff != "" {
		t.Error(diff)
	}
}

// TestRoomsStayAndPollsRunTogether looks at how the types are registered.
func TestRoomsStayAndPollsRunTogether(t *testing.T) {
	t.Parallel()
	types := goverseapi.NewRegistry()
	err := errors.Join(types.RegisterObjectType((*ChatRoom)(nil), roomOptions()...), types.RegisterObjectType((*ChatRoomMgr)(nil), mgrOptions()...))
	if err != nil {
		t.Fatal(err)
	}
	room, mgr := types.Lookup("ChatRoom"), types.Lookup("ChatRoomMgr")
	if room.IdleTimeout >= 0 || mgr.IdleTimeout >= 0 {
		t.Errorf("idle timeouts are %v and %v: what is kept in memory only would be forgotten", room.IdleTimeout, mgr.IdleTimeout)
	}
	for name, want := range map[string]goverseapi.Mode{"GetRecentMessages": goverseapi.ReadOnly, "SendMessage": goverseapi.Sequential, "Join": goverseapi.Sequential} {
		if got := room.Method(name).Mode; got != want {
			t.Errorf("mode of %s is %v, want %v", name, got, want)
		}
	}
}
