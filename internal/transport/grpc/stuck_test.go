package grpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
)

// cancellations are heard while the reader waits for room for a one-way call. Else calls that end only when they
// are cancelled keep the room, and the link stands still for ever: both sides ping, so nobody breaks it.
func TestCancelsAreHeardBesideAOneWayCallThatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{Keepalive: brief}, grpc.Config{MaxCalls: 2, Keepalive: brief})
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	a, b := w.begin(ctx, w.link, call("Block")), w.begin(ctx, w.link, call("Block"))
	comes(w, "the first", w.ran.began)
	comes(w, "the second", w.ran.began)
	if err := w.link.Send(w.ctx, call("Echo")); err != nil {
		t.Fatal(err)
	}
	<-time.After(50 * time.Millisecond) // the reader has come to it
	cancel()
	<-a
	<-b
	for range 2 {
		select {
		case <-w.ran.ended:
		case <-time.After(10 * brief):
			t.Fatalf("a call that was cancelled %v ago still runs; the link holds: %v", 10*brief, grpc.Holds(w.link))
		}
	}
}
