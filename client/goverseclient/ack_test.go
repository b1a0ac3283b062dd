package goverseclient_test

import (
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// A client that only listens acknowledges what it has taken: it may go on for ever.
func TestListenersAcknowledge(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, id := f.dial()
	const pushes = 5000
	for i := range pushes {
		if err := f.svc.Push(t.Context(), id, word(strconv.Itoa(i))); err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
		if msg := <-c.Pushes(); !isWord(msg, strconv.Itoa(i)) {
			t.Fatalf("push %d is %v", i, msg)
		}
	}
}

// welcomed is the first message of a server that allows that many calls.
func welcomed(calls uint32) *client_pb.SessionResponse {
	return &client_pb.SessionResponse{Welcome: &client_pb.SessionWelcome{ClientId: "id", MaxCalls: calls, MaxPushes: 1024, MaxPushBytes: 1 << 20}}
}

// After a burst of calls their replies are acknowledged, though no other call is made; and
// so are large ones.
func TestRepliesAreAcknowledged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ calls, size int }{"many": {16, 1}, "large": {1, 100_000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			acked := make(chan uint64, 1)
			c, _ := (&fixture{t: t, node: &echo{attached: closedChannel()}}).dialAt((&odd{session: func(s stream) error {
				if err := s.Send(welcomed(1024)); err != nil {
					return err
				}
				calls := 0
				for {
					in, err := s.Recv()
					if err != nil {
						return err
					}
					if n := in.GetRepliesTaken(); n == uint64(test.calls) && len(in.GetCalls()) == 0 {
						acked <- n
					}
					if calls += len(in.GetCalls()); calls == test.calls && len(in.GetCalls()) > 0 {
						out := &client_pb.SessionResponse{}
						for i := range calls {
							packed, err := anypb.New(word(strings.Repeat("x", test.size)))
							if err != nil {
								return err
							}
							out.Replies = append(out.Replies, &client_pb.SessionReply{Call: uint64(i) + 1, Outcome: &client_pb.SessionReply_Response{Response: packed}})
						}
						if err := s.Send(out); err != nil {
							return err
						}
					}
				}
			}}).start(t))
			done := make(chan error, test.calls)
			for range test.calls {
				go func() {
					_, err := c.Call(t.Context(), "Echo", nil)
					done <- err
				}()
			}
			for range test.calls {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			<-acked
		})
	}
}

// closedChannel is one from which an empty ID can always be received.
func closedChannel() chan string {
	c := make(chan string)
	close(c)
	return c
}
