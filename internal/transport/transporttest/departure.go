package transporttest

import (
	"context"
	"sync"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Drain waits for replies that are held up, and for those that cannot arrive any more it does not wait for ever.
func testDrainInTrouble(k *kit) {
	var testing sync.WaitGroup
	for _, t := range silences() {
		for _, passes := range []bool{true, false} {
			if passes && (t.there.Silent || t.back.Silent) {
				continue
			}
			testing.Go(func() { k.drain(t, passes) })
		}
	}
	testing.Wait()
}

// drain has a callee drain while the reply of a call is under way in trouble, which passes or does not.
func (k *kit) drain(t kind, passes bool) {
	b := newBlocker()
	a := &account{}
	caller, link, callee := k.pair(handler{accept: func(ctx context.Context, c *transport.Call) {
		if c.Method == "Late" {
			a.AcceptCall(ctx, c)
		}
	}, run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		if c.Method == "Late" {
			return echo(ctx, c)
		}
		return b.AcceptCall(ctx, c)()
	}})
	blocked := begin(k.ctx, link, call("Room-1", "Block", 1, 2, 3))
	comes(k, "the call", b.running)
	k.begin(t, caller, callee)
	late := [2]*transport.Call{call("Room-1", "Late", 0), call("Room-1", "Late", 0)}
	late[0].CallID, late[1].CallID = number(0), number(1)
	var ends [2]<-chan result
	ends[0] = begin(k.ctx, link, late[0]) // it is on its way when Drain begins
	k.pass(k.net.Silence / 100)
	drained := make(chan error, 1)
	go func() { drained <- callee.Drain(k.ctx) }()
	ends[1] = begin(k.ctx, link, late[1]) // it meets the goodbye or not
	close(b.let)
	comes(k, "the call's end", b.ended)
	if passes {
		k.pass(k.net.Silence / 20)
		if back := t.back.Hold || t.pause; back && len(drained) > 0 {
			k.t.Errorf("%s: Drain returned before the reply has arrived", t.name)
		}
		k.end(caller, callee)
	}
	k.must(comes(k, t.name+": the end of Drain", drained))
	k.close(callee) // loses no reply
	r := comes(k, "the call's return", blocked)
	switch back := t.back != (Trouble{}) || t.pause; {
	case !back || passes:
		if r.err != nil || r.reply.Err != nil || len(r.reply.Body) != 3 {
			k.t.Errorf("%s: a call accepted before Drain = %+v, %v", t.name, r.reply, r.err)
		}
	default:
		k.failed(t.name+": a call accepted before Drain", r.err, object.CodeUnavailable, object.ExecutedUnknown, transport.ErrBroken)
	}
	for i, c := range late {
		_, ran := a.accepted.Load(c.CallID)
		if err := k.returns(t.name, ends[i]); err != nil && object.Executed(err) == object.ExecutedNo && ran {
			k.t.Errorf("%s: late call %d has run: its caller was told that it had not", t.name, i)
		}
	}
	k.end(caller, callee)
}

// Close asks nobody: neither who is closed nor who was connected has to wait for a silence to be noticed.
func testCloseInTrouble(k *kit) {
	var testing sync.WaitGroup
	for _, t := range append(silences(), k.hindrances()...) {
		testing.Go(func() { k.closeCallee(t) })
		testing.Go(func() { k.closeCaller(t) })
	}
	testing.Wait()
}

// inTrouble is a call that runs, and one that has begun in trouble.
func (k *kit) inTrouble(t kind, b *blocker) (caller, callee transport.Endpoint, link transport.Link, blocked, late <-chan result) {
	caller, link, callee = k.pair(b)
	blocked = begin(k.ctx, link, call("Room-1", "Block"))
	comes(k, "the call", b.running)
	k.begin(t, caller, callee)
	return caller, callee, link, blocked, begin(k.ctx, link, call("Room-1", "Echo"))
}

func (k *kit) closeCallee(t kind) {
	b := newBlocker()
	caller, callee, _, blocked, late := k.inTrouble(t, b)
	k.close(callee)
	if live := b.live.Load(); live != 0 {
		k.t.Errorf("%s: %d calls run after Close", t.name, live)
	}
	k.failed(t.name+": a call whose callee closes", comes(k, "its return", blocked).err,
		object.CodeUnavailable, object.ExecutedUnknown, transport.ErrBroken)
	_ = k.returns(t.name, late)
	k.end(caller, callee)
}

func (k *kit) closeCaller(t kind) {
	b := newBlocker()
	caller, callee, link, blocked, late := k.inTrouble(t, b)
	k.close(caller)
	k.failed(t.name+": a call whose caller closes", comes(k, "its return", blocked).err,
		object.CodeUnavailable, object.ExecutedUnknown, transport.ErrClosed)
	k.unreachable(t.name, link, transport.ErrClosed)
	_ = k.returns(t.name, late)
	k.soon(t.name+": all calls to end", func() bool { return b.live.Load() == 0 }) // by silence, where that is all there is
	k.end(caller, callee)
}

// returns waits for a call that ends with its reply or without, which it returns.
func (k *kit) returns(what string, late <-chan result) error {
	k.t.Helper()
	r := comes(k, what+": a call of the last minute", late)
	if r.err != nil {
		k.failed(what+": a call of the last minute", r.err, object.CodeUnavailable, object.Executed(r.err), nil)
	}
	return r.err
}
