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
	if placed := round(1000); placed != 1000 {
		t.Errorf("of few turns, after many, %d of 1000 have places", placed)
	}
}
