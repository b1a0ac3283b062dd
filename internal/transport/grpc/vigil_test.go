package grpc

import (
	"context"
	"errors"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// vigilant is a caller with calls under way whose context is ctx.
func vigilant(ctx context.Context, t *testing.T, calls int) (c *caller, under []*waiter) {
	t.Helper()
	tr := New(Config{Clock: clock.Virtual()})
	c = &caller{waiters: &tr.waiters, cut: func() {}, free: func() {}}
	c.init(tr)
	for range calls {
		under = append(under, start(ctx, t, c))
	}
	return c, under
}

func start(ctx context.Context, t *testing.T, c *caller) *waiter {
	t.Helper()
	w, err := c.begin(ctx, &transport.Call{}, false, &bound{ctx: ctx, ended: ctx.Done()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// await is how a call ends; without a why, by a reply.
func await(ctx context.Context, w *waiter) outcome {
	if _, err := w.Wait(ctx); err != nil {
		return outcome{why: err, executed: object.Executed(err)}
	}
	w.Land()
	return outcome{}
}

// arrive has a reply to a call come.
func arrive(t *testing.T, c *caller, w *waiter) {
	t.Helper()
	reply := appendReply(nil, w.number, &transport.Reply{}, nil)
	if err := errors.Join(c.take(0, kindReply, payloadOf(reply)), c.deliver()); err != nil {
		t.Error(err)
	}
}

// Many calls whose contexts are one end with it, also those that begin after its end.
func TestManyCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	const calls = 3 * vigilFrom
	ctx, cancel := context.WithCancel(t.Context())
	c, under := vigilant(ctx, t, calls)
	other, stop := context.WithCancel(t.Context())
	defer stop()
	stranger := start(other, t, c)
	if c.vigil == nil || c.vigil.relying <= calls/2 {
		t.Fatalf("no vigil is held for most calls: %+v", c.vigil)
	}
	cancel()
	under = append(under, start(ctx, t, c))
	for i, w := range under {
		if o := await(ctx, w); !errors.Is(o.why, context.Canceled) || o.executed != object.ExecutedNo {
			t.Errorf("call %d ends with %+v", i, o)
		}
	}
	if len(stranger.done) != 0 || c.flights != 1 {
		t.Errorf("%d calls are under way, and one whose context lasts has %d outcomes", c.flights, len(stranger.done))
	}
	stop()
	if o := await(other, stranger); !errors.Is(o.why, context.Canceled) {
		t.Errorf("the other call ends with %+v", o)
	}
}

// A vigil ends when nobody relies on it any more, or when the connection breaks.
func TestTheEndOfAVigil(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*caller, []*waiter){
		"at rest": func(c *caller, under []*waiter) {
			for _, w := range under {
				c.retreat(w)
			}
			c.beat()
		},
		"broken": func(c *caller, _ []*waiter) { c.fail(transport.ErrBroken) },
		"another": func(c *caller, under []*waiter) {
			for _, w := range under {
				if c.slots[uint32(w.number)].vigil != nil {
					c.retreat(w)
				}
			}
			for range 2 * vigilFrom {
				start(t.Context(), t, c)
			}
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		c, under := vigilant(ctx, t, 3*vigilFrom)
		first := c.vigil
		c.beat()
		if c.vigil != first || first == nil {
			t.Fatalf("%s: the vigil is %+v, and %+v while calls rely on it", name, first, c.vigil)
		}
		end(c, under)
		if c.vigil == first || first.stop() {
			t.Errorf("%s: it goes on", name)
		}
		cancel()
	}
}
