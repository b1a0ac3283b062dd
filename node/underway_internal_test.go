package node

import "testing"

// Of very many turns few take places, and all again where little comes.
func TestUnderwayKeepsToItsQuota(t *testing.T) {
	t.Parallel()
	var l lens
	l.general.set(0)
	turns := make([]turn, 1000)
	for i := range turns {
		turns[i].act = new(activation)
	}
	round := func(count int) (placed int) {
		for i := range count {
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
	l.underway.rough.Store(true) // as many as the quota until each of some nine halvings
	if placed := round(1_000_000); placed > 12*roughUnderway {
		t.Errorf("%d turns took places between two sweeps while nobody looks", placed)
	}
	for range maxShift {
		round(0)
	}
	if placed := round(1000); placed != 1000 {
		t.Errorf("of few turns, after many, %d of 1000 have places", placed)
	}
}

// Under load fewer turns take places, and then none; when it is over, all do again, some sweeps later.
func TestPlacesAreShutUnderLoadAndOpenAfterwards(t *testing.T) {
	t.Parallel()
	u := new(underway)
	turns := &turn{act: &activation{}}
	crowded := func() {
		for range underwayQuota/underwayCount + 1 {
			if u.enter(turns, 0) {
				u.leave(turns)
			}
		}
	}
	for range underwayShift {
		crowded()
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
