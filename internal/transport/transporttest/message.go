package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// odd is text that is not UTF-8 and has every byte.
func odd() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// fullCall has every field set, to something that is easily lost.
func fullCall() *transport.Call {
	return &transport.Call{
		Request: object.Request{
			ID: "Room-" + odd(), Method: "M" + odd(), Message: "test.M" + odd(), Body: []byte(odd()), Key: "key" + odd(),
			Metadata: map[string]string{"a": "b", "empty": "", "odd" + odd(): odd()},
		},
		CallID: number(1), Op: 200, From: "somebody else", OneWay: true, AtMostOnce: true, Resent: true, Timeout: time.Hour,
		Deadline: time.Date(2222, 2, 2, 2, 2, 2, 0, time.UTC),
		Shard:    math.MaxUint32, Epoch: math.MaxUint64, Revision: math.MinInt64, Hops: math.MaxUint8,
		Chain: []transport.Step{
			{ID: "A-1", Method: "X", Turn: number(2)},
			{ID: odd(), Method: odd(), Turn: transport.CallID{0xff}},
			{},
		},
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "vendor=" + odd(),
	}
}

// catch is a handler that hands over the calls and answers with a reply.
func catch(reply *transport.Reply) (handler, chan *transport.Call) {
	got := make(chan *transport.Call, 1)
	return handler{run: func(_ context.Context, c *transport.Call) *transport.Reply {
		got <- c
		return reply
	}}, got
}

// filled checks that a message has all its fields set, so that a new field is not forgotten here.
func (k *kit) filled(message any, except ...string) {
	k.t.Helper()
	v := reflect.ValueOf(message)
	for _, f := range reflect.VisibleFields(v.Type()) {
		if v.FieldByIndex(f.Index).IsZero() && !slices.Contains(except, f.Name) {
			k.t.Errorf("%T.%s is not tested", message, f.Name)
		}
	}
}

