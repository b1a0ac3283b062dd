package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	chat_pb "github.com/xiaonanln/goverse/samples/chat/proto"
)

// TestReconnect stops a real server and starts another on the same port.
func TestReconnect(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	ann, bob := startSession(t, testOptions(server.addr, "ann")), startSession(t, testOptions(server.addr, "bob"))
	ann.types("/join One", "/join Two", "/join One", "/join Two", "before", "/messages")
	ann.sees("1 message in Two")
	bob.types("/join One")
	bob.sees("joined One")

	server.stop()
	for _, s := range []*session{ann, bob} {
		s.sees("* connection lost, reconnecting…\n")
	}
	ann.types("meanwhile", "/list", "/join Three", "/help", "")
	ann.sees("! your message was not sent: the connection is lost; try again when it is back\n")
	ann.sees("! the connection is lost")
	ann.sees("! cannot join Three: the connection is lost")
	ann.sees("/quit")

	startServer(t, server.addr)
	ann.sees("* connected again, in One, Two\n")
	bob.sees("* connected again, in One\n")
	ann.types("/messages", "/join One", "after")
	ann.sees("* no messages in Two yet\n")
	bob.sees("] ann: after\n")
	bob.types("welcome back")
	ann.sees("] bob: welcome back\n")
	for _, s := range []*session{ann, bob} {
		_ = s.in.Close()
		if _, err := s.ends(); err != nil {
			t.Error(err)
		}
	}
}

// TestReconnectShowsWhatWasMissed breaks the connection to a server that lives on.
func TestReconnectShowsWhatWasMissed(t *testing.T) {
	t.Parallel()
	said := func(at int64, text string) *chat_pb.ChatMessage {
		return &chat_pb.ChatMessage{UserName: "bob", Message: text, Timestamp: at}
	}
	broken := make(chan struct{})
	var joins atomic.Int32
	fake := startFake(t, &fakeServer{
		register: func(attempt int, stream *fakeStream) error {
			if attempt > 0 {
				<-stream.Context().Done()
				return nil
			}
			if err := push(stream, &chat_pb.Client_MessagePush{RoomName: "General", Message: said(20, "pushed")}); err != nil {
				return err
			}
			<-broken
			return status.Error(codes.Unavailable, "gone")
		},
		call: func(context.Context, string, *anypb.Any) (proto.Message, error) {
			recent := []*chat_pb.ChatMessage{said(10, "old")}
			if joins.Add(1) > 1 {
				recent = append(recent, said(20, "pushed"), said(30, "missed"))
			}
			return &chat_pb.Client_JoinChatRoomResponse{RoomName: "General", RecentMessages: recent}, nil
		},
	})
	s := startSession(t, testOptions(fake.addr, "ann"))
	s.sees("bob: pushed")
	s.types("/join General")
	s.sees("bob: old")
	close(broken)
	s.sees("connected again, in General")
	_ = s.in.Close()
	out, err := s.ends()
	if err != nil {
		t.Error(err)
	}
	for text, want := range map[string]int{"bob: old": 1, "bob: pushed": 1, "bob: missed": 1, "#General": 1} {
		if got := strings.Count(out, text); got != want {
			t.Errorf("%q is shown %d times, want %d:\n%s", text, got, want, out)
		}
	}
}

// TestReconnectElsewhere stops one server after the other: the user goes round.
func TestReconnectElsewhere(t *testing.T) {
	t.Parallel()
	one, two := startServer(t, "localhost:0"), startServer(t, "localhost:0")
	ann := startSession(t, testOptions(one.addr+","+two.addr, "ann"))
	ann.sees("* connected to " + one.addr + " as ann")
	ann.types("/join One")
	ann.sees("joined One")
	one.stop()
	ann.sees("* connection lost, reconnecting…\n* connected again to " + two.addr + ", in One\n")
	bob := startSession(t, testOptions(two.addr, "bob"))
	bob.types("/join One", "hello")
	ann.sees("] bob: hello\n")
	startServer(t, one.addr)
	two.stop()
	ann.sees("* connection lost, reconnecting…\n* connected again to " + one.addr + ", in One\n")
}

