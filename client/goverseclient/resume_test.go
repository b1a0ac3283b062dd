package goverseclient_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

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

// unconnected waits until the client knows that its connection has gone: a call that it
// did not write ends as not executed.
func unconnected(t *testing.T, c *goverseclient.Client) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := c.Call(ctx, "NoSuch", nil)
		cancel()
		if object.CodeOf(err) == object.CodeDeadlineExceeded && object.Executed(err) == object.ExecutedNo {
			return
		}
	}
}
