package transporttest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// miser is an echo that takes the memory of its replies back, spoils it, and gives up that of its calls.
type miser struct {
	k    *kit
	back atomic.Int32 // how many replies came back
}

// AcceptCall implements transport.Handler.
func (m *miser) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	body, id, chain := bytes.Clone(c.Body), c.ID, slices.Clone(c.Chain)
	return func() *transport.Reply {
		if !bytes.Equal(c.Body, body) || c.ID != id || !slices.Equal(c.Chain, chain) {
			m.k.t.Errorf("the call of %s has become that of %s between its arrival and its run", id, c.ID)
		}
		for _, s := range c.Chain {
			if s != (transport.Step{ID: id, Method: "Echo", Turn: c.Chain[0].Turn}) {
				m.k.t.Errorf("the chain of %s has the step %+v", id, s)
			}
		}
		out := bytes.Clone(body)
		times := 0
		return &transport.Reply{Reply: object.Reply{Message: c.ID, Body: out}, Spent: func() {
			m.back.Add(1)
			if times++; times > 1 {
				m.k.t.Errorf("the reply to %s came back %d times", id, times)
			}
			if ctx.Err() == nil {
				m.k.t.Errorf("the reply to %s came back before its context ended", id)
			}
			clear(out)
		}}
	}
}

// Memory that is given back belongs to nobody else: neither the calls and replies under way nor what comes later sees
// that it is used again.
func testSpentMemory(k *kit) {
	const callers, calls = 16, 100
	h := &miser{k: k}
	_, link, callee := k.pair(h)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for j := range calls {
				id := fmt.Sprintf("Room-%d.%d", i, j)
				body := bytes.Repeat([]byte(id), 1+(i*j)%50)
				sent := call(id, "Echo", body...)
				sent.Chain = slices.Repeat([]transport.Step{{ID: id, Method: "Echo", Turn: transport.CallID{byte(i), byte(j)}}}, (i+j)%4)
				flight, err := link.Start(k.ctx, sent)
				var reply *transport.Reply
				if err == nil {
					reply, err = flight.Wait(k.ctx)
				}
				if err != nil {
					k.t.Errorf("call %s: %v", id, err)
					return
				}
				if reply.Message != id || !bytes.Equal(reply.Body, body) {
					k.t.Errorf("the reply to %s is %q, %q", id, reply.Message, reply.Body)
				}
				flight.Land()
			}
		})
	}
	all.Wait()
	k.must(callee.Drain(k.ctx)) // the last ones have ended
	k.must(callee.Close(k.ctx))
	if n := h.back.Load(); n != callers*calls {
		k.t.Errorf("%d replies of %d came back", n, callers*calls)
	}
}
