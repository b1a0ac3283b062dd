package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// Whatever a silence is made of, both sides notice, nobody waits for ever, and the link is good again afterwards.
func testTroubleEnds(k *kit) {
	var working sync.WaitGroup
	for _, t := range silences() {
		working.Go(func() {
			b := newBlocker()
			caller, link, callee := k.pair(b)
			k.works(t.name, link)
			blocked := begin(k.ctx, link, call("Room-1", "Block"))
			running := comes(k, "the call", b.running)
			ctx, leave := context.WithCancel(k.ctx)
			defer leave()
			oneWay := call("Room-1", "Block")
			oneWay.Timeout = patience
			k.must(link.Send(ctx, oneWay))
			sent := comes(k, "the one-way call", b.running)

			k.begin(t, caller, callee)
			k.failed(t.name+": a call under way", comes(k, "its return", blocked).err,
				object.CodeUnavailable, object.ExecutedUnknown, transport.ErrBroken)
			comes(k, t.name+": the end of its context", running.Done())
			if err := context.Cause(running); !errors.Is(err, transport.ErrBroken) {
				k.t.Errorf("%s: the cause of the end of the call's context is %v, want ErrBroken", t.name, err)
			}
			k.unreachable(t.name, link, transport.ErrUnreachable)
			k.end(caller, callee)
			k.recovers(t.name, link)
			if err := sent.Err(); err != nil {
				k.t.Errorf("%s: a one-way call has ended with its link: %v", t.name, err)
			}
			close(b.let)
			k.soon("the one-way call to end", func() bool { return b.live.Load() == 0 })
		})
	}
	working.Wait()
}

// A cut concerns the calls of one side, until it ends.
func testCutOneWay(k *kit) {
	b, h := newBlocker(), newBlocker()
	there, here := k.listen(k.peer(), b), k.listen(k.peer(), h)
	link, back := here.Dial(there.Peer()), there.Dial(here.Peer())
	for range 3 {
		blocked := begin(k.ctx, link, call("Room-1", "Block"))
		comes(k, "the call", b.running)
		ctx, leave := context.WithCancel(k.ctx)
		other := begin(ctx, back, call("Room-1", "Block"))
		comes(k, "the other's call", h.running)

		k.begin(kind{there: Trouble{Cut: true}}, here, there)
		k.failed("a call under way", comes(k, "its return", blocked).err,
			object.CodeUnavailable, object.ExecutedUnknown, transport.ErrBroken)
		if err := context.Cause(comes(k, "the end of its context", b.ended)); !errors.Is(err, transport.ErrBroken) {
			k.t.Errorf("the cause of the end of the call's context is %v, want ErrBroken", err)
		}
		k.unreachable("a link that is cut", link, transport.ErrUnreachable)
		k.works("the other way", back)
		if h.live.Load() != 1 {
			k.t.Error("the other's call has ended")
		}
		k.end(here, there)
		k.recovers("a link that was cut", link)
		leave()
		k.failed("the other's call", comes(k, "its return", other).err, object.CodeCanceled, object.ExecutedUnknown, context.Canceled)
		comes(k, "the other's call", h.ended)
	}
}

// passing are all kinds of trouble that pass before anybody calls them a silence.
func (k *kit) passing() []kind {
	all := k.hindrances()
	for _, t := range silences() {
		if !t.there.Silent && !t.back.Silent { // what was swallowed does not come
			all = append(all, t)
		}
	}
	return all
}

// What only takes time costs nothing else: each call is answered, having run once.
func testTroubleThatPasses(k *kit) {
	const callers, rounds = 6, 20
	var testing sync.WaitGroup
	for _, t := range k.passing() {
		testing.Go(func() {
			a := &account{}
			caller, link, callee := k.pair(a)
			k.works(t.name, link)
			var working sync.WaitGroup
			for i := range callers {
				working.Go(func() {
					for j := range rounds {
						c := call("Room-1", "Try", 0, byte(i), byte(j))
						c.CallID = number(i*rounds + j)
						reply, err := ask(k.ctx, link, c)
						if err != nil || string(reply.Body) != string(c.Body) {
							k.t.Errorf("%s: %+v, %v", t.name, reply, err)
							return
						}
						a.note(k, c.CallID, reply, nil)
					}
				})
			}
			k.begin(t, caller, callee)
			k.pass(k.net.Silence / 8)
			if t.silence {
				k.end(caller, callee)
			}
			working.Wait()
			k.end(caller, callee)
			k.must(callee.Drain(k.ctx))
		})
	}
	testing.Wait()
}