// same compares what arrived.
func (k *kit) same(what string, got, want any) {
	k.t.Helper()
	if !reflect.DeepEqual(got, want) {
		k.t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func testRoundTrip(k *kit) {
	answer := &transport.Reply{
		Reply: object.Reply{Message: "test.R" + odd(), Body: []byte(odd())},
		Epoch: math.MaxUint64, Revision: math.MaxInt64,
		Owner: &transport.Peer{Cluster: "c", Address: "elsewhere:1", Incarnation: odd()},
	}
	h, got := catch(answer)
	caller, link, _ := k.pair(h)
	sent := fullCall()
	k.filled(*sent, "Local")
	k.filled(*answer, "Err", "Spent")
	reply, err := ask(k.ctx, link, sent)
	k.must(err)
	k.same("the caller's call, afterwards", sent, fullCall())
	k.same("the reply", reply, answer)

	want := fullCall()
	want.From, want.OneWay = caller.Peer().Incarnation, false
	arrived := comes(k, "the call", got)
	if left := arrived.Timeout; left <= 0 || left > patience {
		k.t.Errorf("Timeout = %v, want that of the context", left)
	}
	want.Timeout, want.Deadline = arrived.Timeout, time.Time{}
	k.same("the call", arrived, want)

	sent.Deadline = time.Time{}
	_, err = ask(context.WithoutCancel(k.ctx), link, sent)
	k.must(err)
	if left := comes(k, "the call", got).Timeout; left != 0 {
		k.t.Errorf("Timeout = %v of a context without a deadline, want 0", left)
	}
	sent.Deadline = k.clock.Now().Add(time.Hour)
	_, err = ask(context.WithoutCancel(k.ctx), link, sent)
	k.must(err)
	if left := comes(k, "the call", got).Timeout; left <= patience || left > time.Hour {
		k.t.Errorf("Timeout = %v of a context without a deadline, want the call's own hour", left)
	}
}

func testRoundTripOfNothing(k *kit) {
	h, got := catch(&transport.Reply{})
	caller, link, _ := k.pair(h)
	for _, sent := range []*transport.Call{
		{},
		{Request: object.Request{Body: []byte{}, Metadata: map[string]string{}}, Chain: []transport.Step{}},
	} {
		reply, err := ask(context.WithoutCancel(k.ctx), link, sent)
		k.must(err)
		if len(reply.Body) > 0 {
			k.t.Errorf("the reply's body is %q", reply.Body)
		}
		reply.Body = nil
		k.same("the reply", reply, &transport.Reply{})
		c := comes(k, "the call", got)
		if len(c.Body)+len(c.Metadata)+len(c.Chain) > 0 {
			k.t.Errorf("an empty call arrived as %+v", c)
		}
		c.Body, c.Metadata, c.Chain = nil, nil, nil
		k.same("the call", c, &transport.Call{From: caller.Peer().Incarnation})
	}
}

func testSend(k *kit) {
	h, got := catch(&transport.Reply{Err: object.ErrInternal}) // nobody hears of it
	caller, link, _ := k.pair(h)
	sent := fullCall()
	sent.OneWay = false
	k.must(link.Send(k.ctx, sent))
	want := fullCall()
	want.From, want.OneWay = caller.Peer().Incarnation, true
	arrived := comes(k, "the call", got)
	if left := arrived.Timeout; left <= time.Hour-patience || left > time.Hour {
		k.t.Errorf("Timeout = %v, want what is left of an hour", left)
	}
	want.Timeout, want.Deadline = arrived.Timeout, time.Time{}
	k.same("the call", arrived, want)

	k.must(link.Send(k.ctx, sent)) // over a link that has been there for a while
	if left := comes(k, "the call", got).Timeout; left <= time.Hour-patience || left > time.Hour {
		k.t.Errorf("Timeout = %v, want what is left of an hour", left)
	}

	sent.Timeout = 0
	k.must(link.Send(k.ctx, sent))
	if left := comes(k, "the call", got).Timeout; left != 0 {
		k.t.Errorf("Timeout = %v, want 0: the context bounds only Send", left)
	}
}

// testFlush: what was sent before has arrived then, small and large; so the link may go.
func testFlush(k *kit) {
	const sends = 300
	var arrived atomic.Int64
	_, link, _ := k.pair(handler{run: func(context.Context, *transport.Call) *transport.Reply {
		arrived.Add(1)
		return &transport.Reply{}
	}})
	k.must(link.Flush(k.ctx)) // nothing was sent
	for i := range sends {
		body := make([]byte, 5000)
		if i%10 == 0 {
			body = make([]byte, 40_000)
		}
		k.must(link.Send(k.ctx, call(fmt.Sprintf("Room-%d", i), "Hear", body...)))
	}
	k.must(link.Flush(k.ctx))
	link.Close()
	k.soon("all to have run", func() bool { return arrived.Load() == sends })
	k.must(link.Flush(k.ctx)) // there is nothing to wait for any more

	ended, end := context.WithCancel(k.ctx)
	end()
	_, stuck, _ := k.pair(handler{run: func(context.Context, *transport.Call) *transport.Reply { return &transport.Reply{} }})
	k.must(stuck.Send(k.ctx, call("Room-1", "Hear")))
	if err := stuck.Flush(ended); err != nil && !errors.Is(err, context.Canceled) {
		k.t.Errorf("Flush whose context has ended: %v", err)
	}
}

func testErrorsCross(k *kit) {
	sent := make(chan *transport.Reply, 1)
	_, link, _ := k.pair(handler{run: func(context.Context, *transport.Call) *transport.Reply { return <-sent }})
	check := func(e *object.Error) {
		k.t.Helper()
		want := &transport.Reply{Err: e, Epoch: 7, Revision: 8, Owner: &transport.Peer{Address: "o"}}
		sent <- want
		got, err := ask(k.ctx, link, call("Room-1", "Fail"))
		k.must(err) // there is a reply
		if got.Err == nil {
			k.t.Fatalf("%v: no error has arrived", e)
		}
		if object.Executed(got.Err) != object.Executed(e) {
			k.t.Errorf("%v: executed=%v, want %v", e, object.Executed(got.Err), object.Executed(e))
		}
		got.Body = nil
		k.same("the reply", got, want)
	}
	for code := object.CodeCanceled; code <= object.CodeUnauthenticated+1; code++ {
		for _, x := range []object.Execution{object.ExecutedUnknown, object.ExecutedNo, object.ExecutedYes} {
			check((&object.Error{
				Code: code, Reason: "Reason" + object.Reason(code.String()), Message: "why " + odd(),
				Op: "op", ID: "Other-" + odd(), Method: "M" + odd(),
			}).WithExecuted(x))
		}
	}
	check(&object.Error{Code: object.CodeUnknown}) // nothing but the code
	check(&object.Error{Code: object.CodeResourceExhausted, Reason: object.Overloaded, RetryAfter: 1234567 * time.Microsecond})
	sent <- &transport.Reply{Err: &object.Error{Code: object.CodeAborted, RetryAfter: -time.Second}} // no advice
	got, err := ask(k.ctx, link, call("Room-1", "Fail"))
	k.must(err)
	if got.Err == nil || got.Err.RetryAfter != 0 {
		k.t.Errorf("the error is %+v, want no advice", got.Err)
	}
	check(object.NewError(object.CodeAborted, strings.Repeat("a long story ", 1<<17)).WithExecuted(object.ExecutedYes))
	for _, sentinel := range []*object.Error{object.ErrDeadlock, object.ErrFenced, object.ErrNotRegistered} {
		sent <- &transport.Reply{Err: object.Refuse(sentinel.Code, sentinel.Reason, "call", "Room-1", "Fail", "text")}
		got, err := ask(k.ctx, link, call("Room-1", "Fail"))
		k.must(err)
		k.failed("a sentinel", got.Err, sentinel.Code, object.ExecutedNo, sentinel)
	}
}

func testConcurrentCalls(k *kit) {
	_, link, _ := k.pair(handler{run: echo})
	var callers sync.WaitGroup
	for i := range 32 {
		callers.Go(func() {
			dice := mathrand.New(mathrand.NewPCG(uint64(i), 1))
			for range 50 {
				body := noise(dice, dice.IntN(2000))
				reply, err := ask(k.ctx, link, call("Room-1", "Echo", body...))
				if err != nil || !bytes.Equal(reply.Body, body) {
					k.t.Errorf("caller %d got another reply, or %v", i, err)
					return
				}
			}
		})
	}
	callers.Wait()
}

func noise(dice *mathrand.Rand, size int) []byte {
	b := make([]byte, 0, size+8)
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, dice.Uint64())
	}
	return b[:size]
}

