package transporttest

import (
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// Faults makes trouble between the endpoints of a [Net]. The ways are those between the addresses at which endpoints
// listen, whichever side has made a connection. All methods may be used at any time.
type Faults interface {
	// Set replaces the trouble of the way from one address to another.
	Set(from, to string, t Trouble)

	// Pause stops a process for all that others can see: nothing leaves its address and nothing arrives there, and it
	// waits. Resume ends that.
	Pause(address string)
	Resume(address string)
}

// Trouble is what happens on a way. The zero value is nothing.
type Trouble struct {
	// Cut breaks the connections that the one at the way's beginning has made to the one at its end, and those that it
	// tries to make. It can still be called by the other.
	Cut bool

	// Silent swallows everything, without a word. What a connection has lost it may have lost for good: over TCP it
	// passes nothing that way any more.
	Silent bool

	// Hold makes everything wait.
	Hold bool

	// Delay passes before anything arrives, and in addition a random part of Jitter. Order is kept.
	Delay, Jitter time.Duration

	// Scatter is the longest time that messages are held up at random, so that they overtake others: those of other
	// connections over TCP, of other callers or objects elsewhere.
	Scatter time.Duration

	// Slow carries a little at a time, no more than small messages need that are made one after the other.
	Slow bool

	// Replay makes messages arrive twice: each by chance, or all that come over the connections which the one at the
	// way's beginning makes from now on, as from somebody who listens in and says it all once more. A transport
	// promises nothing about who runs what it was told twice; but nobody gets another's reply by it.
	Replay bool
}

// FaultCases are the tests of the suite that make trouble. They need Net.Faults, and pass on links that find out about
// a silence after Net.Silence. They take a multiple of that time.
func FaultCases() []Case {
	return []Case{
		{"TroubleEnds", on(testTroubleEnds)},
		{"CutOneWay", on(testCutOneWay)},
		{"TroubleThatPasses", on(testTroubleThatPasses)},
		{"LeavingInTrouble", on(testLeavingInTrouble)},
		{"OrderInTrouble", on(testOrderInTrouble)},
		{"LinksOvertakeEachOther", on(testScatter)},
		{"SendsInTrouble", on(testSendsInTrouble)},
		{"Replays", on(testReplays)},
		{"TroubledCalleeDisturbsNobody", on(testTroubledCallee)},
		{"TroubledCallerDisturbsNobody", on(testTroubledCaller)},
		{"DrainInTrouble", on(testDrainInTrouble)},
		{"CloseInTrouble", on(testCloseInTrouble)},
		{"ExecutionIsTrueInTrouble", on(testExecutionInTrouble)},
	}
}

// kind is one kind of trouble between a caller and a callee.
type kind struct {
	name        string
	there, back Trouble
	pause       bool // of the callee
	silence     bool // the two do not hear of each other
}

// silences are the kinds by which a link breaks when they last.
func silences() []kind {
	return []kind{
		{name: "requests are swallowed", there: Trouble{Silent: true}, silence: true},
		{name: "replies are swallowed", back: Trouble{Silent: true}, silence: true},
		{name: "all is swallowed", there: Trouble{Silent: true}, back: Trouble{Silent: true}, silence: true},
		{name: "requests wait", there: Trouble{Hold: true}, silence: true},
		{name: "replies wait", back: Trouble{Hold: true}, silence: true},
		{name: "the callee is paused", pause: true, silence: true},
	}
}

// hindrances are the kinds by which a link does not break.
func (k *kit) hindrances() []kind {
	d := k.net.Silence / 40
	return []kind{
		{name: "delay", there: Trouble{Delay: d}, back: Trouble{Delay: d}},
		{name: "jitter", there: Trouble{Jitter: 2 * d}, back: Trouble{Jitter: 2 * d}},
		{name: "slow requests", there: Trouble{Slow: true}},
		{name: "slow replies", back: Trouble{Slow: true}},
		{name: "scatter", there: Trouble{Scatter: 2 * d}, back: Trouble{Scatter: 2 * d}},
	}
}

// begin begins a kind of trouble between two.
func (k *kit) begin(t kind, caller, callee transport.Endpoint) {
	from, to := caller.Peer().Address, callee.Peer().Address
	if t.pause {
		k.net.Faults.Pause(to)
	}
	k.net.Faults.Set(from, to, t.there)
	k.net.Faults.Set(to, from, t.back)
}

// end ends all trouble between two.
func (k *kit) end(caller, callee transport.Endpoint) {
	from, to := caller.Peer().Address, callee.Peer().Address
	k.net.Faults.Set(from, to, Trouble{})
	k.net.Faults.Set(to, from, Trouble{})
	k.net.Faults.Resume(from)
	k.net.Faults.Resume(to)
}

// recovers waits until a link carries calls again.
func (k *kit) recovers(what string, link transport.Link) {
	k.t.Helper()
	k.soon(what+": the link to work again", func() bool {
		_, err := ask(k.ctx, link, call("Probe-1", "Echo"))
		return err == nil
	})
	k.works(what+", afterwards", link)
}

// pass lets time pass.
func (k *kit) pass(d time.Duration) {
	timer := k.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.ctx.Done():
	}
}
