package transporttest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// patience is how long a condition may take to come about.
const patience = 30 * time.Second

// kit is what a test works with.
type kit struct {
	t       *testing.T
	ctx     context.Context // of the test
	net     Net
	clock   clock.Clock
	cluster string
}

func newKit(t *testing.T, net Net) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &kit{t: t, ctx: ctx, net: net, clock: clock.Virtual(), cluster: "cluster-" + rand.Text()}
}

// must fails the test for an error.
func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// peer is a peer that nobody was before.
func (k *kit) peer() transport.Peer {
	return transport.Peer{Cluster: k.cluster, Address: k.net.Address(), Incarnation: rand.Text()}
}

// listen is an endpoint that ends with the test.
func (k *kit) listen(self transport.Peer, h transport.Handler) transport.Endpoint {
	k.t.Helper()
	e, err := k.net.New(k.t).Listen(k.ctx, self, h)
	k.must(err)
	k.t.Cleanup(func() { k.close(e) })
	return e
}

// again listens once more where somebody listened before. On a real network the address may be in use for a moment, by
// whoever tries to connect to it.
func (k *kit) again(self transport.Peer, h transport.Handler) (e transport.Endpoint) {
	k.t.Helper()
	k.soon("the address to be free", func() bool {
		var err error
		e, err = k.net.New(k.t).Listen(k.ctx, self, h)
		return err == nil
	})
	k.t.Cleanup(func() { k.close(e) })
	return e
}

// close closes an endpoint and checks that this comes to an end.
func (k *kit) close(e transport.Endpoint) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), patience)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		k.t.Errorf("Close: %v", err)
	}
}

// pair is a caller, its link, and a callee with this handler.
func (k *kit) pair(h transport.Handler) (caller transport.Endpoint, link transport.Link, callee transport.Endpoint) {
	k.t.Helper()
	callee = k.listen(k.peer(), h)
	caller = k.listen(k.peer(), nobody{k.t})
	return caller, caller.Dial(callee.Peer()), callee
}

// nobody is the handler of an endpoint that must not be called.
type nobody struct{ t *testing.T }

// AcceptCall implements transport.Handler.
func (n nobody) AcceptCall(_ context.Context, c *transport.Call) func() *transport.Reply {
	n.t.Errorf("call %s.%s has arrived", c.ID, c.Method)
	return func() *transport.Reply { return &transport.Reply{} }
}

// handler is one made of functions.
type handler struct {
	accept func(ctx context.Context, c *transport.Call) // nil: nothing
	run    func(ctx context.Context, c *transport.Call) *transport.Reply
}

// AcceptCall implements transport.Handler.
func (h handler) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	if h.accept != nil {
		h.accept(ctx, c)
	}
	return func() *transport.Reply { return h.run(ctx, c) }
}

// echo answers with the request.
func echo(_ context.Context, c *transport.Call) *transport.Reply {
	return &transport.Reply{Reply: object.Reply{Message: c.Message, Body: c.Body}}
}

// call is a call of an object's method.
func call(id, method string, body ...byte) *transport.Call {
	return &transport.Call{Request: object.Request{ID: id, Method: method, Message: "test.Bytes", Body: body}}
}

// ask makes a call. All calls of the suite pass here, but for those that are about its halves.
func ask(ctx context.Context, link transport.Link, c *transport.Call) (*transport.Reply, error) {
	return link.Call(ctx, c)
}

// works checks that a link carries calls to an echo.
func (k *kit) works(what string, link transport.Link) {
	k.t.Helper()
	if reply, err := ask(k.ctx, link, call("Probe-1", "Echo", 1, 2, 3)); err != nil || reply.Err != nil || string(reply.Body) != "\x01\x02\x03" {
		k.t.Errorf("%s: Call = %+v, %v, want an echo", what, reply, err)
	}
}

// failed checks the error of a call that got no reply. A nil why is not compared.
func (k *kit) failed(what string, err error, code object.Code, executed object.Execution, why error) {
	k.t.Helper()
	e, ok := errors.AsType[*object.Error](err)
	if !ok {
		k.t.Errorf("%s: error %v, want an object.Error in its chain", what, err)
		return
	}
	if e.Code != code || object.Executed(err) != executed {
		k.t.Errorf("%s: %v, executed=%v, want %v, executed=%v", what, err, object.Executed(err), code, executed)
	}
	if why != nil && !errors.Is(err, why) {
		k.t.Errorf("%s: error %v, want %v in its chain", what, err, why)
	}
}

// refused checks the error of a call that was not sent because of the peer.
func (k *kit) refused(what string, err, why error) {
	k.t.Helper()
	k.failed(what, err, object.CodeUnavailable, object.ExecutedNo, why)
}

// soon waits for a condition.
func (k *kit) soon(what string, condition func() bool) {
	k.t.Helper()
	for !condition() {
		timer := k.clock.NewTimer(time.Millisecond)
		select {
		case <-timer.C:
		case <-k.ctx.Done():
			k.t.Fatalf("%s: waited too long", what)
		}
	}
}

// comes waits for a channel to be closed, or to have something.
func comes[T any](k *kit, what string, c <-chan T) (v T) {
	k.t.Helper()
	select {
	case v = <-c:
	case <-k.ctx.Done():
		k.t.Fatalf("%s: waited too long", what)
	}
	return v
}

// result is what Link.Call returned.
type result struct {
	reply *transport.Reply
	err   error
}

// begin makes a call on a goroutine of its own.
func begin(ctx context.Context, link transport.Link, c *transport.Call) <-chan result {
	done := make(chan result, 1)
	go func() {
		reply, err := ask(ctx, link, c)
		done <- result{reply, err}
	}()
	return done
}

// blocker is a handler whose calls say that they run, and return when they are let go or, unless they are stubborn,
// when their context ends. Calls of "Echo" are echoes.
type blocker struct {
	stubborn bool
	running  chan context.Context // the contexts of calls that run
	let      chan struct{}
	ended    chan context.Context // the contexts of calls that ended
	live     atomic.Int32
}

func newBlocker() *blocker {
	return &blocker{running: make(chan context.Context, 100), let: make(chan struct{}), ended: make(chan context.Context, 100)}
}

// AcceptCall implements transport.Handler.
func (b *blocker) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	return func() *transport.Reply {
		b.live.Add(1)
		defer b.live.Add(-1)
		if c.Method == "Echo" {
			return echo(ctx, c)
		}
		b.running <- ctx
		over := ctx.Done()
		if b.stubborn {
			over = nil
		}
		select {
		case <-over:
		case <-b.let:
		}
		b.ended <- ctx
		return echo(ctx, c)
	}
}

// number names a call.
func number(i int) (id transport.CallID) {
	copy(id[:], fmt.Sprintf("%016d", i))
	return id
}
