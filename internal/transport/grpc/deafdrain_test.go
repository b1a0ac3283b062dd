package grpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
	pb "github.com/xiaonanln/goverse/proto"
)

// a peer that reads nothing and goes on calling holds up no Drain: it is not waited for, or its link is broken.
func TestDrainBesideADeafCaller(t *testing.T) {
	t.Parallel()
	const queue = 64 << 10
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	tr := grpc.New(grpc.Config{QueueBytes: queue, Keepalive: brief})
	tr.SetFarewell(300 * time.Millisecond)
	e, err := tr.Listen(w.ctx, peer("127.0.0.1:0"), w.ran)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close(e) })
	w.callee = e
	r := w.greeted() // and deaf
	number := uint64(0)
	say := func(size int) {
		number++
		_ = r.stream.Send(&pb.LinkRequest{Frames: grpc.CallFrame(number, call("Echo", make([]byte, size)...))})
	}
	for grpc.MostQueued(w.callee) < queue {
		say(14 << 10)
		<-time.After(10 * time.Millisecond)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	begun := time.Now()
	go func() { done <- e.Drain(ctx) }()
	for len(done) == 0 && time.Since(begun) < 11*time.Second {
		say(0)
		<-time.After(20 * time.Millisecond)
	}
	if err := <-done; err != nil {
		t.Errorf("Drain waited for %v: %v (Keepalive is %v)", time.Since(begun), err, brief)
	}
}
