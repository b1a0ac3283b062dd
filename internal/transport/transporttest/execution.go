package transporttest

import (
	"context"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// account compares what callers were told with what has run.
type account struct {
	accepted sync.Map // call IDs
	twice    atomic.Int32
	live     atomic.Int32
	told     [3]atomic.Int32 // by execution; a reply is yes

	mu sync.Mutex         // guards no
	no []transport.CallID // the calls that did not run, as their callers were told
}

// AcceptCall implements transport.Handler.
func (a *account) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	if c.Method == "Echo" {
		return func() *transport.Reply { return echo(ctx, c) }
	}
	_, twice := a.accepted.LoadOrStore(c.CallID, true)
	if twice {
		a.twice.Add(1)
	}
	a.live.Add(1)
	return func() *transport.Reply {
		defer a.live.Add(-1)
		if c.Body[0]%2 == 0 {
			return echo(ctx, c)
		}
		<-ctx.Done() // until somebody has had enough
		return echo(ctx, c)
	}
}

// note is what a caller was told.
func (a *account) note(k *kit, id transport.CallID, reply *transport.Reply, err error) {
	executed := object.ExecutedYes
	switch {
	case err != nil:
		executed = object.Executed(err)
		switch object.CodeOf(err) {
		case object.CodeUnavailable, object.CodeCanceled, object.CodeDeadlineExceeded:
		default:
			k.t.Errorf("a call failed with %v", err)
		}
	case reply.Err != nil:
		k.t.Errorf("a call was answered with %v", reply.Err)
	}
	if _, ran := a.accepted.Load(id); !ran && executed == object.ExecutedYes {
		k.t.Error("a reply to a call that was not accepted")
	}
	a.told[executed].Add(1)
	if executed == object.ExecutedNo {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.no = append(a.no, id)
	}
}

// check compares at the end what was told with what has run.
func (a *account) check(k *kit) {
	k.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range a.no {
		if _, ran := a.accepted.Load(id); ran {
			k.t.Errorf("call %s has run: its caller was told that it had not", id)
		}
	}
	if n := a.twice.Load(); n > 0 {
		k.t.Errorf("%d calls arrived twice", n)
	}
	if n := a.live.Load(); n > 0 {
		k.t.Errorf("%d calls run after Close", n)
	}
}

// count is how many calls have arrived.
func (a *account) count() (n int) {
	a.accepted.Range(func(any, any) bool { n++; return true })
	return n
}

// Callers come and go and the callee is closed and back, all at random moments: a call of which its caller was told
// executed=no never runs, none runs twice, all return, and nothing runs after Close.
func testExecution(k *kit) {
	const callers, rounds, restarts = 8, 60, 6
	a := &account{}
	caller, link, callee := k.pair(a)
	var working sync.WaitGroup
	var done atomic.Int32
	for i := range callers {
		working.Go(func() {
			dice := mathrand.New(mathrand.NewPCG(uint64(i), 3))
			for j := range rounds {
				id := number(i*rounds + j)
				c := call("Room-1", "Try", byte(dice.Uint32()))
				c.CallID = id
				ctx, cancel := context.WithCancel(k.ctx)
				var leaving sync.WaitGroup
				if c.Body[0]%2 == 1 {
					leaving.Go(func() {
						k.soon("the call to run, or to be refused", func() bool {
							_, ran := a.accepted.Load(id)
							return ran || dice.IntN(20) == 0
						})
						cancel()
					})
				}
				reply, err := ask(ctx, link, c)
				cancel()
				leaving.Wait()
				a.note(k, id, reply, err)
				done.Add(1)
			}
		})
	}
	for i := range restarts {
		k.soon("some calls", func() bool { return int(done.Load()) >= callers*rounds*(i+1)/(restarts+2) })
		k.close(callee)
		if live := a.live.Load(); live != 0 {
			k.t.Errorf("%d calls run after Close", live)
		}
		callee = k.again(callee.Peer(), a)
	}
	working.Wait()
	k.close(caller)
	k.close(callee)
	a.check(k)
	no, unknown, yes := a.told[object.ExecutedNo].Load(), a.told[object.ExecutedUnknown].Load(), a.told[object.ExecutedYes].Load()
	if yes == 0 || no+unknown == 0 {
		k.t.Errorf("the test has proved nothing: %d replies, %d calls not executed, %d unknown", yes, no, unknown)
	}
}
