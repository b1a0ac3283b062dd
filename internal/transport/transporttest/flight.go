package transporttest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// fly starts a call and gives it back the bytes that it was made of, as the transport must not look at them any more.
func (k *kit) fly(ctx context.Context, link transport.Link, c *transport.Call) transport.Flight {
	k.t.Helper()
	f, err := link.Start(ctx, c)
	k.must(err)
	clear(c.Body)
	*c = transport.Call{}
	return f
}

// testFlights: one goroutine has many calls of one object under way. They are accepted in the order in which they were
// started, whatever the order in which they are waited for, and each gets its own reply.
func testFlights(k *kit) {
	const calls = 100
	var mu sync.Mutex
	var order []string
	h := handler{
		accept: func(_ context.Context, c *transport.Call) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, string(c.Body))
		},
		run: echo,
	}
	_, link, _ := k.pair(h)
	var flights []transport.Flight
	var want []string
	for i := range calls {
		body := strconv.Itoa(i)
		flights, want = append(flights, k.fly(k.ctx, link, call("Room-1", "Echo", []byte(body)...))), append(want, body)
	}
	for i, f := range slices.Backward(flights) {
		reply, err := f.Wait(k.ctx)
		k.must(err)
		if string(reply.Body) != want[i] {
			k.t.Errorf("the reply to call %d is %q", i, reply.Body)
		}
		f.Land()
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, want) {
		k.t.Errorf("the calls were accepted in the order %v", order)
	}
}

// testFlightsThatNobodyWaitsFor: calls whose replies have come, and which nobody has waited for, hold up no others.
func testFlightsThatNobodyWaitsFor(k *kit) {
	_, link, _ := k.pair(handler{run: echo})
	var flights []transport.Flight
	for range 10 {
		flights = append(flights, k.fly(k.ctx, link, call("Room-1", "Echo", 7)))
		k.works("beside "+strconv.Itoa(len(flights)), link)
	}
	for _, f := range flights {
		reply, err := f.Wait(k.ctx)
		k.must(err)
		if string(reply.Body) != "\x07" {
			k.t.Errorf("a reply that was not waited for at once is %q", reply.Body)
		}
		f.Land()
	}
}

// testFlightsEnd: a call that was started ends with its context, its deadline and its link, also where that comes before
// it is waited for.
func testFlightsEnd(k *kit) {
	b := newBlocker()
	b.stubborn = true
	caller, link, _ := k.pair(b)
	k.works("before", link)
	ended, cancel := context.WithCancel(k.ctx)
	flight := k.fly(ended, link, call("Room-1", "Block"))
	ctx := comes(k, "a call to run", b.running)
	cancel()
	_, err := flight.Wait(ended)
	k.failed("a call whose context has ended", err, object.CodeCanceled, object.ExecutedUnknown, context.Canceled)
	comes(k, "the end of the call's context", ctx.Done())

	short := call("Room-1", "Block")
	short.Deadline = k.clock.Now().Add(200 * time.Millisecond)
	flight = k.fly(k.ctx, link, short)
	comes(k, "the end of the call's time", comes(k, "a call to run", b.running).Done())
	_, err = flight.Wait(k.ctx)
	k.failed("a call whose time is over", err, object.CodeDeadlineExceeded, object.ExecutedUnknown, context.DeadlineExceeded)

	flight = k.fly(k.ctx, link, call("Room-1", "Block"))
	comes(k, "a call to run", b.running)
	link.Close()
	_, err = flight.Wait(k.ctx)
	k.failed("a call whose link was closed", err, object.CodeUnavailable, object.ExecutedUnknown, transport.ErrClosed)
	if _, err = link.Start(k.ctx, call("Room-1", "Block")); err == nil {
		k.t.Error("a call was started on a link that was closed")
	}
	k.refused("a call on a link that was closed", err, transport.ErrClosed)
	close(b.let)
	k.close(caller)
}
