package client

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// told is a sessionRequest as the generated code would have it.
func (r *sessionRequest) told() *client_pb.SessionRequest {
	out := &client_pb.SessionRequest{Hello: r.hello, Cancels: r.cancels, PushesTaken: r.pushes, RepliesTaken: r.replies, Close: r.close}
	for _, c := range r.calls {
		one := &client_pb.SessionCall{Number: c.number, Method: c.method, TimeoutMicros: c.micros}
		if c.url != "" || len(c.body) > 0 {
			one.Request = &anypb.Any{TypeUrl: c.url, Value: c.body}
		}
		for _, p := range c.metadata {
			if one.Metadata == nil {
				one.Metadata = map[string]string{}
			}
			one.Metadata[p.key] = p.value
		}
		out.Calls = append(out.Calls, one)
	}
	return out
}

// forget makes what does not matter alike: an empty Any is none, and so are unknown
// fields.
func forget(t *testing.T, m *client_pb.SessionRequest) {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err == nil {
		proto.Reset(m)
		err = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.GetCalls() {
		if body := c.GetRequest(); body.GetTypeUrl() == "" && len(body.GetValue()) == 0 {
			c.Request = nil
		}
	}
}

// FuzzSessionRequest compares the reader of requests with the generated code.
func FuzzSessionRequest(f *testing.F) {
	for _, m := range []*client_pb.SessionRequest{
		{},
		{Hello: &client_pb.SessionHello{ClientId: "id", Pushes: 1, Replies: 1 << 63, ResumeMicros: 9}, Close: true},
		{Cancels: []uint64{1, 300, 1 << 62}, PushesTaken: 5, RepliesTaken: 6},
		{Calls: []*client_pb.SessionCall{
			{Number: 1, Method: "Say", Request: &anypb.Any{TypeUrl: "a/b.C", Value: []byte("body")}, TimeoutMicros: 7, Metadata: map[string]string{"client-a": "b"}},
			{Number: 2, Request: &anypb.Any{}},
		}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x18\x05\x18\x06"))                 // cancels that are not packed
	f.Add([]byte("\x12\x00\x12\x04\x1a\x02\x0a\x00")) // empty parts
	f.Fuzz(func(t *testing.T, b []byte) {
		var got sessionRequest
		got.calls = append(got.calls, sessionCall{method: "of the message before"})
		var known names
		err := got.parse(b, &known)
		var want client_pb.SessionRequest
		if werr := proto.Unmarshal(b, &want); (err != nil) != (werr != nil) {
			t.Fatalf("parse: %v, the generated code: %v", err, werr)
		}
		if err != nil {
			return
		}
		forget(t, &want)
		if told := got.told(); !proto.Equal(told, &want) {
			t.Errorf("parse says      %v\nthe generated code %v", told, &want)
		}
	})
}

// What is written is what the generated code reads.
func TestWrittenResponses(t *testing.T) {
	t.Parallel()
	body, err := proto.Marshal(wrapperspb.String("hello"))
	if err != nil {
		t.Fatal(err)
	}
	refused := object.Refuse(object.CodeNotFound, "NoRoom", "call", "x", "y", "no room")
	log := outlog{most: 1 << 20}
	for _, ok := range []bool{
		appendAnswer(&log, 1, object.Reply{Message: "google.protobuf.StringValue", Body: body}, 1<<20),
		appendAnswer(&log, 300, object.Reply{Message: "google.protobuf.StringValue"}, 1<<20),
		!appendAnswer(&log, 5, object.Reply{Message: "x", Body: make([]byte, 100)}, 100),
	} {
		if !ok {
			t.Error("it fits, or does not, against all appearances")
		}
	}
	appendFailure(&log, 1<<40, refused)
	var out []byte
	for piece := log.take(); piece != nil; piece = log.take() {
		out = append(out, piece...)
	}
	out = appendReceived(out, 77)
	var got client_pb.SessionResponse
	if err := proto.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	st := grpcerr.ToStatus(refused).Proto()
	want := &client_pb.SessionResponse{CallsReceived: 77, Replies: []*client_pb.SessionReply{
		{Call: 1, Outcome: &client_pb.SessionReply_Response{Response: &anypb.Any{TypeUrl: typeURLPrefix + "google.protobuf.StringValue", Value: body}}},
		{Call: 300, Outcome: &client_pb.SessionReply_Response{Response: &anypb.Any{TypeUrl: typeURLPrefix + "google.protobuf.StringValue"}}},
		{Call: 1 << 40, Outcome: &client_pb.SessionReply_Error{Error: &client_pb.SessionError{Code: st.GetCode(), Message: st.GetMessage(), Details: st.GetDetails()}}},
	}}
	if !proto.Equal(&got, want) {
		t.Errorf("written: %v\nwant     %v", &got, want)
	}
}

// The limit of a reply is what its field takes, to the byte.
func TestReplyFitsToTheByte(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 50, 127, 128, 200, 16383, 16384, 1 << 20} {
		log := outlog{most: 1 << 20}
		reply := object.Reply{Message: "a.B", Body: []byte(strings.Repeat("x", n))}
		if !appendAnswer(&log, 9, reply, 1<<22) {
			t.Fatal("it does not fit at all")
		}
		exact := log.bytes
		if appendAnswer(&log, 9, reply, exact-1) || !appendAnswer(&log, 9, reply, exact) {
			t.Errorf("a reply of %d bytes does not take the %d that it is said to", n, exact)
		}
	}
}

func TestNamesAreKept(t *testing.T) {
	var n names
	word := []byte("Say")
	first := n.of(word)
	if testing.AllocsPerRun(100, func() { n.of(word) }) != 0 || first != "Say" {
		t.Error("a name that came before takes memory")
	}
	for i := range 100 {
		if s := strings.Repeat("x", i); n.of([]byte(s)) != s {
			t.Errorf("name %d is another", i)
		}
	}
}
