package node

import (
	"runtime"
	"testing"

	"github.com/xiaonanln/goverse/object"
)

// forever is more looks than the rest of a test takes.
const forever = 1 << 31

// busyActivation is an object in which a turn runs and nobody waits.
func busyActivation() *activation {
	a := &activation{shard: new(shardState)}
	a.bias.Store(biasHeld)
	return a
}

// enterMeanwhile lets a turn look for the end of another for as long as it takes.
func enterMeanwhile(a *activation) (entered <-chan bool) {
	a.shard.patience.looks.Store(forever)
	begun, ended := make(chan struct{}), make(chan bool, 1)
	go func() {
		close(begun)
		ended <- a.enterSoon(object.Sequential)
	}()
	<-begun
	for range 5 {
		runtime.Gosched()
	}
	return ended
}

func TestTurnEntersWhenTheOneBeforeItEnds(t *testing.T) {
	t.Parallel()
	a := busyActivation()
	entered := enterMeanwhile(a)
	if !a.leaveFast() {
		t.Error("the turn before did not leave by the short cut")
	}
	if !<-entered || a.bias.Load() != biasHeld {
		t.Error("the turn did not enter")
	}
}

// Nobody overtakes those that wait, nor looks for the end of their queue.
func TestTurnQueuesWhereOthersWait(t *testing.T) {
	t.Parallel()
	a := busyActivation()
	entered := enterMeanwhile(a)
	a.lock() // as who queues does
	if <-entered {
		t.Error("a turn entered past the queue")
	}
	a.mu.Unlock()
	if a.enterSoon(object.Sequential) {
		t.Error("a turn entered past the queue")
	}
	if got := a.shard.patience.looks.Load(); got != forever {
		t.Errorf("%d looks: that others wait says nothing of the length of turns", got)
	}
}

func TestOnlySequentialTurnsTakeTheShortCut(t *testing.T) {
	t.Parallel()
	a := busyActivation()
	a.bias.Store(biasOpen)
	for _, mode := range []object.Mode{object.ReadOnly, object.Concurrent, alone} {
		if a.enterSoon(mode) || a.enterFast(mode) {
			t.Errorf("mode %v entered", mode)
		}
	}
	if !a.enterSoon(object.Sequential) {
		t.Error("a sequential turn did not enter")
	}
}

// An object whose turns are long is soon not looked at much, and one whose turns are
// short is looked at for as long as it is worth.
func TestPatienceFollowsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	a := busyActivation()
	for range 100 {
		a.bias.Store(biasOpen)
		if !a.enterSoon(object.Sequential) {
			t.Fatal("the turn did not enter")
		}
	}
	if got := a.shard.patience.looks.Load(); got != mostLooks {
		t.Errorf("%d looks after 100 short turns, want %d", got, mostLooks)
	}
	for range 40 {
		if a.enterSoon(object.Sequential) {
			t.Fatal("a turn entered beside another")
		}
	}
	if got := a.shard.patience.looks.Load(); got >= leastLooks {
		t.Errorf("%d looks beyond the least after 40 long turns", got)
	}
}
