package grpc

import (
	"bytes"
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
)

// understood checks that what is not understood is said to be so.
func understood(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, errGarbage) {
		t.Errorf("the error is %v", err)
	}
	return err == nil
}

// FuzzFrames: however bytes are split into frames, the frames are the bytes.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(appendNumbered(appendNumbered(nil, kindPing, 1), kindCancel, math.MaxUint64))
	f.Add(endFrame(beginFrame(nil, kindGoodbye), 0))
	for i := range headBytes + 2 {
		whole := appendNumbered(nil, kindPing, 300)
		f.Add(whole[:len(whole)-i])
	}
	f.Add([]byte{byte(kindCall), 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{byte(kindCall), 0xff, 0xff, 0xff, 0x7f, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for rest := b; len(rest) > 0; {
			k, payload, after, err := nextFrame(rest)
			if !understood(t, err) {
				return
			}
			if len(payload)+len(after)+headBytes != len(rest) {
				t.Fatalf("of %d bytes a frame has %d and %d are left", len(rest), len(payload), len(after))
			}
			start := len(again)
			again = endFrame(append(beginFrame(again, k), payload...), start)
			rest = after
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is written again as %x", b, again)
		}
	})
}

// FuzzNumber: a payload is a number or is not understood, and a number is itself again.
func FuzzNumber(f *testing.F) {
	for _, n := range []uint64{0, 1, 127, 128, math.MaxUint32, math.MaxUint64} {
		f.Add(payloadOf(appendNumbered(nil, kindPing, n)), n)
	}
	f.Add(bytes.Repeat([]byte{0xff}, 11), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, payload []byte, n uint64) {
		if number, err := readNumber(payload); understood(t, err) {
			again, err := readNumber(payloadOf(appendNumbered(nil, kindPong, number)))
			if err != nil || again != number {
				t.Errorf("%d is read again as %d, %v", number, again, err)
			}
		}
		if got, err := readNumber(payloadOf(appendNumbered(nil, kindCancel, n))); err != nil || got != n {
			t.Errorf("%d is read as %d, %v", n, got, err)
		}
	})
}

// FuzzPacket: a message is understood as protobuf understands it, or not at all.
func FuzzPacket(f *testing.F) {
	b := append(make([]byte, prefixBytes), "frames"...)
	fillPrefix(b, 12345)
	f.Add(b)
	f.Add(append(bytes.Clone(b), b...))
	f.Add([]byte{fieldFrames<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Add([]byte{fieldSentAt<<3 | 1, 1, 2, 3})
	f.Add([]byte{1<<3 | 3, 1<<3 | 4}) // a group
	f.Fuzz(func(t *testing.T, message []byte) {
		p := packet{buffer: mem.SliceBuffer(message)}
		defer p.free()
		if !understood(t, p.parse()) {
			return
		}
		var m pb.LinkRequest
		if err := proto.Unmarshal(message, &m); err != nil || m.GetSentAt() != p.sentAt || !bytes.Equal(m.GetFrames(), p.frames) {
			t.Errorf("%x is parsed as %d, %x, and by protobuf as %v, %v", message, p.sentAt, p.frames, &m, err)
		}
	})
}

// FuzzRoundTrip: whatever a call or a reply says arrives, and nothing else.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(0), "", "", []byte(nil), uint64(0), int64(0), byte(0))
	f.Add(uint64(1), "Room-1", "Echo", []byte("body"), uint64(7), int64(-7), byte(3))
	f.Add(uint64(math.MaxUint64), "R-\xff\x00", "M\x80", bytes.Repeat([]byte{0xff}, 300), uint64(math.MaxUint64), int64(math.MinInt64), byte(255))
	f.Fuzz(func(t *testing.T, number uint64, a, b string, body []byte, n uint64, m int64, k byte) {
		if len(body) == 0 {
			body = nil
		}
		c := &transport.Call{
			Request: object.Request{ID: a, Method: b, Message: b + a, Body: body, Key: a},
			CallID:  transport.CallID{k, k}, Op: transport.Op(k), OneWay: number == 0, AtMostOnce: k%2 == 0, Resent: k%3 == 0,
			Shard: uint32(n), Epoch: n, Revision: m, Hops: k, TraceParent: a, TraceState: b,
		}
		for i := range int(k % 5) {
			if c.Metadata == nil {
				c.Metadata = map[string]string{}
			}
			c.Metadata[a+string(rune(i))] = b
			c.Chain = append(c.Chain, transport.Step{ID: a, Method: b, Turn: transport.CallID{byte(i)}})
		}
		h := callHeader{number: number}
		if m > 0 {
			h.limited, h.deadline, c.Timeout = true, time.Duration(m), time.Duration(m)
		}
		d := new(transport.Call)
		got, id, err := readCall(payloadOf(appendCall(nil, &h, c, nil)), 0, names{}, d)
		d.ID = string(id)
		if err != nil || got != number || !reflect.DeepEqual(c, d) {
			t.Errorf("call %d %+v arrives as %d %+v, %v", number, c, got, d, err)
		}
		r := &transport.Reply{Reply: object.Reply{Message: b, Body: body}, Epoch: n, Revision: m}
		if k%3 == 1 {
			e := &object.Error{Code: object.Code(uint32(n)), Reason: object.Reason(a), Message: b, Op: a, ID: b, Method: a, RetryAfter: time.Duration(max(m, 0))}
			r.Err = e.WithExecuted(object.Execution(k % 2))
		}
		if k%5 == 1 {
			r.Owner = &transport.Peer{Cluster: a, Address: b, Incarnation: a + b}
		}
		got, s, err := reread(payloadOf(appendReply(nil, number, r, nil)))
		if err != nil || got != number || !reflect.DeepEqual(r, s) {
			t.Errorf("reply %d %+v arrives as %d %+v, %v", number, r, got, s, err)
		}
	})
}
