package grpc_test

import (
	"bytes"
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	rpc "google.golang.org/grpc"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// impostor is a callee that does as it likes.
type impostor struct {
	pb.UnimplementedNodeServiceServer

	link func(s impostorStream, hello *pb.Hello) error
}

type impostorStream = rpc.BidiStreamingServer[pb.LinkRequest, pb.LinkResponse]

// Link implements pb.NodeServiceServer.
func (i impostor) Link(s impostorStream) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	return i.link(s, first.GetHello())
}

// dialImpostor is a link to an impostor.
func (w *world) dialImpostor(link func(s impostorStream, hello *pb.Hello) error) transport.Link {
	w.t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	server := rpc.NewServer(rpc.MaxRecvMsgSize(32 << 20))
	pb.RegisterNodeServiceServer(server, impostor{link: link})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(lis) })
	l := w.caller.Dial(peer(lis.Addr().String()))
	w.t.Cleanup(func() {
		l.Close()
		server.Stop()
		serving.Wait()
	})
	return l
}

// welcomed is what a good callee says first.
func welcomed(s impostorStream, h *pb.Hello) error {
	return s.Send(&pb.LinkResponse{Welcome: &pb.Welcome{Version: grpc.Version, Self: h.GetTo()}})
}

func TestImpostorsAreNotCalled(t *testing.T) {
	t.Parallel()
	w, hasty := newWorld(t, grpc.Config{}, grpc.Config{}), newWorld(t, grpc.Config{Keepalive: brief}, grpc.Config{})
	welcome := func(change func(*pb.Welcome)) func(impostorStream, *pb.Hello) error {
		return func(s impostorStream, h *pb.Hello) error {
			answer := &pb.Welcome{Version: grpc.Version, Self: h.GetTo()}
			change(answer)
			return s.Send(&pb.LinkResponse{Welcome: answer})
		}
	}
	for name, c := range map[string]struct {
		link func(impostorStream, *pb.Hello) error
		why  error
	}{
		"another incarnation": {welcome(func(a *pb.Welcome) { a.Self.Incarnation = []byte("x") }), transport.ErrWrongPeer},
		"another cluster":     {welcome(func(a *pb.Welcome) { a.Self.Cluster = []byte("x") }), transport.ErrWrongPeer},
		"nobody":              {welcome(func(a *pb.Welcome) { a.Self = nil }), transport.ErrWrongPeer},
		"another version":     {welcome(func(a *pb.Welcome) { a.Version++ }), transport.ErrUnreachable},
		"no welcome": {func(s impostorStream, _ *pb.Hello) error {
			return s.Send(&pb.LinkResponse{Frames: []byte("noise")})
		}, transport.ErrUnreachable},
		"nothing":  {func(impostorStream, *pb.Hello) error { return nil }, transport.ErrUnreachable},
		"an error": {func(impostorStream, *pb.Hello) error { return errors.New("no") }, transport.ErrUnreachable},
		"silence": {func(s impostorStream, _ *pb.Hello) error {
			<-s.Context().Done()
			return s.Context().Err()
		}, transport.ErrUnreachable},
		"a reason of tomorrow": {func(s impostorStream, _ *pb.Hello) error {
			return s.Send(&pb.LinkResponse{Refusal: &pb.Refusal{Why: 99, Text: []byte("no")}})
		}, transport.ErrUnreachable},
	} {
		w := w
		if name == "silence" {
			w = hasty
		}
		link := w.dialImpostor(c.link)
		_, err := link.Call(w.ctx, call("Echo"))
		w.fails(name, err, c.why, object.ExecutedNo)
		w.fails(name, link.Send(w.ctx, call("Echo")), c.why, object.ExecutedNo)
	}
	w.works("the other link", w.link)
}