// What either side does with its message afterwards is its own business.
func testIsolation(k *kit) {
	kept := &transport.Reply{Reply: object.Reply{Body: []byte("reply")}, Owner: &transport.Peer{Address: "o"}}
	failure := &transport.Reply{Err: object.NewError(object.CodeAborted, "why")}
	_, link, _ := k.pair(handler{run: func(_ context.Context, c *transport.Call) *transport.Reply {
		copy(c.Body, "XXXXXXX")
		c.Metadata["a"], c.Metadata["new"] = "X", "X"
		c.Chain[0].ID = "X"
		if c.Method == "Fail" {
			return failure
		}
		return kept
	}})
	for range 3 {
		sent := call("Room-1", "Keep", []byte("request")...)
		sent.Metadata = map[string]string{"a": "b"}
		sent.Chain = []transport.Step{{ID: "A-1"}}
		reply, err := ask(k.ctx, link, sent)
		k.must(err)
		if string(sent.Body) != "request" || sent.Metadata["a"] != "b" || len(sent.Metadata) != 1 || sent.Chain[0].ID != "A-1" {
			k.t.Errorf("the callee has changed the caller's call: %+v", sent)
		}
		if string(reply.Body) != "reply" || reply.Owner.Address != "o" {
			k.t.Errorf("a caller has changed the callee's reply: %+v", reply)
		}
		copy(reply.Body, "XXXXX")
		reply.Owner.Address = "X"

		sent.Method = "Fail"
		reply, err = ask(k.ctx, link, sent)
		k.must(err)
		if reply.Err.Message != "why" {
			k.t.Errorf("a caller has changed the callee's error: %v", reply.Err)
		}
		reply.Err.Message = "X"
	}
	if string(kept.Body) != "reply" || kept.Owner.Address != "o" || failure.Err.Message != "why" {
		k.t.Errorf("the replies that the callee kept have changed: %+v, %v", kept, failure.Err)
	}
}

// A call that returns early, or was only sent, is not looked at any more.
func testAbandonedBytes(k *kit) {
	_, link, _ := k.pair(handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		if bytes.Count(c.Body, []byte{1}) != len(c.Body) || c.Metadata["a"] != "1" || c.Chain[0].ID != "1" {
			k.t.Error("a call arrived with what was written after its return")
		}
		return echo(ctx, c)
	}})
	for i := range 300 {
		body := bytes.Repeat([]byte{1}, 1+i*100)
		c := call("Room-1", "Echo", body...)
		c.Metadata = map[string]string{"a": "1"}
		c.Chain = []transport.Step{{ID: "1"}}
		ctx, cancel := context.WithCancel(k.ctx)
		if i%2 == 0 {
			var cancelled sync.WaitGroup
			cancelled.Go(cancel)
			_, _ = ask(ctx, link, c) // in time or not
			cancelled.Wait()
		} else {
			k.must(link.Send(ctx, c))
		}
		cancel()
		for j := range c.Body {
			c.Body[j] = 0xff
		}
		c.Metadata["a"] = "X"
		c.Chain[0].ID = "X"
	}
	_, err := ask(k.ctx, link, &transport.Call{Request: object.Request{ID: "Room-1", Metadata: map[string]string{"a": "1"}}, Chain: []transport.Step{{ID: "1"}}})
	k.must(err)
}
