package grpc_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// patience is how long a condition may take to come about.
const patience = 30 * time.Second

// brief is a Keepalive for tests that wait for silence to be noticed.
const brief = 400 * time.Millisecond

func peer(address string) transport.Peer {
	return transport.Peer{Cluster: "c", Address: address, Incarnation: rand.Text()}
}

// world is a caller and a callee, whose methods are Echo and Block, which lasts until its context ends.
type world struct {
	t              testing.TB
	ctx            context.Context
	caller, callee transport.Endpoint
	link           transport.Link // directly
	ran            *record
}

// record is what a callee has seen.
type record struct {
	mu     sync.Mutex               // guards the fields below
	calls  map[transport.CallID]int // how often each was accepted
	oneWay int
	ended  chan error // causes of the ends of Block
	began  chan struct{}
}

func newWorld(tb testing.TB, caller, callee grpc.Config) *world {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	w := &world{t: tb, ctx: ctx, ran: newRecord()}
	w.callee = w.listen(callee, peer("127.0.0.1:0"), w.ran)
	w.caller = w.listen(caller, peer("127.0.0.1:0"), newRecord())
	w.link = w.caller.Dial(w.callee.Peer())
	return w
}

func newRecord() *record {
	return &record{calls: map[transport.CallID]int{}, ended: make(chan error, 1<<16), began: make(chan struct{}, 1<<16)}
}

func (w *world) listen(cfg grpc.Config, self transport.Peer, h transport.Handler) transport.Endpoint {
	w.t.Helper()
	e, err := grpc.New(cfg).Listen(w.ctx, self, h)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.close(e) })
	return e
}

func (w *world) close(e transport.Endpoint) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		w.t.Errorf("Close: %v", err)
	}
}

// through is a link by way of a proxy.
func (w *world) through(p *proxy) transport.Link {
	to := w.callee.Peer()
	to.Address = p.address()
	return w.caller.Dial(to)
}

// AcceptCall implements transport.Handler.
func (r *record) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	r.mu.Lock()
	r.calls[c.CallID]++
	if c.OneWay {
		r.oneWay++
	}
	r.mu.Unlock()
	return func() *transport.Reply {
		if c.Method == "Block" {
			r.began <- struct{}{}
			<-ctx.Done()
			r.ended <- context.Cause(ctx)
		}
		return &transport.Reply{Reply: object.Reply{Message: c.Message, Body: c.Body}}
	}
}

func (r *record) count(id transport.CallID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[id]
}

func (r *record) sends() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.oneWay
}

func call(method string, body ...byte) *transport.Call {
	c := &transport.Call{Request: object.Request{ID: "Room-1", Method: method, Message: "test.Bytes", Body: body}}
	rand.Read(c.CallID[:])
	return c
}

// works checks that a link carries calls.
func (w *world) works(what string, link transport.Link) {
	w.t.Helper()
	if r, err := link.Call(w.ctx, call("Echo", 1, 2, 3)); err != nil || r.Err != nil || string(r.Body) != "\x01\x02\x03" {
		w.t.Errorf("%s: Call = %+v, %v, want an echo", what, r, err)
	}
}

// fails checks how a call ends that has no reply.
func (w *world) fails(what string, err, why error, executed object.Execution) {
	w.t.Helper()
	if !errors.Is(err, why) || object.Executed(err) != executed {
		w.t.Errorf("%s: %v, executed=%v, want %v, executed=%v", what, err, object.Executed(err), why, executed)
	}
	ofContext := errors.Is(why, context.Canceled) || errors.Is(why, context.DeadlineExceeded)
	if !ofContext && object.CodeOf(err) != object.CodeUnavailable {
		w.t.Errorf("%s: %v has the code %v, want unavailable", what, err, object.CodeOf(err))
	}
}

// begin makes a call on a goroutine of its own.
func (w *world) begin(ctx context.Context, link transport.Link, c *transport.Call) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := link.Call(ctx, c)
		done <- err
	}()
	return done
}

// soon waits for a condition.
func (w *world) soon(what string, condition func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatalf("%s: waited too long", what)
		}
	}
}

// comes waits for something on a channel.
func comes[T any](w *world, what string, c <-chan T) (v T) {
	w.t.Helper()
	select {
	case v = <-c:
	case <-w.ctx.Done():
		w.t.Fatalf("%s: waited too long", what)
	}
	return v
}
