package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// fakeRoom is the one room of a fakeServer: it answers as a real one does, to a user ann
// whose connection breaks when a test says so.
type fakeRoom struct {
	*fakeServer

	broken chan struct{}

	mu      sync.Mutex
	history []*chat_pb.ChatMessage // guarded by mu
	fails   map[string]int         // guarded by mu: by method, how many calls of it work before one fails
}

func startRoom(t *testing.T) *fakeRoom {
	t.Helper()
	r := &fakeRoom{broken: make(chan struct{}), fails: map[string]int{}}
	r.fakeServer = startFake(t, &fakeServer{register: r.register, call: r.answerCall})
	return r
}

// register ends the first stream when the connection is to break; the next one is pushed
// the newest message at once, which its Join answers as well.
func (r *fakeRoom) register(attempt int, stream *fakeStream) error {
	if attempt == 0 {
		<-r.broken
		return status.Error(codes.Unavailable, "gone")
	}
	r.mu.Lock()
	newest := r.history[len(r.history)-1]
	r.mu.Unlock()
	if err := push(stream, &chat_pb.Client_MessagePush{RoomName: "General", Message: newest}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (r *fakeRoom) say(user, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, &chat_pb.ChatMessage{UserName: user, Message: text, Timestamp: int64(len(r.history) + 1)})
}

func (r *fakeRoom) answerCall(_ context.Context, method string, packed *anypb.Any) (proto.Message, error) {
	req, err := packed.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	if send, ok := req.(*chat_pb.Client_SendChatMessageRequest); ok {
		r.say("ann", send.GetMessage())
		if strings.HasPrefix(send.GetMessage(), "unsure") {
			return nil, status.Error(codes.Internal, "broken")
		}
		return &chat_pb.Client_SendChatMessageResponse{}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if left, ok := r.fails[method]; ok {
		if left == 0 {
			return nil, status.Error(codes.Internal, "broken")
		}
		r.fails[method]--
	}
	switch req := req.(type) {
	case *chat_pb.Client_JoinChatRoomRequest:
		recent := r.history[max(0, len(r.history)-50):]
		return &chat_pb.Client_JoinChatRoomResponse{RoomName: "General", RecentMessages: recent}, nil
	case *chat_pb.Client_GetRecentMessagesRequest:
		if req.GetRoomName() != "General" {
			return nil, status.Error(codes.FailedPrecondition, "not joined")
		}
		kept := r.history[max(0, len(r.history)-keptInRoom):]
		for len(kept) > 0 && kept[0].GetTimestamp() <= req.GetAfterTimestamp() {
			kept = kept[1:]
		}
		return &chat_pb.Client_GetRecentMessagesResponse{Messages: kept[:min(200, len(kept))]}, nil
	}
	return nil, status.Error(codes.Unimplemented, method)
}

// breakOff has bob say n messages while ann is away, and returns what ann sees of them until
// she quits.
func (r *fakeRoom) breakOff(t *testing.T, ann *session, n int) string {
	t.Helper()
	ann.sees("/quit") // the answer to /help: all lines before are done
	for i := range n {
		r.say("bob", fmt.Sprintf("missed %d.", i))
	}
	close(r.broken)
	ann.sees("connected again, in General")
	_ = ann.in.Close()
	out, err := ann.ends()
	if err != nil {
		t.Error(err)
	}
	_, out, _ = strings.Cut(out, "connection lost")
	return out
}

// After a reconnection everything that others said meanwhile is shown once, in its order,
// or the newest of it and how much there was; own messages are not, unless nobody knew
// whether they were sent.
func TestMissedMessages(t *testing.T) {
	t.Parallel()
	for n, notice := range map[int]string{
		1: "", 45: "", 49: "", 50: "", 80: "", 199: "",
		200:  "* you have missed 201 messages in General; the newest 200:\n", // with the one that may not have been sent
		950:  "* you have missed 951 messages in General; the newest 200:\n",
		1200: "* you have missed at least 1000 messages in General; the newest 200:\n",
	} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			r := startRoom(t)
			r.say("bob", "old")
			ann := startSession(t, testOptions(r.addr, "ann"))
			ann.types("/join General", "mine 1", "/messages", "mine 2", "mine 2", "unsure", "mine 3", "/help")
			out := r.breakOff(t, ann, n)
			if shown := min(n, shownMissed); strings.Count(out, "bob: missed") != shown {
				t.Errorf("%d missed messages are shown, want %d", strings.Count(out, "bob: missed"), shown)
			}
			rest := out
			for i := max(0, n-shownMissed); i < n; i++ {
				_, after, ok := strings.Cut(rest, fmt.Sprintf("bob: missed %d.\n", i))
				if !ok {
					t.Fatalf("missed %d is not shown in its place", i)
				}
				rest = after
			}
			if got := strings.Count(out, "ann: unsure"); got != min(1, max(0, shownMissed-n)) {
				t.Errorf("what may not have been sent is shown %d times", got)
			}
			if strings.Contains(out, "mine") || strings.Contains(out, "bob: old") {
				t.Errorf("known messages are shown again")
			}
			if strings.Contains(out, "you have missed") != (notice != "") || !strings.Contains(out, notice) {
				t.Errorf("want %q", notice)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// A server that fails while the missed messages are asked for: the user is told, and sees
// what there is.
func TestMissedMessagesThatCannotBeHad(t *testing.T) {
	t.Parallel()
	r := startRoom(t)
	r.say("bob", "old")
	r.fails["GetRecentMessages"] = 1
	ann := startSession(t, testOptions(r.addr, "ann"))
	ann.types("/join General", "/help")
	out := r.breakOff(t, ann, 300)
	if !strings.Contains(out, "you have missed at least 250 messages") {
		t.Error("it is not told how much there was")
	}
	if !strings.Contains(out, "! cannot show all that was said in General meanwhile: the server has failed") {
		t.Error("the user is not told")
	}
	for _, i := range []int{199, 250, 299} {
		if got := strings.Count(out, fmt.Sprintf("bob: missed %d.\n", i)); got != 1 {
			t.Errorf("missed %d is shown %d times", i, got)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// Names need not be unique: what a namesake says is not the user's own, although the user
// has said the same before, and has seen it.
func TestMissedMessagesOfANamesake(t *testing.T) {
	t.Parallel()
	for _, look := range []string{"/messages", "/join General"} {
		r := startRoom(t)
		ann := startSession(t, testOptions(r.addr, "ann"))
		ann.types("/join General", "hello", look, "/help")
		ann.sees("/quit")
		r.say("ann", "hello")
		r.say("bob", "this one is pushed as well")
		close(r.broken)
		ann.sees("connected again")
		_ = ann.in.Close()
		out, err := ann.ends()
		if _, missed, _ := strings.Cut(out, "connection lost"); err != nil || strings.Count(missed, "ann: hello") != 1 {
			t.Errorf("after %s: %v\n%s", look, err, out)
		}
	}
}
