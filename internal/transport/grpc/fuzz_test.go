package grpc

import (
	"bytes"
	"context"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/crew"
)

func seedCalls() []*transport.Call {
	return []*transport.Call{
		{},
		{Request: object.Request{ID: "Room-1", Method: "Echo", Message: "test.Bytes", Body: []byte("body")}, CallID: transport.CallID{1}},
		{
			Request: object.Request{
				ID: "R-\xff", Method: "M", Message: "N", Body: []byte{0}, Key: "k", Metadata: map[string]string{"a": "b", "": ""},
			},
			Op: 200, AtMostOnce: true, Resent: true, Timeout: time.Hour, Shard: math.MaxUint32, Epoch: math.MaxUint64, Revision: math.MinInt64,
			Hops: 255, Chain: []transport.Step{{ID: "A-1", Method: "X", Turn: transport.CallID{2}}, {}},
			TraceParent: "00-ab-cd-01", TraceState: "v=1",
		},
	}
}

func seedReplies() []*transport.Reply {
	return []*transport.Reply{
		{},
		{Reply: object.Reply{Message: "M", Body: []byte("b")}, Epoch: math.MaxUint64, Revision: math.MinInt64},
		{
			Err:   object.Refuse(object.CodeNotFound, "R", "op", "I-1", "M", "why \xff"),
			Owner: &transport.Peer{Cluster: "c", Address: "a:1", Incarnation: "i"},
		},
		{Err: &object.Error{Code: object.CodeResourceExhausted, Reason: object.Overloaded, RetryAfter: math.MaxInt64}},
	}
}

// payloadOf is what a frame has after its head.
func payloadOf(frame []byte) []byte { return frame[headBytes:] }