// Callers leave when they want to, however silent it is, and are told the truth.
func testLeavingInTrouble(k *kit) {
	var testing sync.WaitGroup
	for _, t := range silences() {
		testing.Go(func() {
			b := newBlocker()
			caller, link, callee := k.pair(b)
			k.works(t.name, link)
			blocked, leave := context.WithCancel(k.ctx)
			left := begin(blocked, link, call("Room-1", "Block"))
			running := comes(k, "the call", b.running)
			k.begin(t, caller, callee)
			leave()
			k.failed(t.name+": a call that is left", comes(k, "its return", left).err,
				object.CodeCanceled, object.ExecutedUnknown, context.Canceled)
			for _, method := range []string{"Echo", "Block"} {
				short, cancel := context.WithTimeout(k.ctx, k.net.Silence/20)
				_, err := ask(short, link, call("Room-1", method))
				cancel()
				executed := object.Executed(err)
				if executed == object.ExecutedYes {
					k.t.Errorf("%s: a reply", t.name)
				}
				k.failed(t.name+": a call with little time", err, object.CodeDeadlineExceeded, executed, context.DeadlineExceeded)
			}
			timed := call("Room-1", "Block")
			timed.Deadline = k.clock.Now().Add(k.net.Silence / 20)
			_, err := ask(k.ctx, link, timed)
			k.failed(t.name+": a call of little time", err, object.CodeDeadlineExceeded, object.Executed(err), context.DeadlineExceeded)
			timed.Deadline = k.clock.Now().Add(k.net.Silence / 20)
			_, err = ask(k.ctx, caller.Dial(callee.Peer()), timed)
			k.failed(t.name+": a call of little time, connecting", err, object.CodeDeadlineExceeded, object.ExecutedNo, context.DeadlineExceeded)
			connecting := caller.Dial(callee.Peer())
			short, cancel := context.WithTimeout(k.ctx, k.net.Silence/20)
			_, err = ask(short, connecting, call("Room-1", "Echo"))
			cancel()
			k.failed(t.name+": a call with little time to connect", err, object.CodeDeadlineExceeded, object.ExecutedNo, context.DeadlineExceeded)
			if t.back.Hold { // what went there has arrived, the news that its caller has left included
				comes(k, t.name+": the call's end", running.Done())
				if err := context.Cause(running); errors.Is(err, transport.ErrBroken) {
					k.t.Errorf("%s: the call ended with its link, and not with its caller: %v", t.name, err)
				}
			}
			k.end(caller, callee)
			k.recovers(t.name, link)
			link.Close() // the news that a caller has left may be lost without the link
			k.soon(t.name+": all calls to end", func() bool { return b.live.Load() == 0 })
		})
	}
	testing.Wait()
}

// What arrives twice is answered once, and by its own reply.
func testReplays(k *kit) {
	const callers, rounds = 4, 40
	var mu sync.Mutex
	ran := map[transport.CallID]int{}
	caller, _, callee := k.pair(handler{run: func(ctx context.Context, c *transport.Call) *transport.Reply {
		mu.Lock()
		ran[c.CallID]++
		mu.Unlock()
		if c.Method == "Block" {
			<-ctx.Done()
		}
		return echo(ctx, c)
	}})
	k.begin(kind{there: Trouble{Replay: true}}, caller, callee)
	link := caller.Dial(callee.Peer())
	var working sync.WaitGroup
	for i := range callers {
		working.Go(func() {
			for j := range rounds {
				c := call("Room-1", "Echo", fmt.Appendf(nil, "%d of %d", j, i)...)
				c.CallID = number(i*rounds + j)
				ctx, cancel := context.WithCancel(k.ctx)
				if j%10 == 7 {
					c.Method = "Block"
					time.AfterFunc(k.net.Silence/100, cancel)
				}
				reply, err := ask(ctx, link, c)
				switch {
				case err != nil && ctx.Err() == nil:
					k.t.Errorf("caller %d: %v", i, err)
				case err == nil && string(reply.Body) != string(c.Body):
					k.t.Errorf("caller %d: call %q has got the reply %q", i, c.Body, reply.Body)
				}
				cancel()
			}
		})
	}
	working.Wait()
	twice := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, times := range ran {
			if times > 1 {
				n++
			}
		}
		return n
	}
	k.soon("something to arrive twice", func() bool { return twice() > callers })
	link.Close()
	k.end(caller, callee)
	k.must(callee.Drain(k.ctx))
	k.close(callee)
}
