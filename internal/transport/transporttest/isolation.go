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

// flood makes calls and sends of all sizes over a link until ctx ends, and returns when all have.
func (k *kit) flood(ctx context.Context, link transport.Link) {
	var working sync.WaitGroup
	for i := range 12 {
		working.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c := call("Room-1", "Echo", make([]byte, []int{10, 1000, 60_000}[(i+n)%3])...)
				if i%3 == 0 {
					_ = link.Send(ctx, c)
				} else {
					_, _ = ask(ctx, link, c)
				}
				k.pass(k.net.Silence / 2000)
			}
		})
	}
	working.Wait()
}

// A caller goes on calling one peer while it is choking on another. If each call waited for the trouble, the time of
// the test would not suffice.
func testTroubledCallee(k *kit) {
	for _, t := range troubled() {
		caller, link, callee := k.pair(handler{run: echo})
		other := caller.Dial(k.listen(k.peer(), handler{run: echo}).Peer())
		k.works("before", link)
		k.works("before", other)
		k.begin(t, caller, callee)
		ctx, finish := context.WithCancel(k.ctx)
		var flooding sync.WaitGroup
		flooding.Go(func() { k.flood(ctx, link) })
		for range 50 {
			k.works("beside a peer of which "+t.name, other)
		}
		finish()
		flooding.Wait()
		k.end(caller, callee)
		k.recovers(t.name, link)
		k.close(caller)
	}
}

// A callee goes on answering one caller while another is choking.
func testTroubledCaller(k *kit) {
	for _, t := range troubled() {
		caller, link, callee := k.pair(handler{run: echo})
		other := k.listen(k.peer(), nobody{k.t}).Dial(callee.Peer())
		k.works("before", link)
		k.works("before", other)
		if t.pause {
			k.net.Faults.Pause(caller.Peer().Address)
		} else {
			k.begin(t, caller, callee)
		}
		ctx, finish := context.WithCancel(k.ctx)
		var flooding sync.WaitGroup
		flooding.Go(func() { k.flood(ctx, link) })
		for range 50 {
			k.works("beside a caller of which "+t.name, other)
		}
		finish()
		flooding.Wait()
		k.end(caller, callee)
		k.recovers(t.name, link)
		k.close(caller)
	}
}
