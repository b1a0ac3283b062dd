package grpc_test

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// order notes in which order calls are accepted.
type order struct {
	mu  sync.Mutex
	got []uint32
}

// AcceptCall implements transport.Handler.
func (o *order) AcceptCall(_ context.Context, c *transport.Call) func() *transport.Reply {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got = append(o.got, binary.LittleEndian.Uint32(c.Body))
	return func() *transport.Reply { return &transport.Reply{Reply: object.Reply{}} }
}

// the same over a real connection: one goroutine, one object, calls of several sizes.
func TestOrderOfSizesOverTCP(t *testing.T) {
	t.Parallel()
	const sends = 800
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	o := &order{}
	e := w.listen(grpc.Config{}, peer("127.0.0.1:0"), o)
	link := w.caller.Dial(e.Peer())
	sizes := make([]int, 40)
	for i := range sizes {
		sizes[i] = 40_000
	}
	sizes[39] = 70_000
	for i := range uint32(sends) {
		body := make([]byte, sizes[int(i)%len(sizes)])
		binary.LittleEndian.PutUint32(body, i)
		if err := link.Send(w.ctx, call("Do", body...)); err != nil {
			t.Fatal(err)
		}
	}
	w.soon("all", func() bool { o.mu.Lock(); defer o.mu.Unlock(); return len(o.got) == sends })
	wrong := 0
	for i, n := range o.got {
		if n != uint32(i) {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d calls of one goroutine to one object were accepted out of order", wrong, sends)
	}
}
