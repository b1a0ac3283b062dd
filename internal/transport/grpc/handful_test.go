package grpc_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	pb "github.com/xiaonanln/goverse/proto"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// eager is a handler that holds up the last call of a message until the first one has run.
type eager struct {
	last  string
	began chan struct{}
	held  chan bool // whether that came true
}

// AcceptCall implements transport.Handler.
func (e *eager) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	method := c.Method
	if method == e.last {
		select {
		case <-e.began:
			e.held <- true
		case <-ctx.Done():
			e.held <- false
		}
	}
	return func() *transport.Reply {
		if method == "first" {
			close(e.began)
		}
		return &transport.Reply{}
	}
}

// Calls begin to run while the rest of their message is being accepted.
func TestCallsBeginBeforeTheirMessageEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	e := &eager{last: "last", began: make(chan struct{}), held: make(chan bool, 1)}
	w.callee = w.listen(grpc.Config{}, peer("127.0.0.1:0"), e)
	frames := grpc.CallFrame(1, call("first"))
	for i := range uint64(grpc.Handful) {
		frames = append(frames, grpc.CallFrame(2+i, call("between"))...)
	}
	frames = append(frames, grpc.CallFrame(2+grpc.Handful, call("last"))...)
	w.greeted().send(&pb.LinkRequest{Frames: frames})
	select {
	case ran := <-e.held:
		if !ran {
			t.Error("the first call of a message did not run before the last one was accepted")
		}
	case <-w.ctx.Done():
		t.Error("the last call was not accepted")
	}
}

// Whoever was expected comes, so that nothing waits for nobody: callers who are given up too.
func TestNobodyIsExpectedInTheEnd(t *testing.T) {
	t.Parallel()
	calling, called := company.New(clock.System()), company.New(clock.System())
	w := newWorld(t, grpc.Config{Company: calling}, grpc.Config{Company: called})
	var working sync.WaitGroup
	for i := range 64 {
		working.Go(func() {
			for range 50 {
				ctx, cancel := context.WithTimeout(w.ctx, time.Duration(i)*50*time.Microsecond)
				_, _ = w.link.Call(ctx, call("Echo"))
				cancel()
			}
		})
	}
	working.Wait()
	w.works("afterwards", w.link)
	w.soon("nobody is expected", func() bool { return calling.Expected() == 0 && called.Expected() == 0 })
}
