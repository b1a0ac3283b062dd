package transporttest

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

func testCancellation(k *kit) {
	b := newBlocker()
	_, link, _ := k.pair(b)
	ctx, cancel := context.WithCancel(k.ctx)
	done := begin(ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	other := begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the other call", b.running)
	cancel()
	k.failed("a cancelled call", comes(k, "its return", done).err, object.CodeCanceled, object.ExecutedUnknown, context.Canceled)
	if err := comes(k, "the end of its context", b.ended).Err(); !errors.Is(err, context.Canceled) {
		k.t.Errorf("the callee's context ended with %v", err)
	}
	close(b.let)
	if r := comes(k, "the other call's reply", other); r.err != nil {
		k.t.Errorf("the other call: %v", r.err)
	}
	comes(k, "the other call's end", b.ended)

	// What ended the context is told as well.
	causing, cancelCause := context.WithCancelCause(k.ctx)
	why := errors.New("no more interest")
	cancelCause(why)
	_, err := ask(causing, link, call("Room-1", "Block"))
	k.failed("a call with a cause", err, object.CodeCanceled, object.ExecutedNo, why)
}

// A method that does not listen does not hold its caller.
func testCallReturns(k *kit) {
	b := newBlocker()
	b.stubborn = true
	_, link, _ := k.pair(b)
	ctx, cancel := context.WithCancel(k.ctx)
	done := begin(ctx, link, call("Room-1", "Block"))
	running := comes(k, "the call", b.running)
	cancel()
	k.failed("a cancelled call", comes(k, "its return", done).err, object.CodeCanceled, object.ExecutedUnknown, nil)
	if b.live.Load() != 1 {
		k.t.Error("the call does not run any more")
	}
	comes(k, "the callee to be told that its caller has left", running.Done())
	close(b.let)
	comes(k, "the call's end", b.ended)
	k.works("after a reply that nobody waits for", link)
}

func testDeadline(k *kit) {
	ended, let := make(chan error, 1), make(chan struct{})
	var ran atomic.Bool
	_, link, _ := k.pair(handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		ran.Store(true)
		deadline, ok := ctx.Deadline()
		if left := deadline.Sub(k.clock.Now()); !ok || left > c.Timeout {
			k.t.Errorf("the context's deadline is in %v (%v), of %v", left, ok, c.Timeout)
		}
		<-ctx.Done()
		ended <- ctx.Err()
		<-let
		return echo(ctx, c)
	}})
	for limit := 20 * time.Millisecond; !ran.Load(); limit *= 2 { // until it leaves in time
		ctx, cancel := context.WithTimeout(k.ctx, limit)
		_, err := ask(ctx, link, call("Room-1", "Block"))
		executed := object.Executed(err)
		if executed == object.ExecutedNo && ran.Load() {
			k.t.Errorf("a call that ran: %v, executed=%v", err, executed)
		}
		k.failed("a call that takes too long", err, object.CodeDeadlineExceeded, executed, context.DeadlineExceeded)
		cancel()
		if executed == object.ExecutedUnknown {
			break
		}
	}
	if err := comes(k, "the end of its context", ended); err == nil {
		k.t.Error("the callee's context has not ended")
	}
	close(let)
}

func testSendDeadline(k *kit) {
	b := newBlocker()
	_, link, _ := k.pair(b)
	c := call("Room-1", "Block")
	var err error
	for c.Timeout = 20 * time.Millisecond; ; c.Timeout *= 2 { // until it leaves in time
		if err = link.Send(k.ctx, c); err == nil {
			break
		}
		k.failed("Send with little time", err, object.CodeDeadlineExceeded, object.ExecutedNo, context.DeadlineExceeded)
	}
	comes(k, "the call", b.running)
	if err := comes(k, "the end of its context", b.ended).Err(); !errors.Is(err, context.DeadlineExceeded) {
		k.t.Errorf("the callee's context ended with %v", err)
	}

	c.Timeout = -time.Nanosecond
	k.failed("Send without time", link.Send(k.ctx, c), object.CodeDeadlineExceeded, object.ExecutedNo, context.DeadlineExceeded)
	k.works("afterwards", link)
	if len(b.running) > 0 {
		k.t.Error("a call without time has arrived")
	}
}

