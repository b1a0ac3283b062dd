package node

import (
	"testing"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// Of very many turns few take places, and all again where little comes.
func TestUnderwayKeepsToItsQuota(t *testing.T) {
	t.Parallel()
	l := &lens{node: new(Node)}
	l.general.set(0)
	turns := make([]turn, 1000)
	for i := range turns {
		turns[i].act = new(activation)
	}
	round := func(count int) (placed int) {
		for i := range count {
			if l.underway.shut.Load() {
				break // the door stops nobody
			}
			if one := &turns[i%len(turns)]; l.begins(one) != nil {
				placed++
				if !l.underway.leave(one) {
					t.Fatal("a turn has lost its place")
				}
			}
			if i%200 == 0 {
				l.general.set(0) // another seed
			}
		}
		l.underway.advance()
		return placed
	}
	if placed := round(1000); placed != 1000 {
		t.Errorf("%d of 1000 turns have places", placed)
	}
	round(4_000_000)
	if placed := round(2_000_000); placed > 3*underwayQuota {
		t.Errorf("%d turns took places between two sweeps", placed)
	}
	for range maxShift {
		round(0)
	}
	l.underway.rough.Store(true) // as many as the quota until each of four halvings
	if placed := round(1_000_000); placed < 2*roughUnderway || placed > 4*roughUnderway {
		t.Errorf("%d turns took places between two sweeps while nobody looks", placed)
	}
	for range maxShift {
		round(0)
	}
	if placed := round(1000); placed != 1000 {
		t.Errorf("of few turns, after many, %d of 1000 have places", placed)
	}
}

// Turns for which their row has no place are known all the same, each until its own end.
func TestTurnsBeyondAFullRowAreKnown(t *testing.T) {
	t.Parallel()
	l := &lens{node: &Node{cfg: Config{Clock: clock.System()}}, adopted: make(map[*turn]*sample)}
	act := &activation{id: "T-a", typ: &object.Type{Name: "T"}, pinned: true}
	running := func() uint64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.sweep(0)[methodKey{act.typ, firstMethod}]
	}
	turns := make([]turn, 20) // of a row's 8 places
	for i := range turns {
		turns[i].act, turns[i].entry = act, firstMethod
		if l.begins(&turns[i]) != l {
			t.Fatalf("turn %d is not looked at", i)
		}
	}
	if n := running(); n != 20 || len(l.adopted) != 12 {
		t.Errorf("%d turns run, %d of them beyond the row, want 20 and 12", n, len(l.adopted))
	}
	for i := range turns {
		one := &turns[len(turns)-1-i] // the last first: places come free only when those beyond have gone
		if !l.underway.leave(one) {
			l.ran(one, nil)
		}
		if n := running(); n != uint64(19-i) {
			t.Fatalf("after %d ends %d turns run", i+1, n)
		}
	}
	if len(l.adopted) != 0 || len(l.landed) != 12 {
		t.Errorf("%d turns are left, %d have ended", len(l.adopted), len(l.landed))
	}
	if l.begins(&turns[0]) != l || len(l.adopted) != 0 || !l.underway.leave(&turns[0]) {
		t.Error("a place that came free is not taken again")
	}
}

// While the load lasts places are open after one in eight sweeps; when it is over, or somebody else looks, after the next
// that may be.
func TestPlacesAreOpenRarelyWhileTheLoadLasts(t *testing.T) {
	t.Parallel()
	u := new(underway)
	one := &turn{act: &activation{}}
	sweeps := func(count int, load bool) (open int) {
		for range count {
			u.advance()
			if u.shut.Load() {
				continue
			}
			open++
			for load && !u.shut.Load() {
				if u.enter(one, 0) {
					u.leave(one)
				}
			}
		}
		return open
	}
	u.set(underwayShift + 1)
	if open := sweeps(1000, true); open < 1000/(longestPause+1) || open > 1000/(longestPause+1)+2 {
		t.Errorf("places were open after %d of 1000 sweeps under load", open)
	}
	if open := sweeps(longestPause+1, false); open == 0 {
		t.Errorf("places are shut %d sweeps after the load", longestPause+1)
	}
	u.set(underwayShift + 1)
	if open := sweeps(2, true); open != 2 {
		t.Error("after a time with little load, places are shut for long at once")
	}
	sweeps(100, true)
	u.resume()
	if open := sweeps(1, false); open != 1 {
		t.Error("places stay shut when another quota holds")
	}
}

// Under load fewer turns take places, and then none; when it is over, all do again, some sweeps later.
func TestPlacesAreShutUnderLoadAndOpenAfterwards(t *testing.T) {
	t.Parallel()
	u := new(underway)
	turns := &turn{act: &activation{}}
	crowded := func() (counted int) {
		for before := u.shift(); u.shift() == before; counted += underwayCount {
			if u.enter(turns, 0) {
				u.leave(turns)
			}
		}
		return counted
	}
	for shift := range underwayShift {
		least := underwayQuota
		if shift > 0 {
			least /= 2 // as half as many come
		}
		if counted := crowded(); counted < least || counted > least+underwayCount {
			t.Errorf("one in 2^%d, fewer took places after %d, want %d", shift, counted, least)
		}
	}
	if u.shut.Load() || u.shift() != underwayShift {
		t.Errorf("shut %v, one in 2^%d", u.shut.Load(), u.shift())
	}
	crowded()
	if !u.shut.Load() {
		t.Error("it is not shut under load")
	}
	u.advance()
	u.advance() // nobody came any more
	if u.shut.Load() {
		t.Error("it stays shut when the load is over")
	}
	for range underwayShift {
		u.advance()
	}
	if u.shift() != 0 {
		t.Errorf("one turn in 2^%d takes a place when the load is over", u.shift())
	}
}
