package grpc_test

import (
	"context"
	"errors"
	"math"
	"testing"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// answering is a callee that answers at once.
func answering(_ context.Context, c *transport.Call) *transport.Reply {
	return &transport.Reply{Reply: object.Reply{Message: c.Message, Body: c.Body}}
}

// during is the world for one input of a fuzz target.
func (w *world) during(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	now := *w
	now.t, now.ctx = t, ctx
	return &now
}

// sequences are seeds of what a peer may say.
func sequences() [][]byte {
	reply := &transport.Reply{Reply: object.Reply{Body: []byte{1}}}
	first := uint64(1) << 32
	return [][]byte{
		nil,
		grpc.CallFrame(1, call("Echo", 1, 2, 3)),
		append(grpc.CallFrame(0, call("Echo")), grpc.CallFrame(0, call("Echo"))...),
		append(grpc.CallFrame(7, call("Echo")), grpc.NumberFrame(grpc.KindCancel, 7)...),
		append(grpc.NumberFrame(grpc.KindPing, 1), grpc.NumberFrame(grpc.KindPing, math.MaxUint64)...),
		append(grpc.NumberFrame(grpc.KindPong, 0), grpc.AnyFrame(byte(grpc.KindVoid), []byte("x"))...),
		append(grpc.ReplyFrame(first, reply), grpc.ReplyFrame(first, reply)...),
		append(grpc.AnyFrame(byte(grpc.KindGoodbye), nil), grpc.NumberFrame(grpc.KindRefusal, first)...),
		append(grpc.AnyFrame(99, nil), grpc.CallFrame(1, call("Echo"))...),
	}
}

// FuzzCaller: whatever a peer sends over its link, in whatever pieces, breaks at most that link.
func FuzzCaller(f *testing.F) {
	for i, s := range sequences() {
		f.Add(s, uint16(i*3))
	}
	shared := newWorld(f, grpc.Config{}, grpc.Config{})
	shared.callee = shared.listen(grpc.Config{}, peer("127.0.0.1:0"), transport.HandlerFunc(answering))
	shared.link = shared.caller.Dial(shared.callee.Peer())
	cc, err := rpc.NewClient(shared.callee.Peer().Address, rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { cc.Close() })
	f.Fuzz(func(t *testing.T, frames []byte, cut uint16) {
		w := shared.during(t)
		s, err := pb.NewNodeServiceClient(cc).Link(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := &raw{w: w, stream: s, cc: cc}
		r.send(&pb.LinkRequest{Hello: w.hello()})
		if r.receive().GetWelcome() == nil {
			t.Fatal("no welcome")
		}
		at := int(cut) % (len(frames) + 1)
		for _, part := range [][]byte{frames[:at], frames[at:]} {
			_ = s.Send(&pb.LinkRequest{Frames: part}) // it may be broken already
		}
		_ = s.CloseSend()
		r.broken("a link whose caller has left")
		w.works("another link", w.link)
	})
}

// FuzzCallee: whatever a peer answers, a call to it ends, and others are answered by their own callee.
func FuzzCallee(f *testing.F) {
	for i, s := range sequences() {
		f.Add(s, uint16(i*3))
	}
	shared := newWorld(f, grpc.Config{}, grpc.Config{})
	said := make(chan [2][]byte, 1) // by the impostor, to the next call
	liar := shared.dialImpostor(func(s impostorStream, h *pb.Hello) error {
		if err := welcomed(s, h); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
		for _, part := range <-said {
			if err := s.Send(&pb.LinkResponse{Frames: part}); err != nil {
				return err
			}
		}
		return errors.New("that was all")
	})
	f.Fuzz(func(t *testing.T, frames []byte, cut uint16) {
		w := shared.during(t)
		at := int(cut) % (len(frames) + 1)
		said <- [2][]byte{frames[:at], frames[at:]}
		c := call("Echo", 1, 2, 3)
		reply, err := liar.Call(w.ctx, c)
		switch {
		case err == nil && reply == nil:
			t.Error("neither a reply nor an error")
		case errors.Is(err, transport.ErrDraining): // as a callee says that has not run the call
			w.fails("a call to who lies", err, transport.ErrDraining, object.ExecutedNo)
		case err != nil:
			w.fails("a call to who lies", err, transport.ErrBroken, object.ExecutedUnknown)
		}
		w.soon("the link to break", func() bool { return len(said) == 0 && !grpc.Holds(liar) })
		w.works("another link", w.link)
	})
}
