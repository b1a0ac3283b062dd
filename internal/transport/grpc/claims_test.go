package grpc_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// most is how much memory a claim may cost, with the connection that it takes.
const most = 8 << 20

// costs checks how many bytes f reserves, if only for a moment.
func (w *world) costs(what string, f func()) {
	w.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > most {
		w.t.Errorf("%s costs %d KiB", what, n>>10)
	}
}

// claims are the frame with numbers in place of each of its payload's bytes that are far beyond what follows: whatever
// stands there, be it a length, a count or a name, is claimed to be huge.
func claims(frame []byte) (all [][]byte) {
	payload := frame[len(frame)-len(frameOf(frame).Payload):]
	for _, huge := range []uint64{1 << 20, 1<<32 - 1, 1 << 32, 1<<63 - 1, math.MaxUint64} {
		number := binary.AppendUvarint(nil, huge)
		for i := range payload {
			all = append(all, grpc.AnyFrame(frame[0], bytes.Join([][]byte{payload[:i], number, payload[i+1:]}, nil)))
		}
	}
	return all
}

// frameOf is the one frame of a message.
func frameOf(b []byte) grpc.Frame {
	frames, err := grpc.Split(b)
	if err != nil || len(frames) != 1 {
		panic(fmt.Sprintf("%d frames: %v", len(frames), err))
	}
	return frames[0]
}

// rich is a call that has something of everything.
func rich() *transport.Call {
	c := call("Echo", 1, 2, 3)
	c.Key, c.TraceParent, c.TraceState = "k", "p", "s"
	c.Metadata = map[string]string{"a": "b"}
	c.Chain = []transport.Step{{ID: "A-1", Method: "X"}}
	return c
}

// What a caller claims is believed when it is there: no length and no count makes the callee reserve memory for it.
func TestClaimsOfACaller(t *testing.T) { // alone: it measures memory
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	for i, frame := range claims(grpc.CallFrame(7, rich())) {
		w.costs(fmt.Sprintf("claim %d", i), func() {
			r := w.greeted()
			r.send(&pb.LinkRequest{Frames: frame})
			_ = r.stream.CloseSend()
			r.broken("a caller that claims too much")
			r.cc.Close()
		})
	}
	w.works("afterwards", w.link)
}

// The same of a callee.
func TestClaimsOfACallee(t *testing.T) { // alone: it measures memory
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	all := claims(grpc.ReplyFrame(1<<32, &transport.Reply{
		Reply: object.Reply{Message: "M", Body: []byte("b")}, Owner: &transport.Peer{Cluster: "c", Address: "a", Incarnation: "i"},
	}))
	all = append(all, claims(grpc.ReplyFrame(1<<32, &transport.Reply{
		Err: &object.Error{Code: object.CodeAborted, Reason: "R", Message: "m", Op: "o", ID: "X-1", Method: "M"},
	}))...)
	said := make(chan []byte, 1)
	link := w.dialImpostor(func(s impostorStream, h *pb.Hello) error {
		if err := welcomed(s, h); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
		if err := s.Send(&pb.LinkResponse{Frames: <-said}); err != nil {
			return err
		}
		return errors.New("that was all")
	})
	for i, frame := range all {
		w.costs(fmt.Sprintf("claim %d", i), func() {
			said <- frame
			if _, err := link.Call(w.ctx, call("Echo")); err != nil {
				w.fails("a call to who claims too much", err, transport.ErrBroken, object.ExecutedUnknown)
			}
			w.soon("the link to break", func() bool { return !grpc.Holds(link) })
		})
	}
	w.works("afterwards", w.link)
}

// bytesCodec sends bytes as they are.
type bytesCodec struct{}

// Marshal implements encoding.Codec.
func (bytesCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

// Unmarshal implements encoding.Codec.
func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

// Name implements encoding.Codec.
func (bytesCodec) Name() string { return "proto" }

// deep is fields, or groups, that are nested so deep.
func deep(number protowire.Number, typ protowire.Type, depth int) (b []byte) {
	if typ == protowire.StartGroupType {
		b = bytes.Repeat(protowire.AppendTag(nil, number, typ), depth)
		return append(b, bytes.Repeat(protowire.AppendTag(nil, number, protowire.EndGroupType), depth)...)
	}
	var sizes []int
	for n := 0; len(sizes) < depth; n += protowire.SizeTag(number) + protowire.SizeBytes(n) - n {
		sizes = append(sizes, n)
	}
	for i := range sizes {
		b = protowire.AppendVarint(protowire.AppendTag(b, number, typ), uint64(sizes[len(sizes)-1-i]))
	}
	return b
}

// What is nested too deep breaks its link, wherever it stands, or is nobody's business here.
func TestDeepNesting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: time.Hour}) // silence does not break it
	cc, err := rpc.NewClient(w.callee.Peer().Address, rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	good, err := proto.Marshal(&pb.LinkRequest{Hello: w.hello()})
	if err != nil {
		t.Fatal(err)
	}
	for _, depth := range []int{100, 10_000, 100_000} {
		for name, b := range map[string][]byte{
			"groups":              deep(99, protowire.StartGroupType, depth),
			"groups of the hello": deep(1, protowire.StartGroupType, depth),
			"hellos":              deep(1, protowire.BytesType, depth),
			"peers":               deep(4, protowire.BytesType, depth),
		} {
			for _, message := range [][]byte{b, append(bytes.Clone(good), b...), append(bytes.Clone(b), good...)} {
				s, err := cc.NewStream(w.ctx, &rpc.StreamDesc{ClientStreams: true, ServerStreams: true},
					pb.NodeService_Link_FullMethodName, rpc.ForceCodec(bytesCodec{}))
				if err != nil {
					t.Fatal(err)
				}
				_ = s.SendMsg(&message)
				_ = s.SendMsg(&b) // in place of frames
				_ = s.CloseSend()
				for err = nil; err == nil; {
					var answer []byte
					err = s.RecvMsg(&answer)
				}
				if w.ctx.Err() != nil {
					t.Fatalf("%s, %d deep: the link was not broken", name, depth)
				}
			}
		}
		w.works("the other link", w.link)
	}
	body := deep(1, protowire.BytesType, 10_000)
	if r, err := w.link.Call(w.ctx, call("Echo", body...)); err != nil || !bytes.Equal(r.Body, body) {
		t.Errorf("a deep body is no business of the transport: %v", err)
	}
	chain := call("Echo")
	chain.Chain = make([]transport.Step, 10_000)
	_, err = w.link.Call(w.ctx, chain)
	if !errors.Is(err, transport.ErrTooLarge) || object.Executed(err) != object.ExecutedNo {
		t.Errorf("a chain of 10 000: %v", err)
	}
	r := w.greeted()
	_ = r.stream.Send(&pb.LinkRequest{Frames: grpc.CallFrame(7, chain)})
	r.broken("a chain of 10 000")
	w.works("afterwards", w.link)
}

// A peer of tomorrow that still speaks as we do is welcome, and spoken to as we do.
func TestNewerPeersAreWelcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	r := w.dialRaw()
	h := w.hello()
	h.MinVersion, h.MaxVersion = 0, 99
	h.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 77, protowire.BytesType), "of tomorrow"))
	r.send(&pb.LinkRequest{Hello: h})
	if got := r.receive().GetWelcome(); got.GetVersion() != grpc.Version {
		t.Errorf("the welcome is %v", got)
	}
}
