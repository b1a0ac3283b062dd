package transporttest

import (
	"context"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// history is many calls and sends of one node to another, while trouble comes and goes.
type history struct {
	account

	k              *kit
	caller, callee transport.Endpoint
	links          [2]transport.Link
	begun          atomic.Int64
	over           chan struct{} // closed when no more calls are to be made
}

// Every kind of trouble comes and goes at moments that are drawn: of thousands of calls each returns, those of which
// the caller was told executed=no never run, none runs twice, those with a reply have run, and a third node that the
// same caller calls all the time notices nothing.
func testExecutionInTrouble(k *kit) {
	const callers, senders, troubles = 8, 2, 12
	h := &history{k: k, over: make(chan struct{})}
	caller, link, callee := k.pair(h)
	h.caller, h.callee, h.links = caller, callee, [2]transport.Link{link, caller.Dial(callee.Peer())}
	var witness account
	other := caller.Dial(k.listen(k.peer(), &witness).Peer())
	var working sync.WaitGroup
	for i := range callers {
		working.Go(func() { h.calls(uint64(i)) })
	}
	for i := range senders {
		working.Go(func() { h.sends(uint64(callers + i)) })
	}
	working.Go(func() { h.undisturbed(other, &witness) })
	h.trouble(troubles)
	close(h.over)
	working.Wait()
	for _, l := range h.links {
		k.recovers("when all trouble is over", l)
	}
	k.close(caller)
	k.close(callee)
	h.check(k)
	witness.check(k)
	no, unknown, yes := h.told[object.ExecutedNo].Load(), h.told[object.ExecutedUnknown].Load(), h.told[object.ExecutedYes].Load()
	if yes < 50 || no < 5 || unknown < 5 {
		k.t.Errorf("the test has proved nothing: %d replies, %d calls not executed, %d unknown", yes, no, unknown)
	}
	k.t.Logf("seed %d: %d calls and sends, %d arrived; %d replies, %d not executed, %d unknown, %d calls undisturbed",
		k.net.Seed, h.begun.Load(), h.count(), yes, no, unknown, witness.count())
}

// trouble makes trouble so many times, of random kinds and lengths.
func (h *history) trouble(times int) {
	k := h.k
	dice := mathrand.New(mathrand.NewPCG(k.net.Seed, 5))
	kinds := append(silences(), k.hindrances()...)
	kinds = append(kinds, kind{there: Trouble{Cut: true}}, kind{there: Trouble{Cut: true}}, kind{there: Trouble{Cut: true}})
	for range times {
		t := kinds[dice.IntN(len(kinds))]
		k.begin(t, h.caller, h.callee)
		most := k.net.Silence / 4
		if t.silence && dice.IntN(3) == 0 {
			most = 2 * k.net.Silence // for which it may become noticed
		}
		k.pass(time.Duration(dice.Int64N(int64(most))))
		k.end(h.caller, h.callee)
		k.pass(time.Duration(dice.Int64N(int64(k.net.Silence / 8))))
	}
}

// next names one more call, unless there are to be no more.
func (h *history) next() (id transport.CallID, more bool) {
	select {
	case <-h.over:
		return id, false
	case <-h.k.ctx.Done():
		return id, false
	default:
		return number(int(h.begun.Add(1))), true
	}
}

// calls is one caller: of its calls some have a deadline, some are left, and some of them wait on the other side.
func (h *history) calls(caller uint64) {
	k := h.k
	dice := mathrand.New(mathrand.NewPCG(k.net.Seed, caller))
	for {
		id, more := h.next()
		if !more {
			return
		}
		c := call("Room-1", "Try", byte(2*dice.IntN(100)))
		c.CallID = id
		ctx, cancel := context.WithCancel(k.ctx)
		switch dice.IntN(5) {
		case 0:
			ctx, cancel = context.WithTimeout(k.ctx, time.Duration(dice.Int64N(int64(k.net.Silence/3))))
		case 1: // the same, but that it is the call's own
			c.Timeout = time.Duration(1 + dice.Int64N(int64(k.net.Silence/3)))
		case 2: // it is left, whether it runs or not
			c.Body[0]++
			stop := time.AfterFunc(time.Duration(dice.Int64N(int64(k.net.Silence/20))), cancel)
			defer stop.Stop()
		}
		reply, err := ask(ctx, h.links[dice.IntN(len(h.links))], c)
		cancel()
		h.note(k, id, reply, err)
		k.pass(time.Duration(dice.Int64N(int64(k.net.Silence / 400))))
	}
}

// sends is one sender.
func (h *history) sends(sender uint64) {
	k := h.k
	dice := mathrand.New(mathrand.NewPCG(k.net.Seed, sender))
	for {
		id, more := h.next()
		if !more {
			return
		}
		c := call("Room-1", "Try", 0)
		c.CallID = id
		ctx, cancel := context.WithTimeout(k.ctx, k.net.Silence/3)
		err := h.links[dice.IntN(len(h.links))].Send(ctx, c)
		cancel()
		if err != nil {
			h.noteSend(k, id, err)
		}
		k.pass(time.Duration(dice.Int64N(int64(k.net.Silence / 200))))
	}
}

// undisturbed calls the third node until all is over.
func (h *history) undisturbed(link transport.Link, witness *account) {
	k := h.k
	for {
		id, more := h.next()
		if !more {
			return
		}
		c := call("Room-1", "Try", 0)
		c.CallID = id
		reply, err := ask(k.ctx, link, c)
		if err != nil {
			k.t.Errorf("a call to a node without trouble: %v", err)
			return
		}
		witness.note(k, id, reply, nil)
		k.pass(k.net.Silence / 400)
	}
}
