package grpc_test

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/internal/transport/transporttest"
)

// A peer whose message takes longer to arrive than anybody may be silent is not silent.
func TestALargeMessageOnASlowLink(t *testing.T) {
	t.Parallel()
	const rate, keepalive = 1 << 20, 3 * brief // bytes per second, and longer than a busy machine stands still
	for name, size := range map[string]struct{ there, back bool }{
		"request": {there: true}, "reply": {back: true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, grpc.Config{Keepalive: keepalive}, grpc.Config{Keepalive: keepalive})
			p := newProxy(t, w.callee.Peer().Address)
			link := w.through(p)
			w.works("before", link)
			p.there.set(transporttest.Trouble{Slow: size.there}, rate)
			p.back.set(transporttest.Trouble{Slow: size.back}, rate)
			c := call("Echo", make([]byte, 4*rate*int(keepalive.Milliseconds())/1000)...)
			if r, err := link.Call(w.ctx, c); err != nil || len(r.Body) != len(c.Body) {
				t.Errorf("a call of %d bytes: %v", len(c.Body), err)
			}
			if n := grpc.Callees(w.callee); n != 1 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

// Small calls pass large ones, in both directions, while those take their time.
func TestSmallCallsPassLargeOnes(t *testing.T) {
	t.Parallel()
	const rate, size = 1 << 20, 3 << 19
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	w.works("before", link)
	p.there.set(transporttest.Trouble{Slow: true}, rate)
	p.back.set(transporttest.Trouble{Slow: true}, rate)
	large := make(chan error, 2)
	for range cap(large) {
		go func() {
			_, err := link.Call(w.ctx, call("Echo", make([]byte, size)...))
			large <- err
		}()
	}
	passed := 0
	for ; len(large) == 0; passed++ {
		small := call("Echo", 1, 2, 3)
		small.ID = "Room-2"
		if _, err := link.Call(w.ctx, small); err != nil {
			t.Fatal(err)
		}
	}
	for range cap(large) {
		if err := <-large; err != nil {
			t.Error(err)
		}
	}
	if passed < 3 {
		t.Errorf("%d small calls have passed before the first large one ended", passed)
	}
}
