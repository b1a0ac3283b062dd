package transporttest

import (
	"context"
	"sync"

	"github.com/xiaonanln/goverse/internal/transport"
)

// troubled are the kinds of peers who hold up what is sent to them.
func troubled() []kind {
	return append(silences(), kind{name: "slow requests", there: Trouble{Slow: true}}, kind{name: "slow replies", back: Trouble{Slow: true}})
}

// A caller goes on calling one peer while it is choking on another.
func testTroubledCallee(k *kit) {
	var testing sync.WaitGroup
	for _, t := range troubled() {
		testing.Go(func() {
			b := newBlocker()
			caller, link, callee := k.pair(b)
			other := caller.Dial(k.listen(k.peer(), handler{run: echo}).Peer())
			k.undisturbed(t.name, other, link, b.running, func() { k.begin(t, caller, callee) }, func() { k.end(caller, callee) })
			k.close(caller)
		})
	}
	testing.Wait()
}

// A callee goes on answering one caller while another is choking.
func testTroubledCaller(k *kit) {
	var testing sync.WaitGroup
	for _, t := range troubled() {
		testing.Go(func() {
			b := newBlocker()
			caller, link, callee := k.pair(b)
			other := k.listen(k.peer(), nobody{k.t}).Dial(callee.Peer())
			k.undisturbed(t.name, other, link, b.running, func() {
				if t.pause {
					k.net.Faults.Pause(caller.Peer().Address)
					return
				}
				k.begin(t, caller, callee)
			}, func() { k.end(caller, callee) })
			k.close(caller)
		})
	}
	testing.Wait()
}

// undisturbed checks that calls over one link do not wait for the end of the trouble of another, which is full: they
// have their replies while a call that is held up by the trouble has not. On a machine with too much to do that may
// take more than one attempt.
func (k *kit) undisturbed(name string, link, full transport.Link, running chan context.Context, begins, ends func()) {
	k.t.Helper()
	k.works("before", link)
	for range 5 {
		ctx, finish := context.WithCancel(k.ctx)
		blocked := begin(ctx, full, call("Room-1", "Block"))
		comes(k, "the call", running)
		begins()
		var flooding sync.WaitGroup
		flooding.Go(func() { flood(ctx, full) })
		k.pass(k.net.Silence / 8)
		for range 10 {
			k.works("while "+name, link)
		}
		inTime := len(blocked) == 0
		finish()
		flooding.Wait()
		comes(k, "the call's end", blocked)
		ends()
		k.recovers(name, full)
		if inTime {
			return
		}
	}
	k.t.Errorf("while %s, the calls to another peer wait for the end of that", name)
}

// flood sends over a link what is too much for it, and makes calls until ctx ends.
func flood(ctx context.Context, link transport.Link) {
	var working sync.WaitGroup
	for i := range 8 {
		working.Go(func() {
			for range 10 {
				_ = link.Send(ctx, call("Room-1", "Echo", make([]byte, 60_000)...))
			}
			for n := 0; ctx.Err() == nil && n < 1000; n++ {
				_, _ = ask(ctx, link, call("Room-1", "Echo", make([]byte, []int{10, 1000, 60_000}[(i+n)%3])...))
			}
		})
	}
	working.Wait()
}
