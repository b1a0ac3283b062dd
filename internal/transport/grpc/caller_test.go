package grpc

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// A call that is given up while its connection breaks, or while its reply comes, gets one outcome. A second one would
// be that of the next call.
func TestOneOutcomePerCall(t *testing.T) {
	t.Parallel()
	tr := New(Config{Clock: clock.Virtual()})
	for round := range 5000 {
		c := &caller{waiters: &tr.waiters, cut: func() {}, free: func() {}}
		c.init(tr)
		ctx, cancel := context.WithCancel(t.Context())
		var others []*waiter
		for range []int{0, 2 * vigilFrom}[round/2%2] { // with them it is a vigil that gives it up
			others = append(others, start(ctx, t, c))
		}
		w := start(ctx, t, c)
		var beside sync.WaitGroup
		beside.Go(cancel)
		beside.Go(func() {
			if round%2 == 0 {
				c.fail(transport.ErrBroken)
				return
			}
			arrive(t, c, w)
		})
		for _, x := range append(others, w) {
			await(ctx, x)
		}
		beside.Wait()
		if len(w.done) != 0 {
			t.Fatalf("round %d: the call has got two outcomes", round)
		}
		if c.flights != 0 {
			t.Fatalf("round %d: %d calls are under way", round, c.flights)
		}
	}
}

// A large call is encoded while the peer says that it takes no more: it is not sent, as nobody would read it.
func TestALargeCallMeetsAGoodbye(t *testing.T) {
	t.Parallel()
	tr := New(Config{Clock: clock.Virtual()})
	c := &caller{waiters: &tr.waiters, cut: func() {}, free: func() {}}
	c.init(tr)
	call := &transport.Call{Request: object.Request{Body: make([]byte, alone)}}
	c.mu.Lock()
	waiting := c.standLocked()
	c.draining = true
	c.mu.Unlock()
	for _, w := range []*waiter{nil, waiting} {
		if err := c.beginAlone(t.Context(), w, callHeader{}, call, call.Size()); !errors.Is(err, transport.ErrDraining) {
			t.Errorf("sent: %v", err)
		}
	}
	if len(c.queue) != 0 || c.flights != 0 {
		t.Errorf("%d messages are queued, %d calls under way", len(c.queue), c.flights)
	}
}

// A reply that is not understood breaks the connection. Its call, and those whose replies came behind it, have no reply;
// those before have.
func TestAReplyThatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 10})
	var under []*waiter
	for i := range 3 {
		w := send(t, c, 1)
		frame := appendReply(nil, w.number, &transport.Reply{Reply: object.Reply{Body: []byte("fine")}}, nil)
		if i == 1 {
			frame = frame[:len(frame)-1]
		}
		if err := c.take(0, kindReply, payloadOf(frame)); err != nil {
			t.Fatal(err)
		}
		under = append(under, w)
	}
	if err := c.deliver(); !errors.Is(err, errGarbage) {
		t.Errorf("deliver says %v", err)
	}
	for i, w := range under {
		reply, err := w.Wait(t.Context())
		switch {
		case i == 0 && (err != nil || string(reply.Body) != "fine"):
			t.Errorf("the first call has %v, %v", reply, err)
		case i > 0 && (!errors.Is(err, transport.ErrBroken) || object.Executed(err) != object.ExecutedUnknown):
			t.Errorf("call %d has %v, %v", i, reply, err)
		}
	}
	if err := errors.Join(c.take(0, kindReply, nil), c.deliver()); !errors.Is(err, errGarbage) {
		t.Errorf("a reply to nobody, of nothing: %v", err)
	}
}

// Bodies of all sizes come as they are, in whatever memory the replies before have left.
func TestBodiesOfRepliesInMemoryThatWasUsed(t *testing.T) {
	t.Parallel()
	w := &waiter{conn: quiet(bounds{queue: 1 << 20, calls: 10})}
	for i, size := range []int{smallBody, 0, smallBody + 1, keptBody, 5, keptBody + 1, keptBody - 1, smallBody} {
		body := bytes.Repeat([]byte{byte(i + 1)}, size)
		payload := payloadOf(appendReply(nil, 1, &transport.Reply{Reply: object.Reply{Body: body}}, nil))
		if err := readReply(payload, nil, w); err != nil {
			t.Fatal(err)
		}
		clear(payload) // the next message is read there
		if !bytes.Equal(w.reply.Body, body) {
			t.Errorf("a body of %d bytes is one of %d", size, len(w.reply.Body))
		}
		w.Land()
		if cap(w.body) > keptBody || size == keptBody && cap(w.body) < size {
			t.Errorf("after a body of %d bytes there is memory for %d", size, cap(w.body))
		}
	}
}
