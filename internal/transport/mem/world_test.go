package mem_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// world is two nodes, a and b, and a link from a to b, in a bubble. Calls of "Block" on b last until their context ends.
type world struct {
	*mem.Network

	t    *testing.T
	a, b transport.Endpoint
	link transport.Link

	mu       sync.Mutex // guards the fields below
	accepted []string   // bodies of the calls that b accepted, in order
	ended    []error    // why the contexts of b's blocked calls ended
}

const keepalive = 10 * time.Second

func inBubble(t *testing.T, opts mem.Options, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, Network: mem.New(clock.Virtual(), opts)}
		w.a, w.b = w.listen("a", w), w.listen("b", w)
		w.link = w.a.Dial(w.b.Peer())
		f(w)
	})
}

func (w *world) listen(address string, h transport.Handler) transport.Endpoint {
	w.t.Helper()
	e, err := w.Listen(w.t.Context(), transport.Peer{Cluster: "c", Address: address, Incarnation: "1"}, h)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	})
	return e
}

// AcceptCall implements transport.Handler.
func (w *world) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	w.mu.Lock()
	w.accepted = append(w.accepted, string(c.Body))
	w.mu.Unlock()
	return func() *transport.Reply {
		if c.Method == "Block" {
			<-ctx.Done()
			w.mu.Lock()
			w.ended = append(w.ended, ctx.Err())
			w.mu.Unlock()
		}
		return &transport.Reply{Reply: object.Reply{Body: c.Body}}
	}
}

// arrived is what b has accepted since the last time.
func (w *world) arrived() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.accepted
	w.accepted = nil
	return got
}

func call(id, method, body string) *transport.Call {
	return &transport.Call{Request: object.Request{ID: id, Method: method, Body: []byte(body)}}
}

// by is a call of one of several callers.
func by(caller byte, id, body string) *transport.Call {
	c := call(id, "Echo", body)
	c.Chain = []transport.Step{{Turn: transport.CallID{caller}}}
	return c
}

// outcome is how a call ended, and when.
type outcome struct {
	err  error
	took time.Duration
}

func (w *world) call(ctx context.Context, link transport.Link, method string) outcome {
	start := time.Now()
	reply, err := link.Call(ctx, call("X-1", method, method))
	if err == nil && string(reply.Body) != method {
		w.t.Errorf("the reply is %+v", reply)
	}
	return outcome{err, time.Since(start)}
}

func (w *world) begin(method string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() { done <- w.call(w.t.Context(), w.link, method) }()
	synctest.Wait()
	return done
}

// want checks how a call ended.
func (w *world) want(what string, got outcome, why error, executed object.Execution, took time.Duration) {
	w.t.Helper()
	if !errors.Is(got.err, why) || why == nil && got.err != nil {
		w.t.Errorf("%s: error %v, want %v", what, got.err, why)
	}
	if x := object.Executed(got.err); x != executed {
		w.t.Errorf("%s: executed=%v, want %v", what, x, executed)
	}
	if got.took != took {
		w.t.Errorf("%s took %v, want %v", what, got.took, took)
	}
}

// works checks that a link is in order.
func (w *world) works(what string, link transport.Link) {
	w.t.Helper()
	w.want(what, w.call(w.t.Context(), link, "Echo"), nil, object.ExecutedYes, 0)
	w.arrived()
}

func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}