// TestReconnectToTheNext breaks the connection to a server that lives on: the user goes
// to the other one all the same.
func TestReconnectToTheNext(t *testing.T) {
	t.Parallel()
	broken := make(chan struct{})
	breaks := func(attempt int, stream *fakeStream) error {
		if attempt > 0 {
			<-stream.Context().Done()
			return nil
		}
		<-broken
		return status.Error(codes.Unavailable, "gone")
	}
	one, two := startFake(t, &fakeServer{register: breaks}), startFake(t, &fakeServer{})
	s := startSession(t, testOptions(one.addr+","+two.addr, "ann"))
	s.sees("connected to " + one.addr)
	close(broken)
	s.sees("connected again to " + two.addr)
}

// TestRoomsThatRefuseAreLeft lets the server refuse a room after it came back.
func TestRoomsThatRefuseAreLeft(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	broken := make(chan struct{})
	fake := startFake(t, &fakeServer{
		register: func(attempt int, stream *fakeStream) error {
			if attempt > 0 {
				<-stream.Context().Done()
			}
			<-broken
			return status.Error(codes.Unavailable, "gone")
		},
		call: func(context.Context, string, *anypb.Any) (proto.Message, error) {
			if calls.Add(1) > 1 {
				return nil, status.Error(codes.ResourceExhausted, "there are too many rooms")
			}
			return &chat_pb.Client_JoinChatRoomResponse{RoomName: "General"}, nil
		},
	})
	s := startSession(t, testOptions(fake.addr, "ann"))
	s.types("/join General")
	s.sees("joined General")
	close(broken)
	s.sees("! cannot join General again: there are too many rooms\n* connected again\n")
	s.types("hello")
	s.sees("! you are not in a room")
}

func TestThrownOut(t *testing.T) {
	t.Parallel()
	fake := startFake(t, &fakeServer{register: func(int, *fakeStream) error {
		return status.Error(codes.Aborted, "the client's object was deleted")
	}})
	s := startSession(t, testOptions(fake.addr, "ann"))
	if out, err := s.ends(); err == nil || err.Error() != "the client's object was deleted" || strings.Contains(out, "reconnecting") {
		t.Errorf("ended with %v:\n%s", err, out)
	}
}

func TestTooSlowIsSaid(t *testing.T) {
	t.Parallel()
	fake := startFake(t, &fakeServer{register: func(attempt int, stream *fakeStream) error {
		if attempt > 0 {
			<-stream.Context().Done()
		}
		return status.Error(codes.ResourceExhausted, "the client does not read")
	}})
	s := startSession(t, testOptions(fake.addr, "ann"))
	s.sees("* connection lost because messages came faster than they were shown, reconnecting…\n* connected again\n")
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	fake := startFake(t, &fakeServer{call: func(ctx context.Context, method string, _ *anypb.Any) (proto.Message, error) {
		if method == "Join" {
			return &chat_pb.Client_JoinChatRoomResponse{RoomName: "General"}, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	opts := testOptions(fake.addr, "ann")
	opts.callTimeout = 50 * time.Millisecond
	s := startSession(t, opts)
	s.types("/join General")
	s.sees("* joined General")
	s.types("hello", "/list", "/quit")
	s.sees("! your message may not have been sent: the server has not answered within 50ms\n")
	s.sees("! the server has not answered within 50ms\n")
	if _, err := s.ends(); err != nil {
		t.Error(err)
	}
}

// TestQuitWhileReconnecting ends a client whose server never comes back.
func TestQuitWhileReconnecting(t *testing.T) {
	t.Parallel()
	server := startServer(t, "localhost:0")
	opts := testOptions(server.addr, "ann")
	opts.pause = backOff
	s := startSession(t, opts)
	s.sees("connected")
	server.stop()
	s.sees("reconnecting")
	s.types("/quit")
	if _, err := s.ends(); err != nil {
		t.Error(err)
	}
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	for attempt := range 100 {
		most := maxPause
		if attempt < 5 {
			most = firstPause << attempt
		}
		seen := map[time.Duration]bool{}
		for range 100 {
			pause := backOff(attempt)
			if pause > most || pause < most/2 {
				t.Fatalf("attempt %d waits %v, want %v to %v", attempt, pause, most/2, most)
			}
			seen[pause] = true
		}
		if len(seen) < 10 {
			t.Errorf("attempt %d has hardly any jitter: %v", attempt, seen)
		}
	}
}