// FuzzCall: no payload breaks the reader, none makes it use more than a multiple of its length, and what it reads is
// written and read again as the same.
func FuzzCall(f *testing.F) {
	for i, c := range seedCalls() {
		for _, h := range []callHeader{{}, {number: math.MaxUint64}, {number: uint64(i + 1), limited: true, deadline: time.Second}} {
			f.Add(payloadOf(appendCall(nil, &h, c, nil)), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte, sentAt uint64) {
		c, d := new(transport.Call), new(transport.Call)
		number, id, err := readCall(payload, sentAt, names{}, c)
		if err != nil {
			if !errors.Is(err, errGarbage) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		c.ID = string(id)
		if c.Size() > len(payload) {
			t.Errorf("%d bytes were read from %d", c.Size(), len(payload))
		}
		h := callHeader{number: number, limited: c.Timeout != 0, deadline: c.Timeout}
		again, id, err := readCall(payloadOf(appendCall(nil, &h, c, nil)), 0, names{}, d)
		d.ID = string(id)
		if err != nil || again != number || !reflect.DeepEqual(c, d) {
			t.Errorf("read again, %+v is %+v, %v", c, d, err)
		}
	})
}

// reread is a reply, read into memory of its own.
func reread(payload []byte) (number uint64, r *transport.Reply, err error) {
	c, w := cursor{rest: payload}, new(waiter)
	number, err = c.uvarint(), readReply(payload, names{}, w)
	return number, &w.reply, err
}

// FuzzReply is FuzzCall for replies.
func FuzzReply(f *testing.F) {
	for i, r := range seedReplies() {
		f.Add(payloadOf(appendReply(nil, uint64(i), r, nil)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		number, r, err := reread(payload)
		if err != nil {
			if !errors.Is(err, errGarbage) {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if r.Size() > len(payload) {
			t.Errorf("%d bytes were read from %d", r.Size(), len(payload))
		}
		again, s, err := reread(payloadOf(appendReply(nil, number, r, nil)))
		if err != nil || again != number || !reflect.DeepEqual(r, s) {
			t.Errorf("read again, %+v is %+v, %v", r, s, err)
		}
	})
}

// played is a stream that gives one message.
type played struct{ message []byte }

// SendMsg implements stream.
func (p *played) SendMsg(any) error { return nil }

// RecvMsg implements stream.
func (p *played) RecvMsg(m any) error {
	if p.message == nil {
		return errPlayed
	}
	b := p.message
	p.message = nil
	return newCodec(&buffers{}, &wholes{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, m)
}

var errPlayed = errors.New("that was all")

// FuzzMessage: no message breaks more than its link, on either side.
func FuzzMessage(f *testing.F) {
	var calls, replies []byte
	said, answered := vocabulary{}, vocabulary{}
	for i, c := range seedCalls() {
		calls, _ = said.learn(calls, c.Method, c.Message)
		calls = appendCall(calls, &callHeader{number: uint64(i)}, c, said)
		calls = appendNumbered(calls, kindCancel, uint64(i))
	}
	for i, r := range seedReplies() {
		replies, _ = answered.learn(replies, r.Message)
		replies = appendReply(replies, 1<<32+uint64(i), r, answered)
		replies = appendNumbered(replies, kindRefusal, uint64(i))
	}
	replies = append(replies, endFrame(beginFrame(nil, kindGoodbye), 0)...)
	large := appendCall(nil, &callHeader{number: 7}, &transport.Call{Request: object.Request{Body: make([]byte, 100)}}, nil)
	var parts []byte
	for _, part := range []struct {
		k kind
		b []byte
	}{{kindPart, large[:10]}, {kindPart, nil}, {kindLast, large[10:]}, {kindLast, large[:4]}} {
		start := len(parts)
		parts = endFrame(append(beginFrame(parts, part.k), part.b...), start)
	}
	for _, frames := range [][]byte{calls, replies, parts, nil, appendNumbered(nil, kindPing, 1), appendNumbered(nil, kindPong, 0)} {
		b := append(make([]byte, prefixBytes), frames...)
		fillPrefix(b, 12345)
		f.Add(b)
	}
	t := New(Config{Clock: clock.Virtual()})
	e := &endpoint{transport: t, base: context.Background(), crew: crew.New((*served).run, 0), handler: transport.HandlerFunc(
		func(_ context.Context, c *transport.Call) *transport.Reply {
			return &transport.Reply{Reply: object.Reply{Body: c.Body}}
		})}
	f.Cleanup(func() {
		e.crew.Close()
		e.crew.Wait()
	})
	f.Fuzz(func(t *testing.T, message []byte) {
		from := &played{message: message}
		calling := &caller{stream: from, waiters: &e.transport.waiters, cut: func() {}, free: func() {}}
		calling.init(e.transport)
		w, err := calling.begin(context.Background(), &transport.Call{}, false, &bound{})
		if err != nil {
			t.Fatal(err)
		}
		err = calling.receive(from, calling.take, calling.deliver)
		ended(t, err)
		calling.fail(err)
		await(context.Background(), w)

		called := newCallee(e, serverStream{ctx: context.Background()})
		err = called.listen(&played{message: message})
		ended(t, err)
		called.fail(err)
		if err := e.calls.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// ended checks why a reader has stopped.
func ended(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errPlayed) && !errors.Is(err, errGarbage) {
		t.Errorf("the reader has ended with %v", err)
	}
}

// serverStream is the stream of a callee that nobody reads from.
type serverStream struct {
	rpcStream

	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s serverStream) Context() context.Context { return s.ctx }

// What a packet is to protobuf is what its .proto says.
func TestPacketIsAMessage(t *testing.T) {
	t.Parallel()
	for _, frames := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("y"), 127), bytes.Repeat([]byte("z"), 1<<21), make([]byte, maxFrame)} {
		b := append(make([]byte, prefixBytes), frames...)
		fillPrefix(b, 1<<63+5)
		var m pb.LinkRequest
		if err := proto.Unmarshal(b, &m); err != nil || m.GetSentAt() != 1<<63+5 || !bytes.Equal(m.GetFrames(), frames) {
			t.Errorf("%d bytes are read as %d, %v", len(frames), len(m.GetFrames()), err)
		}
		encoded, err := proto.Marshal(&pb.LinkResponse{SentAt: 7, Frames: frames})
		if err != nil {
			t.Fatal(err)
		}
		p := packet{buffer: mem.SliceBuffer(encoded)}
		if err := p.parse(); err != nil || p.sentAt != 7 || !bytes.Equal(p.frames, frames) {
			t.Errorf("%d bytes are parsed as %d, %v", len(frames), len(p.frames), err)
		}
	}
}

// What remains of a call's time does not include the time that it waited for its message to leave.
func TestTimeThatRemains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		deadline, sentAt uint64
		want             time.Duration
	}{
		{deadline: 10, sentAt: 3, want: 7},
		{deadline: 10, sentAt: 10, want: -1},
		{deadline: 0, sentAt: 10, want: -1},
		{deadline: math.MaxUint64, sentAt: 0, want: longest},
		{deadline: math.MaxInt64, sentAt: 5, want: longest}, // what a caller makes of all the time that there is
		{deadline: math.MaxUint64, sentAt: math.MaxUint64, want: -1},
	} {
		if got := remains(c.deadline, c.sentAt); got != c.want {
			t.Errorf("remains(%d, %d) = %d, want %d", c.deadline, c.sentAt, got, c.want)
		}
	}
}
