package goverseclient_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/client/goverseclient"
	"github.com/xiaonanln/goverse/object"
)

// The connection is cut all the time, in the middle of whatever goes over it: each call
// has one outcome and runs once, in the order of its caller, and each push arrives once,
// in order.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	const callers, calls = 8, 400
	f := start(t)
	via := newProxy(t, f.addr)
	via.cutAfter(func() int { return 400 + rand.N(6000) })
	c, id := f.dialAt(via.addr(), goverseclient.WithPushBuffer(3))
	var pushes sync.WaitGroup
	pushes.Go(func() {
		for i := 1; i <= callers*calls; i++ {
			msg, ok := <-c.Pushes()
			if !ok {
				t.Errorf("pushes end before number %d: %v", i, c.Err())
				return
			}
			if !isWord(msg, strconv.Itoa(i)) {
				t.Errorf("push %d is %v", i, msg)
				return
			}
		}
	})
	var pushed int
	var pushing sync.Mutex
	f.node.ran = func(string) { // each call pushes
		pushing.Lock()
		defer pushing.Unlock()
		pushed++
		if err := f.svc.Push(context.Background(), id, word(strconv.Itoa(pushed))); err != nil {
			t.Errorf("push: %v", err)
		}
	}
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range calls {
				text := fmt.Sprintf("%d/%d/%s", caller, i, strings.Repeat("x", rand.N(300)))
				got, err := goverseclient.Call[*wrapperspb.StringValue](t.Context(), c, "Echo", word(text))
				if err != nil || got.GetValue() != text {
					t.Errorf("call %s: %v, %v", text, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	pushes.Wait()
	if n := via.count(); n < 20 {
		t.Errorf("only %d cuts", n)
	}
	f.node.checkOnce(t, callers, calls)
}

// checkOnce checks that each call of TestNothingIsLostOrDoubled ran once, in its
// caller's order.
func (e *echo) checkOnce(t *testing.T, callers, calls int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	next := make([]int, callers)
	for _, text := range e.log {
		var caller, i int
		if _, err := fmt.Sscanf(text, "%d/%d/", &caller, &i); err != nil || next[caller] != i {
			t.Fatalf("%q ran where call %d was next", text, next[caller])
		}
		next[caller]++
	}
	for caller, n := range next {
		if n != calls {
			t.Errorf("%d calls of caller %d ran", n, caller)
		}
	}
}

// While there is no connection calls wait, until their contexts end or there is one.
func TestCallsWaitForTheConnection(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, _ := f.dialAt(via.addr())
	begun, free := make(chan struct{}), make(chan struct{})
	f.node.ran = func(string) { begun <- struct{}{}; <-free }
	running := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "Echo", word("runs"))
		running <- err
	}()
	<-begun
	via.set(true, false)
	via.cut()
	ctx, cancel := context.WithCancel(t.Context())
	waiting, leaving := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "Echo", word("waits"))
		waiting <- err
	}()
	go func() {
		_, err := c.Call(ctx, "Echo", word("leaves"))
		leaving <- err
	}()
	cancel()
	if err := <-leaving; object.CodeOf(err) != object.CodeCanceled {
		t.Errorf("the call whose context has ended: %v", err)
	}
	close(free)
	via.set(false, false)
	<-begun // the one that waited
	for _, outcome := range []chan error{running, waiting} {
		if err := <-outcome; err != nil {
			t.Errorf("call: %v", err)
		}
	}
}

// A call that has not been written is withdrawn when its context ends.
func TestWithdrawnCallsDoNotRun(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, _ := f.dialAt(via.addr())
	via.set(true, false)
	via.cut()
	unconnected(t, c)
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := c.Call(ctx, "Echo", word("x"))
		expect(t, err, object.ErrDeadlineExceeded, object.ExecutedNo)
		cancel()
	}
	via.set(false, false)
	if _, err := c.Call(t.Context(), "Echo", word("y")); err != nil {
		t.Error(err)
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if len(f.node.log) != 1 || f.node.log[0] != "y" {
		t.Errorf("ran: %q", f.node.log)
	}
}

// unconnected waits until the client knows that its connection has gone, which nothing
// else says.
func unconnected(t *testing.T, c *goverseclient.Client) {
	t.Helper()
	for c.Connected() {
		runtime.Gosched()
	}
}

// When the session cannot be resumed the client is told, and so are those who wait: what
// was written may have run.
func TestWhatCannotBeResumed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts []goverseclient.Option
		end  func(f *fixture, via *proxy)
	}{
		"resume is off": {[]goverseclient.Option{goverseclient.WithResume(-1)}, func(_ *fixture, via *proxy) { via.cut() }},
		"too late": {[]goverseclient.Option{goverseclient.WithResume(time.Millisecond)}, func(_ *fixture, via *proxy) {
			via.set(true, false)
			via.cut()
		}},
		"the server has forgotten": {nil, func(f *fixture, via *proxy) {
			via.set(true, false)
			via.cut()
			f.svc.LoseAll()
			<-f.node.detached
			via.set(false, false)
		}},
		"the server has stopped": {nil, func(f *fixture, via *proxy) {
			via.set(true, false)
			via.cut()
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the call that runs would hold up the stop: it is cancelled
			_ = f.svc.Stop(ctx)
			via.set(false, false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			via := newProxy(t, f.addr)
			c, _ := f.dialAt(via.addr(), test.opts...)
			called := make(chan error, 1)
			go func() {
				_, err := c.Call(t.Context(), "Block", nil)
				called <- err
			}()
			<-f.node.blocked
			test.end(f, via)
			expect(t, <-called, object.ErrUnavailable, object.ExecutedUnknown)
			f.svc.LoseAll() // a call that runs holds up a stop
			<-c.Done()
			if e := object.FromError(c.Err()); e == nil || e.Code != object.CodeUnavailable {
				t.Errorf("the client says %v", c.Err())
			}
			_, err := c.Call(t.Context(), "Echo", nil)
			expect(t, err, object.ErrUnavailable, object.ExecutedNo)
		})
	}
}

