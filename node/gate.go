package node

import "github.com/xiaonanln/goverse/object"

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
