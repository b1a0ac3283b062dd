package grpc_test

import (
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/internal/transport/transporttest"
)

// Drain waits for a large one-way call that is arriving, in parts, on a slow link: its sender is not silent.
func TestDrainListensToParts(t *testing.T) {
	t.Parallel()
	const rate, size = 1 << 20, 3 << 20
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	tr := grpc.New(grpc.Config{})
	tr.SetFarewell(500 * time.Millisecond)
	seen := newRecord()
	e, err := tr.Listen(w.ctx, peer("127.0.0.1:0"), seen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close(e) })
	p := newProxy(t, e.Peer().Address)
	to := e.Peer()
	to.Address = p.address()
	link := w.caller.Dial(to)
	w.works("before", link)
	p.there.set(transporttest.Trouble{Slow: true}, rate)
	if err := link.Send(w.ctx, call("Echo", make([]byte, size)...)); err != nil {
		t.Fatal(err)
	}
	<-time.After(100 * time.Millisecond)
	if err := e.Drain(w.ctx); err != nil {
		t.Fatal(err)
	}
	if n := seen.sends(); n != 1 {
		t.Errorf("%d of 1 one-way calls was accepted that was on its way when Drain began", n)
	}
}
