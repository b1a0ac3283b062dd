package client_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// A client that breaks the protocol loses its session, at once, and harms nobody else.
func TestWhoBreaksTheProtocolGoes(t *testing.T) {
	type req = client_pb.SessionRequest
	call := func(number uint64) *client_pb.SessionCall {
		return &client_pb.SessionCall{Number: number, Method: "Block"}
	}
	many := &req{}
	for i := range uint64(11) {
		many.Calls = append(many.Calls, call(i+2))
	}
	f := start(t, withLimits(client.Limits{Calls: 10}))
	block, _, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	other := f.begin()
	for name, bad := range map[string]proto.Message{
		"number zero":        &req{Calls: []*client_pb.SessionCall{call(0)}},
		"gap":                &req{Calls: []*client_pb.SessionCall{call(2), call(4)}},
		"number again":       &req{Calls: []*client_pb.SessionCall{call(2), call(2)}},
		"earlier number":     &req{Calls: []*client_pb.SessionCall{call(1)}},
		"jump":               &req{Calls: []*client_pb.SessionCall{call(1 << 63)}},
		"largest number":     &req{Calls: []*client_pb.SessionCall{call(math.MaxUint64)}},
		"too many calls":     many,
		"cancel of none":     &req{Cancels: []uint64{2}},
		"cancel of zero":     &req{Cancels: []uint64{0}},
		"reply not sent":     &req{RepliesTaken: 2},
		"all replies":        &req{RepliesTaken: math.MaxUint64},
		"push not sent":      &req{PushesTaken: 4},
		"all pushes":         &req{PushesTaken: 1 << 63},
		"fewer pushes":       &req{PushesTaken: 1},
		"second hello":       &req{Hello: &client_pb.SessionHello{}},
		"second resume":      &req{Hello: &client_pb.SessionHello{ClientId: "nobody"}},
		"not UTF-8":          raw("\x12\x05\x08\x02\x12\x01\xff"),
		"garbage":            raw("\x12\x7f"),
		"garbage in a call":  raw("\x12\x02\x0a\x7f"),
		"garbage in cancels": raw("\x1a\x01\xff"),
		"other wire format":  raw(strings.Repeat("\xff", 100)),
		"too large":          raw("\x7a" + string([]byte{0x80, 0x80, 0x80, 0x02}) + strings.Repeat("x", 4<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			s := f.begin()
			for range 3 {
				if err := f.svc.Push(t.Context(), s.object, wrapperspb.String("x")); err != nil {
					t.Error(err)
				}
			}
			s.awaitPushes(3)
			s.send(&req{PushesTaken: 2})
			if err := s.stream.(interface{ SendMsg(any) error }).SendMsg(bad); err != nil {
				t.Logf("send: %v", err)
			}
			err := s.end()
			if name == "too large" { // gRPC says so itself
				if e := object.FromError(err); object.CodeOf(e) == object.CodeOK {
					t.Errorf("it ends with %v", err)
				}
			} else {
				expect(t, err, object.ErrInvalidArgument, object.ExecutedNo)
			}
			if why := f.node.awaitLeft(s.object); why != object.DisconnectKicked {
				t.Errorf("left as %v", why)
			}
			n := f.talk()
			n.send(&req{Hello: &client_pb.SessionHello{ClientId: s.welcome.GetClientId()}})
			expect(t, n.end(), object.ErrUnauthenticated, object.ExecutedNo)
		})
	}
	other.alive()
}

// raw is bytes as a message: unknown fields, or what does not decode.
func raw(b string) proto.Message {
	m := &client_pb.SessionRequest{}
	m.ProtoReflect().SetUnknown([]byte(b))
	return m
}

// What a first message may not be.
func TestBadHellos(t *testing.T) {
	f := start(t, withLimits(client.Limits{Handshake: 50 * time.Millisecond}))
	other := f.begin()
	for name, bad := range map[string]*client_pb.SessionRequest{
		"none":            {},
		"a call":          {Calls: []*client_pb.SessionCall{{Number: 1, Method: "Who"}}},
		"close":           {Close: true},
		"taken pushes":    {Hello: &client_pb.SessionHello{Pushes: 1}},
		"taken replies":   {Hello: &client_pb.SessionHello{Replies: 1}},
		"ahead":           {Hello: &client_pb.SessionHello{ClientId: "id", Pushes: 100, Replies: 1}},
		"less than taken": {Hello: &client_pb.SessionHello{ClientId: "id", Replies: 0}},
		"silence":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := f.begin()
			s.send(&client_pb.SessionRequest{RepliesTaken: 1})
			s.alive()
			n := f.talk()
			if bad.GetHello().GetClientId() != "" {
				bad.Hello.ClientId = s.welcome.GetClientId()
			}
			if bad != nil {
				n.send(bad)
			}
			expect(t, n.end(), object.ErrInvalidArgument, object.ExecutedNo)
			if bad.GetHello().GetClientId() != "" { // who knows the secret is the client
				expect(t, s.end(), object.ErrInvalidArgument, object.ExecutedNo)
			}
		})
	}
	other.alive()
}