// A call that waits for the connection when the session ends was not executed.
func TestWhatWasNotWrittenDidNotRun(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, _ := f.dialAt(via.addr())
	via.set(true, false)
	via.cut()
	unconnected(t, c)
	called := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "Echo", word("x"))
		called <- err
	}()
	f.svc.LoseAll()
	<-f.node.detached
	via.set(false, false)
	expect(t, <-called, object.ErrUnavailable, object.ExecutedNo)
}

// Close does not wait for a connection.
func TestCloseWithoutConnection(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, _ := f.dialAt(via.addr())
	via.set(true, false)
	via.cut()
	unconnected(t, c)
	called := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "Echo", word("x"))
		called <- err
	}()
	if err := c.Close(); err != nil || c.Err() != nil {
		t.Errorf("close: %v, %v", err, c.Err())
	}
	if err := <-called; object.CodeOf(err) != object.CodeCanceled && object.CodeOf(err) != object.CodeUnavailable || object.Executed(err) != object.ExecutedNo {
		t.Errorf("a call that was not written: %v, executed %v", err, object.Executed(err))
	}
}

// A server that does not answer holds up Close for a moment only.
func TestCloseOfASilentConnection(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, _ := f.dialAt(via.addr())
	via.set(false, true)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Calls that one caller begins one after the other, without waiting, arrive in that
// order: one goroutine begins each when the one before is on its way.
func TestCallsOfOneClientAreInOrder(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, _ := f.dial()
	const calls = 1000
	for i := range calls {
		if _, err := c.Call(t.Context(), "Echo", word(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	for i, text := range f.node.log {
		if text != strconv.Itoa(i) {
			t.Fatalf("number %d is %s", i, text)
		}
	}
}

// A call whose caller leaves is told so, and its reply is nobody's; others go on.
func TestCancelReachesTheMethod(t *testing.T) {
	t.Parallel()
	f := start(t)
	c, _ := f.dial()
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, "Block", nil)
		called <- err
	}()
	<-f.node.blocked
	cancel()
	expect(t, <-called, object.ErrCanceled, object.ExecutedUnknown)
	<-f.node.unblocked
	if _, err := c.Call(t.Context(), "Echo", word("x")); err != nil {
		t.Error(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Call(ctx, "Block", nil)
	expect(t, err, object.ErrDeadlineExceeded, object.ExecutedUnknown)
	<-f.node.unblocked
	<-ctx.Done() // the server's clock may have been first
	_, err = c.Call(ctx, "Block", nil)
	expect(t, err, object.ErrDeadlineExceeded, object.ExecutedNo)
}

// A method whose caller left while there was no connection is told when there is one.
func TestCancelIsToldAfterResuming(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, _ := f.dialAt(via.addr())
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan error, 1)
	go func() {
		_, err := c.Call(ctx, "Block", nil)
		called <- err
	}()
	<-f.node.blocked
	via.set(true, false)
	via.cut()
	unconnected(t, c)
	cancel()
	expect(t, <-called, object.ErrCanceled, object.ExecutedUnknown)
	via.set(false, false)
	<-f.node.unblocked
}

// More calls than the server takes at a time wait their turn in the client.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	f := start(t, client.Limits{Calls: 100, CallBytes: 200_000})
	c, _ := f.dial()
	for _, size := range []int{1, 10_000} {
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if _, err := c.Call(t.Context(), "Echo", word(strings.Repeat("x", size))); err != nil {
					t.Errorf("call: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

// What has arrived and was not taken when the connection broke is sent again, and
// delivered once.
func TestPushesThatWaitAreNotDoubled(t *testing.T) {
	t.Parallel()
	f := start(t)
	via := newProxy(t, f.addr)
	c, id := f.dialAt(via.addr(), goverseclient.WithPushBuffer(-1))
	const pushes = 10
	for i := range pushes {
		if err := f.svc.Push(t.Context(), id, word(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // the pushes come with the replies, or before
		if _, err := c.Call(t.Context(), "Echo", nil); err != nil {
			t.Error(err)
		}
	}
	via.set(true, false)
	via.cut()
	unconnected(t, c)
	via.set(false, false)
	if _, err := c.Call(t.Context(), "Echo", nil); err != nil {
		t.Error(err)
	}
	if err := f.svc.Push(t.Context(), id, word(strconv.Itoa(pushes))); err != nil {
		t.Error(err)
	}
	for i := range pushes + 1 {
		if msg := <-c.Pushes(); !isWord(msg, strconv.Itoa(i)) {
			t.Fatalf("push %d is %v: %v", i, msg, c.Err())
		}
	}
}
