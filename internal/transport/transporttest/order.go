package transporttest

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/xiaonanln/goverse/internal/transport"
)

func testNestedCalls(k *kit) {
	const depth = 20
	var links [2]transport.Link
	hop := func(there int) transport.Handler {
		return handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
			if len(c.Body) == depth {
				return echo(ctx, c)
			}
			reply, err := ask(ctx, links[there], call("Room-1", "Hop", append(c.Body, byte(len(c.Body)))...))
			if err != nil {
				k.t.Errorf("nested call: %v", err)
				return echo(ctx, c)
			}
			return reply
		}}
	}
	a, b := k.listen(k.peer(), hop(1)), k.listen(k.peer(), hop(0))
	links = [2]transport.Link{b.Dial(a.Peer()), a.Dial(b.Peer())}
	reply, err := ask(k.ctx, links[0], call("Room-1", "Hop"))
	k.must(err)
	if len(reply.Body) != depth {
		k.t.Errorf("the innermost reply has %d bytes, want %d", len(reply.Body), depth)
	}
}

func testCallsToOneself(k *kit) {
	self := k.listen(k.peer(), handler{run: echo})
	k.works("a link to its own endpoint", self.Dial(self.Peer()))
}

// Calls run beside each other, even to one object: whether they may is the object's business.
func testCallsDoNotWait(k *kit) {
	const calls = 100
	var arrived atomic.Int32
	all := make(chan struct{})
	_, link, _ := k.pair(handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		if arrived.Add(1) == calls {
			close(all)
		}
		select {
		case <-all:
		case <-ctx.Done():
		}
		return echo(ctx, c)
	}})
	results := make([]<-chan result, calls)
	for i := range results {
		results[i] = begin(k.ctx, link, call("Room-1", "Meet"))
	}
	for _, r := range results {
		if got := comes(k, "the reply", r); got.err != nil {
			k.t.Fatalf("%d of %d calls ran at the same time: %v", arrived.Load(), calls, got.err)
		}
	}
}

// ledger checks the order in which calls are accepted.
type ledger struct {
	k *kit

	mu     sync.Mutex // guards the fields below
	last   map[string]uint64
	count  int
	leave  map[transport.CallID]context.CancelFunc // to be called when the call is accepted
	inside map[string]bool                         // objects for which AcceptCall runs
}

// accept notes a call.
func (l *ledger) accept(_ context.Context, c *transport.Call) {
	caller, seq := fmt.Sprint(c.Chain[0].Turn, c.ID), binary.BigEndian.Uint64(c.Body)
	l.mu.Lock()
	if l.inside[c.ID] {
		l.k.t.Errorf("two calls of %s are accepted at the same time", c.ID)
	}
	l.inside[c.ID] = true
	if seq <= l.last[caller] {
		l.k.t.Errorf("caller %s: call %d arrived after %d", caller, seq, l.last[caller])
	}
	l.last[caller] = seq
	l.count++
	leave := l.leave[c.CallID]
	l.mu.Unlock()
	if leave != nil {
		leave()
	}
	runtime.Gosched()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inside, c.ID)
}

// onAccept has f called when a call is accepted.
func (l *ledger) onAccept(id transport.CallID, f context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave[id] = f
}

// Several callers on one link, each with two objects: sends, calls, and calls that are abandoned while they run.
func testOrder(k *kit) {
	const callers, rounds = 8, 150
	l := &ledger{k: k, last: map[string]uint64{}, leave: map[transport.CallID]context.CancelFunc{}, inside: map[string]bool{}}
	_, link, _ := k.pair(handler{accept: l.accept, run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		if c.Method == "Block" {
			<-ctx.Done()
		}
		return echo(ctx, c)
	}})
	var working sync.WaitGroup
	for caller := range callers {
		working.Go(func() {
			for i := range rounds {
				c := call(fmt.Sprintf("Room-%d", caller%3+i%2), "Echo", binary.BigEndian.AppendUint64(nil, uint64(i+1))...)
				c.CallID = number(caller*rounds + i)
				c.Chain = []transport.Step{{ID: "Caller-1", Turn: number(caller)}}
				if err := step(k, l, link, c, i); err != nil {
					k.t.Errorf("caller %d: %v", caller, err)
					return
				}
			}
		})
	}
	working.Wait()
	k.soon("all calls to arrive", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.count == callers*rounds
	})
}

// step makes the i-th call of a caller.
func step(k *kit, l *ledger, link transport.Link, c *transport.Call, i int) error {
	switch i % 10 {
	case 3:
		_, err := ask(k.ctx, link, c)
		return err
	case 7:
		ctx, cancel := context.WithCancel(k.ctx)
		defer cancel()
		l.onAccept(c.CallID, cancel)
		c.Method = "Block"
		if _, err := ask(ctx, link, c); ctx.Err() == nil {
			return err
		}
		return nil
	}
	return link.Send(k.ctx, c)
}
