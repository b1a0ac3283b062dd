package transporttest

import (
	"context"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Trouble that passes changes no order, whatever kinds of it follow each other: several callers on several links, each
// with two objects.
func testOrderInTrouble(k *kit) {
	const callers, rounds = 6, 80
	l := &ledger{k: k, last: map[string]uint64{}, leave: map[transport.CallID]context.CancelFunc{}, inside: map[string]bool{}}
	var links [2]transport.Link
	caller, link, callee := k.pair(handler{accept: l.accept, run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		if c.Method == "Block" {
			<-ctx.Done()
		}
		return echo(ctx, c)
	}})
	links = [2]transport.Link{link, caller.Dial(callee.Peer())}
	over, finish := context.WithCancel(k.ctx)
	var making sync.WaitGroup
	making.Go(func() { k.changes(over, k.passing(), caller, callee) })
	var working sync.WaitGroup
	for i := range callers {
		working.Go(func() {
			for j := range rounds {
				// Of links and objects each pair has callers of its own: one object is not called by two links.
				id := fmt.Sprintf("Room-%d-%d", i%2, (i/2+j)%2)
				c := call(id, "Echo", binary.BigEndian.AppendUint64(nil, uint64(j+1))...)
				c.CallID = number(i*rounds + j)
				c.Chain = []transport.Step{{ID: "Caller-1", Turn: number(i)}}
				if err := step(k, l, links[i%2], c, j); err != nil {
					k.t.Errorf("caller %d: %v", i, err)
					return
				}
				k.pass(k.net.Silence / 100)
			}
		})
	}
	working.Wait()
	finish()
	making.Wait()
	k.soon("all calls to arrive", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.count == callers*rounds
	})
}

// changes makes one kind of trouble after the other, each for a short time, until ctx ends.
func (k *kit) changes(ctx context.Context, kinds []kind, caller, callee transport.Endpoint) {
	dice := mathrand.New(mathrand.NewPCG(k.net.Seed, 11))
	for ctx.Err() == nil {
		k.begin(kinds[dice.IntN(len(kinds))], caller, callee)
		k.pass(k.net.Silence / 20)
		k.end(caller, callee)
		k.pass(time.Duration(dice.Int64N(int64(k.net.Silence / 20))))
	}
}

// Links are of different speed, and what was sent later over one may arrive earlier: the seam promises nothing else.
// That the trouble is there is what makes the other tests worth something.
func testScatter(k *kit) {
	const rounds = 50
	var mu sync.Mutex
	var arrived []int
	caller, link, callee := k.pair(handler{run: echo, accept: func(_ context.Context, c *transport.Call) {
		if c.Method == "Count" {
			mu.Lock()
			defer mu.Unlock()
			arrived = append(arrived, int(binary.BigEndian.Uint64(c.Body)))
		}
	}})
	k.begin(kind{there: Trouble{Scatter: k.net.Silence / 10}}, caller, callee)
	links := []transport.Link{link, caller.Dial(callee.Peer()), caller.Dial(callee.Peer())}
	for i := range rounds {
		for j, l := range links {
			c := call(fmt.Sprintf("Room-%d", j), "Count", binary.BigEndian.AppendUint64(nil, uint64(i*len(links)+j))...)
			c.Chain = []transport.Step{{ID: "Caller-1", Turn: number(1)}}
			k.must(l.Send(k.ctx, c))
		}
		k.pass(k.net.Silence / 500)
	}
	k.soon("all to arrive", func() bool { mu.Lock(); defer mu.Unlock(); return len(arrived) >= rounds*len(links) })
	mu.Lock()
	defer mu.Unlock()
	last, overtook, seen := make([]int, len(links)), 0, 0
	for _, n := range arrived {
		l := n % len(links)
		if n/len(links)+1 <= last[l] {
			k.t.Errorf("link %d: send %d arrived after %d", l, n/len(links)+1, last[l])
		}
		last[l] = n/len(links) + 1
		if n < seen {
			overtook++
		}
		seen = max(seen, n)
	}
	if len(arrived) != rounds*len(links) || overtook == 0 {
		k.t.Errorf("%d of %d sends arrived, %d were overtaken by others", len(arrived), rounds*len(links), overtook)
	}
}

// Of one-way calls none runs twice, none that was refused runs, and those that are lost break their link.
func testSendsInTrouble(k *kit) {
	const senders, rounds = 4, 300
	a := &account{}
	caller, link, callee := k.pair(a)
	k.works("before", link)
	over, finish := context.WithCancel(k.ctx)
	var making sync.WaitGroup
	kinds := append(k.passing(), kind{there: Trouble{Cut: true}}, kind{there: Trouble{Silent: true}}, kind{back: Trouble{Silent: true}})
	making.Go(func() { k.changes(over, kinds, caller, callee) })
	var working sync.WaitGroup
	for i := range senders {
		working.Go(func() {
			for j := range rounds {
				c := call("Room-1", "Try", 0)
				c.CallID = number(i*rounds + j)
				short, cancel := context.WithTimeout(k.ctx, k.net.Silence/4)
				err := link.Send(short, c)
				cancel()
				if err != nil {
					a.noteSend(k, c.CallID, err)
				}
				k.pass(k.net.Silence / 400)
			}
		})
	}
	working.Wait()
	finish()
	making.Wait()
	k.recovers("afterwards", link)
	k.must(callee.Drain(k.ctx))
	k.close(caller)
	k.close(callee)
	a.check(k)
	if n := a.count(); n < senders*rounds/10 {
		k.t.Errorf("the test has proved little: %d of %d sends arrived", n, senders*rounds)
	}
}

// noteSend is what a sender was told.
func (a *account) noteSend(k *kit, id transport.CallID, err error) {
	if object.Executed(err) != object.ExecutedNo {
		k.t.Errorf("a send failed with %v, executed=%v: whoever is told so does not know", err, object.Executed(err))
	}
	a.note(k, id, nil, err)
}
