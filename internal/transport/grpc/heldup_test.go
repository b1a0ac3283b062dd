package grpc_test

import (
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
	pb "github.com/xiaonanln/goverse/proto"
)

// a call that was accepted, and so holds its object, runs although the reader waits for room to refuse the next
// one of the same message. Else a deaf peer holds up the object for all others.
func TestAcceptedCallsRunBesideARefusal(t *testing.T) {
	t.Parallel()
	const queue = 64 << 10
	w := newWorld(t, grpc.Config{}, grpc.Config{MaxCalls: 3, QueueBytes: queue, Keepalive: time.Hour})
	r := w.greeted() // and deaf
	number := uint64(0)
	say := func(method string, size int) []byte {
		number++
		return grpc.CallFrame(number, call(method, make([]byte, size)...))
	}
	for grpc.MostQueued(w.callee) < queue {
		r.send(&pb.LinkRequest{Frames: say("Echo", 14<<10)})
		<-time.After(20 * time.Millisecond)
	}
	for range 2 { // they have run, and wait for room
		r.send(&pb.LinkRequest{Frames: say("Echo", 10)})
		<-time.After(50 * time.Millisecond)
	}
	r.send(&pb.LinkRequest{Frames: append(say("Block", 0), say("Echo", 0)...)}) // the bound, and one beyond
	select {
	case <-w.ran.began:
	case <-time.After(3 * time.Second):
		t.Error("the call within the bound was accepted, and does not run")
	}
}
