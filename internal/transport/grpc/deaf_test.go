package grpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// replies that nobody reads are not kept beyond the time of their calls. The peer says something at every beat.
func TestRepliesOfADeafCaller(t *testing.T) { // alone: it measures memory
	const calls, size = 200, 1 << 20
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.callee = w.listen(grpc.Config{Keepalive: brief}, peer("127.0.0.1:0"), transport.HandlerFunc(
		func(context.Context, *transport.Call) *transport.Reply {
			return &transport.Reply{Reply: object.Reply{Body: make([]byte, size)}}
		}))
	before := heap()
	r := w.greeted()
	for n := range uint64(calls) {
		r.send(&pb.LinkRequest{Frames: grpc.LimitedCallFrame(n+1, time.Second, call("Echo"))})
	}
	for n := range uint64(30) { // 3 s: seven times Keepalive, three times the calls' time
		r.send(&pb.LinkRequest{Frames: grpc.NumberFrame(grpc.KindPing, n+1)})
		<-time.After(100 * time.Millisecond)
	}
	if grew := heap() - before; grew > 32<<20 {
		t.Errorf("%d calls whose time was over 2 s ago hold %d MiB", calls, grew>>20)
	}
}