// Neither the end of Send's context nor that of the link ends a call that was sent.
func testSendOutlives(k *kit) {
	b := newBlocker()
	caller, link, callee := k.pair(b)
	ctx, cancel := context.WithCancel(k.ctx)
	k.must(link.Send(ctx, call("Room-1", "Block")))
	comes(k, "the call", b.running)
	cancel()
	k.works("after the end of the context", link) // and whatever was to be told has been
	link.Close()
	k.close(caller)
	again := k.listen(k.peer(), nobody{k.t})
	k.works("another link", again.Dial(callee.Peer()))
	if b.live.Load() != 1 {
		k.t.Error("the call has ended with its context or link")
	}
	close(b.let)
	comes(k, "the call's end", b.ended)
}

func testEndedContext(k *kit) {
	h := handler{accept: func(_ context.Context, c *transport.Call) {
		if c.Method != "Echo" {
			k.t.Errorf("a call has arrived: %s", c.Method)
		}
	}, run: echo}
	_, link, _ := k.pair(h)
	cancelled, cancel := context.WithCancel(k.ctx)
	cancel()
	expired, cancel := context.WithTimeout(k.ctx, -1)
	defer cancel()
	for range 2 { // not connected, and connected
		for ctx, code := range map[context.Context]object.Code{cancelled: object.CodeCanceled, expired: object.CodeDeadlineExceeded} {
			_, err := ask(ctx, link, call("Room-1", "Late"))
			k.failed("Call", err, code, object.ExecutedNo, ctx.Err())
			k.failed("Send", link.Send(ctx, call("Room-1", "Late")), code, object.ExecutedNo, ctx.Err())
		}
		k.works("afterwards", link)
	}
	e, err := k.net.New(k.t).Listen(cancelled, k.peer(), h)
	if err == nil {
		k.t.Error("Listen with an ended context has succeeded")
		k.close(e)
	}
}

// key is a key of context values.
type key string

// A handler's context has the values of Listen's context, but not its end, and nothing of the caller's.
func testHandlerContext(k *kit) {
	base, cancel := context.WithCancel(context.WithValue(k.ctx, key("callee"), 1))
	contexts := make(chan context.Context, 1)
	callee, err := k.net.New(k.t).Listen(base, k.peer(), handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		contexts <- ctx
		if ctx.Value(key("callee")) != 1 || ctx.Value(key("caller")) != nil {
			k.t.Errorf("values of the contexts: callee's %v, caller's %v", ctx.Value(key("callee")), ctx.Value(key("caller")))
		}
		if ctx.Err() != nil {
			k.t.Errorf("the context has ended before the call: %v", ctx.Err())
		}
		return echo(ctx, c)
	}})
	k.must(err)
	k.t.Cleanup(func() { k.close(callee) })
	cancel()
	caller := k.listen(k.peer(), nobody{k.t})
	link := caller.Dial(callee.Peer())
	for range 2 {
		_, err = ask(context.WithValue(k.ctx, key("caller"), 1), link, call("Room-1", "Look"))
		k.must(err)
		comes(k, "the context to end after the call", comes(k, "the context", contexts).Done())
	}
}

func testHandlerFailures(k *kit) {
	run := func(ctx context.Context, c *transport.Call) *transport.Reply {
		switch c.Method {
		case "Panic":
			panic("on purpose") //nolint:forbidigo // it is what is tested
		case "Exit":
			runtime.Goexit()
		case "NoReply":
			return nil
		}
		return echo(ctx, c)
	}
	_, link, _ := k.pair(failing{run})
	b := begin(k.ctx, link, call("Room-1", "Echo"))
	for _, method := range []string{"Panic", "Exit", "NoReply", "AcceptPanic", "AcceptNothing"} {
		reply, err := ask(k.ctx, link, call("Room-1", method))
		k.must(err)
		k.failed(method, reply.Err, object.CodeInternal, object.ExecutedUnknown, nil)
		k.must(link.Send(k.ctx, call("Room-1", method)))
		k.works("after "+method, link)
	}
	k.must(comes(k, "a call beside them", b).err)
}

// failing is a handler that fails in AcceptCall or as run does.
type failing struct {
	run func(ctx context.Context, c *transport.Call) *transport.Reply
}

// AcceptCall implements transport.Handler.
func (f failing) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	switch c.Method {
	case "AcceptPanic":
		panic(errors.New("on purpose")) //nolint:forbidigo // it is what is tested
	case "AcceptNothing":
		return nil
	}
	return func() *transport.Reply { return f.run(ctx, c) }
}
