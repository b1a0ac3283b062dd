package node

import (
	"sync/atomic"

	"github.com/xiaonanln/goverse/object"
)

// An activation's lock has a short cut for the commonest call by far: a sequential
// turn that finds the object idle and ends with nobody waiting. While an activation is
// live and idle its bias is open, and such a turn enters and leaves by one
// compare-and-swap each. Whoever takes the lock closes the short cut first, taking
// what it says over into the state under the lock; whoever gives the lock back opens
// it again where the object is idle. (Biased locking: Kawachiya, Koseki, Onodera,
// "Lock Reservation", OOPSLA 2002, with a bias towards nobody in particular.)
const (
	biasClosed uint32 = iota // the state under the lock is all there is
	biasOpen                 // live, and nothing runs or waits
	biasHeld                 // the same, but for one sequential turn that runs
)

func (a *activation) lock() {
	a.mu.Lock()
	if a.bias.Load() != biasClosed && a.bias.Swap(biasClosed) == biasHeld { // it is opened under the lock only
		a.writer = true
	}
}

func (a *activation) unlock() {
	if a.phase == live && a.quiet() && a.queue.first() == nil && !a.lost.Load() {
		a.bias.Store(biasOpen)
	}
	a.mu.Unlock()
}

// enterFast admits a turn by the short cut.
func (a *activation) enterFast(mode object.Mode) bool {
	return mode == object.Sequential && a.bias.Load() == biasOpen && a.bias.CompareAndSwap(biasOpen, biasHeld)
}

// A turn that finds another in the object, and nobody waiting, looks for its end for a
// while before it queues: most turns are over long before a goroutine has been parked and
// woken, and once some wait the others queue behind them, until all have gone through the
// hands of a runner. How long depends on what came of it lately, so that objects with long
// turns, and a machine that is busy otherwise, lose little by it.
const (
	leastLooks = 128  // some 60 ns
	mostLooks  = 4096 // some 2 us
)

// patience is how many looks beyond the least a turn takes at the one before it. A shard's
// objects have one together, as there is no room in an activation. Turns change it at the
// same time; what gets lost does not matter.
type patience struct{ looks atomic.Uint32 }

// rewarded lengthens the patience.
func (p *patience) rewarded() {
	if was := p.looks.Load(); was < mostLooks {
		p.looks.Store(was + mostLooks/16)
	}
}

// disappointed shortens the patience.
func (p *patience) disappointed() {
	was := p.looks.Load()
	p.looks.Store(was - was/4)
}

// enterSoon is enterFast where another turn runs that may be over soon. It does not
// overtake: as soon as somebody waits it is false.
func (a *activation) enterSoon(mode object.Mode) bool {
	if mode != object.Sequential {
		return false
	}
	p := &a.shard.patience
	for range leastLooks + p.looks.Load() {
		switch a.bias.Load() {
		case biasOpen:
			if a.bias.CompareAndSwap(biasOpen, biasHeld) {
				p.rewarded()
				return true
			}
		case biasClosed:
			return false
		}
	}
	p.disappointed()
	return false
}

// leaveFast ends a turn that was admitted by the short cut, if nobody has closed it
// meanwhile.
func (a *activation) leaveFast() bool {
	return a.bias.Load() == biasHeld && a.bias.CompareAndSwap(biasHeld, biasOpen)
}

// use notes the time of a turn; coarse, so that it seldom changes.
func (a *activation) use(now int64) {
	if a.used.Load() != now {
		a.used.Store(now)
	}
}