// A client that takes no pushes goes, whether its stream is there or not, and what waits
// for it is bounded until then.
func TestSessionThatTakesNoPushes(t *testing.T) {
	t.Parallel()
	for _, attached := range []bool{true, false} {
		for _, size := range []int{1, 10 << 10, 3 << 20} {
			t.Run(fmt.Sprintf("%d bytes, attached %v", size, attached), func(t *testing.T) {
				t.Parallel()
				f := start(t)
				slow, other := f.begin(), f.begin()
				if !attached {
					slow.cut()
					f.detached(slow)
				}
				msg := wrapperspb.String(strings.Repeat("x", size))
				pushed, err := 0, error(nil)
				for err == nil {
					if err = f.svc.Push(t.Context(), slow.object, msg); err == nil {
						pushed++
					}
				}
				expect(t, err, object.ErrResourceExhausted, object.ExecutedNo)
				if why := f.node.awaitLeft(slow.object); why != object.DisconnectTooSlow {
					t.Errorf("left as %v", why)
				}
				if attached {
					expect(t, slow.end(), object.ErrResourceExhausted, object.ExecutedUnknown)
				}
				if pushed < 2 || pushed > client.DefaultQueueMessages+1 || (pushed-2)*size > client.DefaultQueueBytes {
					t.Errorf("%d messages of %d bytes waited", pushed, size)
				}
				other.alive()
			})
		}
	}
}

// A client that acknowledges no replies, or does not read them, is given no more than it
// may leave.
func TestSessionThatAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{ReplyBytes: 1 << 20, Calls: 100}))
	s, other := f.begin(), f.begin()
	big := strings.Repeat("x", 300<<10)
	for range 6 {
		s.call("Echo", big)
		s.reply(s.last)
	}
	for i, r := range s.replies[1:] {
		if i < 3 {
			if got := s.text(r); got != big {
				t.Errorf("reply %d has %d bytes", i, len(got))
			}
			continue
		}
		expect(t, failure(r), object.ErrResourceExhausted, object.ExecutedYes)
	}
	s.send(&client_pb.SessionRequest{RepliesTaken: uint64(len(s.replies))})
	s.call("Echo", big)
	if got := s.text(s.reply(s.last)); got != big {
		t.Errorf("after an acknowledgement a reply has %d bytes", len(got))
	}
	other.alive()
}

// Calls that run bound the memory of their requests.
func TestCallBytes(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{CallBytes: 1 << 20}))
	block, running, release := blocking()
	defer release()
	f.node.methods["Block"] = block
	s := f.begin()
	big := strings.Repeat("x", 2<<20)
	s.call("Block", big) // one may always
	<-running
	s.call("Block", "x")
	r := s.reply(s.last)
	expect(t, failure(r), object.ErrOverloaded, object.ExecutedNo)
	release()
	if got := s.text(s.reply(2)); got != "released" {
		t.Errorf("it answers %q", got)
	}
	s.call("Echo", big)
	if got := s.text(s.reply(s.last)); got != big {
		t.Errorf("afterwards a call answers %d bytes", len(got))
	}
}

// The largest messages, and those that are too large.
func TestSessionMessageSizes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.methods["Blow"] = func(_ context.Context, _, req string) (string, error) {
		return strings.Repeat("x", map[string]int{"fits": client.DefaultMessageBytes - 100, "large": client.DefaultMessageBytes - 20}[req]), nil
	}
	s := f.begin()
	s.call("Blow", "fits")
	if got := s.text(s.reply(s.last)); len(got) != client.DefaultMessageBytes-100 {
		t.Errorf("%d bytes", len(got))
	}
	s.call("Blow", "large")
	expect(t, failure(s.reply(s.last)), object.ErrResourceExhausted, object.ExecutedYes)
	push := func(n int) error { return f.svc.Push(t.Context(), s.object, wrapperspb.String(strings.Repeat("x", n))) }
	expect(t, push(client.DefaultMessageBytes-60), object.ErrInvalidArgument, object.ExecutedNo) // it would do for a Register stream
	if err := push(client.DefaultMessageBytes - 100); err != nil {
		t.Error(err)
	}
	s.awaitPushes(1)
}