// The first two are no gRPC at all; of the others, nobody answers.
func TestStrangersAreNotCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{Keepalive: brief}, grpc.Config{})
	for name, text := range map[string]string{"HTTP/1": "HTTP/1.1 400 Bad Request\r\n\r\n", "noise": strings.Repeat("noise", 1000), "silence": ""} {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			var open []net.Conn
			for {
				c, err := lis.Accept()
				if err != nil {
					break
				}
				_, _ = c.Write([]byte(text))
				open = append(open, c)
			}
			for _, c := range open {
				c.Close()
			}
		})
		link := w.caller.Dial(peer(lis.Addr().String()))
		_, err = link.Call(w.ctx, call("Echo"))
		w.fails(name, err, transport.ErrUnreachable, object.ExecutedNo)
		lis.Close()
		serving.Wait()
	}
}

// Whatever a callee answers, the call ends as unknown, and the next connects again.
func TestGarbageFromACallee(t *testing.T) {
	t.Parallel()
	// Elsewhere than in silence, silence is not what breaks a link.
	w, hasty := newWorld(t, grpc.Config{Keepalive: time.Hour}, grpc.Config{}), newWorld(t, grpc.Config{Keepalive: brief}, grpc.Config{})
	reply := grpc.ReplyFrame(1<<32, &transport.Reply{Err: object.ErrInternal, Owner: &transport.Peer{Address: "x"}})
	for name, frames := range map[string][]byte{
		"noise":                   []byte(strings.Repeat("noise", 1000)),
		"an unknown kind":         grpc.AnyFrame(99, nil),
		"a call":                  grpc.CallFrame(1, call("Echo")),
		"a cancellation":          grpc.NumberFrame(grpc.KindCancel, 1<<32),
		"a reply that is cut off": grpc.AnyFrame(reply[0], reply[5:len(reply)-1]),
		"a reply with a tail":     grpc.AnyFrame(reply[0], append(bytes.Clone(reply[5:]), 0)),
		"a refusal of nothing":    grpc.AnyFrame(byte(grpc.KindRefusal), nil),
		"a pong without a ping":   grpc.NumberFrame(grpc.KindPong, 1000),
		"too much":                make([]byte, transport.MaxBytes+2<<20),
		"silence":                 nil,
	} {
		w := w
		if name == "silence" {
			w = hasty
		}
		connections := make(chan struct{}, 100)
		link := w.dialImpostor(func(s impostorStream, h *pb.Hello) error {
			connections <- struct{}{}
			if err := welcomed(s, h); err != nil {
				return err
			}
			if _, err := s.Recv(); err != nil {
				return err
			}
			if err := s.Send(&pb.LinkResponse{Frames: frames}); err != nil {
				return err
			}
			for {
				if _, err := s.Recv(); err != nil {
					return err
				}
			}
		})
		for range 2 {
			_, err := link.Call(w.ctx, call("Echo"))
			w.fails(name, err, transport.ErrBroken, object.ExecutedUnknown)
		}
		if n := len(connections); n != 2 {
			t.Errorf("%s: %d connections were made by two calls", name, n)
		}
	}
	w.works("the other link", w.link)
}

// Replies that nobody waits for are dropped.
func TestForgedReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	link := w.dialImpostor(func(s impostorStream, h *pb.Hello) error {
		if err := welcomed(s, h); err != nil {
			return err
		}
		for {
			m, err := s.Recv()
			if err != nil {
				return err
			}
			frames, err := grpc.Split(m.GetFrames())
			if err != nil {
				return err
			}
			var b []byte
			for _, f := range frames {
				if !f.IsCall() {
					continue
				}
				number := grpc.CallNumber(f.Payload)
				for _, forged := range []uint64{0, 1, number + 1, number + 1<<32, number - 1<<32, math.MaxUint64} {
					b = append(b, grpc.ReplyFrame(forged, &transport.Reply{Err: object.ErrInternal})...)
					b = append(b, grpc.NumberFrame(grpc.KindRefusal, forged)...)
				}
				for range 2 {
					b = append(b, grpc.ReplyFrame(number, &transport.Reply{Reply: object.Reply{Body: []byte{1, 2, 3}}})...)
				}
			}
			if err := s.Send(&pb.LinkResponse{Frames: b}); err != nil {
				return err
			}
		}
	})
	for range 20 {
		w.works("a call", link)
	}
	if s := grpc.StateOf(link); s.Flights != 0 || s.Slots != 1 {
		t.Errorf("the link holds on to %+v", s)
	}
}
