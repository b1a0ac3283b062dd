package goverseclient

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
)

// told is a response as the generated code would have it.
func (r *response) told(t *testing.T) *client_pb.SessionResponse {
	t.Helper()
	out := &client_pb.SessionResponse{Welcome: r.welcome, CallsReceived: r.received}
	for _, one := range r.replies {
		reply := &client_pb.SessionReply{Call: one.call}
		switch {
		case one.ok:
			reply.Outcome = &client_pb.SessionReply_Response{Response: one.body.any()}
		case one.error != nil:
			var e client_pb.SessionError
			if err := proto.Unmarshal(one.error, &e); err != nil {
				t.Fatalf("the error does not decode, and the generated code does not mind: %v", err)
			}
			reply.Outcome = &client_pb.SessionReply_Error{Error: &e}
		}
		out.Replies = append(out.Replies, reply)
	}
	for _, p := range r.pushes {
		out.Pushes = append(out.Pushes, &client_pb.SessionPush{Offset: p.offset, Message: p.body.any()})
	}
	return out
}

// FuzzSessionResponse compares the reader of responses with the generated code: what that
// reads it reads alike. It minds less: what a string may be it leaves to who uses it.
func FuzzSessionResponse(f *testing.F) {
	body := &anypb.Any{TypeUrl: "a/b.C", Value: []byte("body")}
	for _, m := range []*client_pb.SessionResponse{
		{},
		{Welcome: &client_pb.SessionWelcome{ClientId: "id", Resumed: true, MaxCalls: 3}, CallsReceived: 1 << 63},
		{Replies: []*client_pb.SessionReply{
			{Call: 1, Outcome: &client_pb.SessionReply_Response{Response: body}},
			{Call: 2},
			{Call: 3, Outcome: &client_pb.SessionReply_Error{Error: &client_pb.SessionError{Code: 5, Message: "no", Details: []*anypb.Any{body}}}},
		}},
		{Pushes: []*client_pb.SessionPush{{Offset: 1, Message: body}, {Offset: 2, Message: &anypb.Any{}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x12\x08\x12\x02\x0a\x00\x1a\x02\x08\x05")) // two outcomes: the last counts
	f.Fuzz(func(t *testing.T, b []byte) {
		var got response
		var known names
		err := got.parse(b, &known)
		var want client_pb.SessionResponse
		if proto.Unmarshal(b, &want) != nil {
			return
		}
		if err != nil {
			t.Fatalf("parse: %v, and the generated code does not mind", err)
		}
		told := got.told(t)
		forget(t, told)
		forget(t, &want)
		if !proto.Equal(told, &want) {
			t.Errorf("parse says      %v\nthe generated code %v", told, &want)
		}
	})
}

// forget makes what does not matter alike: unknown fields, and a push without a message.
func forget(t *testing.T, m *client_pb.SessionResponse) {
	t.Helper()
	for _, p := range m.GetPushes() {
		if p.GetMessage() == nil {
			p.Message = &anypb.Any{}
		}
	}
	raw, err := proto.Marshal(m)
	if err == nil {
		proto.Reset(m)
		err = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What is written is what the generated code reads.
func TestWrittenRequests(t *testing.T) {
	t.Parallel()
	var s session
	s.init(0)
	s.limits = &client_pb.SessionWelcome{MaxCalls: 100}
	s.leg = &leg{}
	ask := func(method string, req proto.Message, pairs ...string) *call {
		body, err := appendCall(nil, method, req, pairs)
		if err != nil {
			t.Fatal(err)
		}
		c := &call{method: method, request: body, size: uint64(len(body) + callExtra), done: make(chan struct{}, 1)}
		s.queue = append(s.queue, c)
		return c
	}
	ask("One", nil)
	ask("Two", wrapperspb.String("word"), "client-a", "b", "client-c", "")
	ask("Three", wrapperspb.String("")).due = time.Now().Add(time.Hour)
	s.cancels = []uint64{7, 300}
	s.last, s.replies, s.taken, s.closing = 5, 5, 6, true
	read := func() *client_pb.SessionRequest {
		var got client_pb.SessionRequest
		if err := proto.Unmarshal(s.message().ReadOnlyData(), &got); err != nil {
			t.Fatal(err)
		}
		for _, c := range got.GetCalls() {
			if m := c.GetTimeoutMicros(); m > uint64(time.Hour/time.Microsecond) || c.GetMethod() == "Three" && m < 3e9 {
				t.Errorf("call %s may take %d microseconds", c.GetMethod(), m)
			}
			c.TimeoutMicros = 0
		}
		return &got
	}
	pack := func(msg proto.Message) *anypb.Any {
		packed, err := anypb.New(msg)
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	want := &client_pb.SessionRequest{
		Calls: []*client_pb.SessionCall{
			{Number: 6, Method: "One"},
			{Number: 7, Method: "Two", Request: pack(wrapperspb.String("word")), Metadata: map[string]string{"client-a": "b", "client-c": ""}},
			{Number: 8, Method: "Three", Request: pack(wrapperspb.String(""))},
		},
		Cancels: []uint64{7, 300}, RepliesTaken: 5, PushesTaken: 6, Close: true,
	}
	if got := read(); !proto.Equal(got, want) {
		t.Errorf("written: %v\nwant     %v", got, want)
	}
	// Again, on another stream: what nobody waits for any more is its number.
	s.written = 0
	s.sent[1].request, s.sent[1].state = nil, abandoned
	want = &client_pb.SessionRequest{Calls: []*client_pb.SessionCall{want.GetCalls()[0], {Number: 7}, want.GetCalls()[2]}, Close: true}
	if got := read(); !proto.Equal(got, want) {
		t.Errorf("written again: %v\nwant           %v", got, want)
	}
}