// A client that opens sessions and drops them leaves no more than the limit, those that
// were used last; who is connected is not harmed.
func TestDroppedSessionsAreBounded(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Detached: 10, Resume: time.Hour}))
	other := f.begin()
	worthy := f.begin() // has called
	worthy.cut()
	f.detached(worthy)
	conn := f.dial(f.addr)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		str, err := client_pb.NewClientServiceClient(conn).Session(ctx)
		if err == nil {
			err = str.Send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{}})
		}
		if err == nil {
			_, err = str.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	until(t, "the others are gone", func() bool { return f.svc.Clients() == 11 && f.svc.Waiting() == 10 })
	other.alive()
	n := worthy.resume()
	n.alive()
	// Those who call and drop push out each other, the oldest first.
	var last *talker
	for range 20 {
		last = f.begin()
		last.cut()
		f.detached(last)
	}
	until(t, "the others are gone", func() bool { return f.svc.Clients() == 12 && f.svc.Waiting() == 10 })
	last.resume().alive()
}

// Sessions that wait for their clients make room for clients that come.
func TestWaitingSessionsMakeRoom(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Clients: 2, Resume: time.Hour}))
	a, b := f.begin(), f.begin()
	refused := f.talk()
	refused.send(&client_pb.SessionRequest{Hello: &client_pb.SessionHello{}})
	expect(t, refused.end(), object.ErrResourceExhausted, object.ExecutedNo)
	a.cut()
	f.detached(a)
	c := f.begin()
	if why := f.node.awaitLeft(a.object); why != object.DisconnectLost {
		t.Errorf("left as %v", why)
	}
	b.alive()
	c.alive()
}

// The memory of clients that read nothing and acknowledge nothing is what the limits
// allow, however much they call. Not parallel: it measures the process.
func TestMemoryOfHostileSessions(t *testing.T) {
	const clients, calls, size = 10, 1000, 16 << 10
	f := start(t, withLimits(client.Limits{ReplyBytes: 256 << 10, Resume: time.Hour}))
	f.node.methods["Forget"] = func(context.Context, string, string) (string, error) { return strings.Repeat("x", size), nil }
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range clients {
		s := f.talk()
		in := &client_pb.SessionRequest{Hello: &client_pb.SessionHello{}}
		for i := range uint64(calls) {
			in.Calls = append(in.Calls, &client_pb.SessionCall{Number: i + 1, Method: "Forget"})
		}
		s.send(in)
	}
	until(t, "all calls ran", func() bool {
		f.node.mu.Lock()
		defer f.node.mu.Unlock()
		for _, running := range f.node.objects {
			if running > 0 {
				return false
			}
		}
		return len(f.node.accepted) == clients*calls
	})
	runtime.GC() // what pools keep goes with the second one
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int(after.HeapAlloc) - int(before.HeapAlloc)) / clients
	t.Logf("%d bytes for each client, of whose replies there are %d", each, calls*size)
	// The replies that are kept, the errors instead of the others, what gRPC has of both
	// sides, and what the fake node remembers.
	if each > calls*size/2 {
		t.Errorf("%d bytes for each client", each)
	}
}

// What sessions without a stream keep is bounded together: those that keep much go, and
// not the others.
func TestWhatWaitingSessionsKeep(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{DetachedBytes: 4 << 20, Resume: time.Hour}))
	modest := f.begin()
	modest.cut()
	f.detached(modest)
	greedy := make([]*talker, 10)
	for i := range greedy {
		greedy[i] = f.begin()
		greedy[i].call("Echo", strings.Repeat("x", 1<<20))
		greedy[i].reply(2) // and does not acknowledge it
		greedy[i].cut()
		f.detached(greedy[i])
		until(t, "not too much is kept", func() bool { return f.svc.Kept() <= 4<<20 }) // who goes does so next
	}
	until(t, "some are gone", func() bool { return f.svc.Clients() <= 4 })
	if err := f.svc.Push(t.Context(), modest.object, wrapperspb.String("still here")); err != nil {
		t.Error(err)
	}
	n := modest.resume()
	n.awaitPushes(1)
	greedy[0].resume() // was there first
	if kept := f.svc.Kept(); kept < 2<<20 || kept > 3<<20 {
		t.Errorf("%d bytes are kept for two of them", kept)
	}
	f.svc.LoseAll()
	until(t, "nothing is kept", func() bool { return f.svc.Kept() == 0 })
}
