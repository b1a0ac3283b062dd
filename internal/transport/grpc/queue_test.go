package grpc

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// quiet is a calling side without a network: the test is its writer.
func quiet(limits bounds) *caller {
	tr := New(Config{Clock: clock.Virtual()})
	c := &caller{waiters: &tr.waiters, cut: func() {}, free: func() {}}
	c.init(tr)
	c.bounds = limits
	return c
}

// send queues a call with a body of some bytes.
func send(t *testing.T, c *caller, size int) *waiter {
	t.Helper()
	w, err := c.begin(t.Context(), &transport.Call{Request: object.Request{Body: make([]byte, size)}}, false, &bound{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// leave is the next message, which leaves now.
func leave(c *caller) *[]byte {
	c.mu.Lock()
	c.sendOffLocked()
	c.mu.Unlock()
	return c.next()
}

// kinds is what the frames of the next message are.
func kinds(t *testing.T, c *caller) (all []kind) {
	t.Helper()
	p := packet{buffer: mem.SliceBuffer(*leave(c))}
	if err := p.parse(); err != nil {
		t.Fatal(err)
	}
	if err := c.each(&p, func(_ uint64, k kind, _ []byte) error { all = append(all, k); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func equal(t *testing.T, what string, got []kind, want ...kind) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: the frames are %v, want %v", what, got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: the frames are %v, want %v", what, got, want)
			return
		}
	}
}

// A pong says that what was before the ping has arrived, and what the peer sends after it has heard of a ping is not
// before it. So a pong leaves after what was queued when the ping came, and is not held up by what comes later.
func TestPongsLeaveInTheirPlace(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 10})
	ping := func(number uint64) {
		t.Helper()
		if err := c.control(kindPing, payloadOf(appendNumbered(nil, kindPing, number))); err != nil {
			t.Fatal(err)
		}
	}
	send(t, c, 1)
	send(t, c, alone)
	send(t, c, 1)
	ping(1)
	send(t, c, alone)
	send(t, c, 1)
	equal(t, "before the ping", kinds(t, c), kindCall)
	equal(t, "before the ping, a large one", kinds(t, c), kindCall)
	equal(t, "the last before the ping", kinds(t, c), kindCall, kindPong)
	equal(t, "after the ping, a large one", kinds(t, c), kindCall)
	ping(2)
	ping(3) // two pings, one pong
	c.sendPing()
	equal(t, "the last", kinds(t, c), kindCall, kindPing, kindPong)
	ping(4)
	equal(t, "nothing but a pong", kinds(t, c), kindPong)
}

// What is withdrawn is not sent, and a message of nothing else is not sent at all.
func TestWithdrawnCallsAreNotSent(t *testing.T) {
	t.Parallel()
	c := quiet(bounds{queue: 1 << 20, calls: 10})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	drop := func(w *waiter, executed object.Execution) {
		t.Helper()
		c.abandon(ended, w)
		if o := w.end; o.executed != executed || !errors.Is(o.why, context.Canceled) {
			t.Errorf("a call that is given up ends with %+v, want executed=%v", o, executed)
		}
	}
	first, large, last := send(t, c, 1), send(t, c, alone), send(t, c, 1)
	send(t, c, 1)
	drop(first, object.ExecutedNo)
	drop(large, object.ExecutedNo)
	drop(last, object.ExecutedNo)
	equal(t, "one that is left", kinds(t, c), kindVoid, kindCall)
	if c.queued != 0 || c.flights != 1 {
		t.Errorf("%d bytes are queued, %d calls under way", c.queued, c.flights)
	}
	sent := send(t, c, 1)
	equal(t, "a call", kinds(t, c), kindCall)
	drop(sent, object.ExecutedUnknown)
	equal(t, "a call that was sent is cancelled", kinds(t, c), kindCancel)
}
