package node

import (
	"log/slog"
	"testing"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

// The door opens to the turns that the lens picks, and to no others; to all where there is a focus; to none where nobody
// observes.
func TestTheDoorOpensToThoseWhoArePicked(t *testing.T) {
	t.Parallel()
	n := New(Config{Registry: object.NewRegistry(), Clock: clock.System(), Logger: slog.New(slog.DiscardHandler), Shards: 1})
	turns := make([]turn, 10_000)
	opened := func() (count int) {
		for i := range turns {
			if n.door.opensTo(&turns[i]) {
				count++
			}
		}
		return count
	}
	if got := opened(); got != 0 {
		t.Errorf("while nobody observes it opens to %d", got)
	}
	o := n.Observe()
	defer o.Close()
	if got := opened(); got != len(turns) {
		t.Errorf("where few come it opens to %d of %d", got, len(turns))
	}
	l := n.lens.Load()
	for range 20 { // seeds
		l.mu.Lock()
		l.general.set(3)
		l.setDoor()
		l.mu.Unlock()
		for i := range turns {
			one := &turns[i]
			if opens, picked := n.door.opensTo(one), l.general.picks(one) != 0; opens != picked {
				t.Fatalf("turn %d: it opens %v, picked %v", i, opens, picked)
			}
		}
	}
	if got := opened(); got == 0 || got > len(turns)/4 {
		t.Errorf("where one in eight is picked it opens to %d of %d", got, len(turns))
	}
	o.Aim(&inspectmsg.WatchRequest{Focus: "Room-1"})
	if got := opened(); got != len(turns) {
		t.Errorf("with a focus it opens to %d of %d", got, len(turns))
	}
	o.Close()
	if got := opened(); got != 0 {
		t.Errorf("when all have closed it opens to %d", got)
	}
	defer n.Observe().Close()
	l.mu.Lock()
	l.setDoor() // by a turn that has seen it before
	l.mu.Unlock()
	if got := opened(); got != len(turns) {
		t.Errorf("a lens that is over has closed it: it opens to %d of %d", got, len(turns))
	}
}

// Where places are shut the door stops nobody who begins, but those that were picked; the next lens begins open.
func TestTheDoorStopsNobodyWhilePlacesAreShut(t *testing.T) {
	t.Parallel()
	n := New(Config{Registry: object.NewRegistry(), Clock: clock.System(), Logger: slog.New(slog.DiscardHandler), Shards: 1})
	one := &turn{act: new(activation)}
	if n.door.stops(one) {
		t.Error("it stops a turn while nobody observes")
	}
	o := n.Observe()
	l := n.lens.Load()
	if !n.door.stops(one) {
		t.Error("it does not stop a turn where few come")
	}
	shut := func() {
		l.underway.set(underwayShift + 1)
		for l.underway.mask.Load()&l.general.hashed(one) != 0 {
			l.general.set(0) // until the turn is one that enters
		}
		l.begins(one)
	}
	shut()
	if n.door.stops(one) {
		t.Error("it stops a turn while places are shut")
	}
	picked := &turn{act: new(activation)}
	picked.extra().sample = &sample{lens: l}
	if !n.door.stops(picked) {
		t.Error("it lets one pass that was picked")
	}
	l.underway.set(0)
	o.Collect()
	if !n.door.stops(one) {
		t.Error("it stops no turn when places are open again")
	}
	o.Close()
	if n.door.stops(one) {
		t.Error("it stops a turn when all have closed")
	}
	o, l = n.Observe(), n.lens.Load()
	shut()
	o.Close()
	defer n.Observe().Close()
	if !n.door.stops(one) {
		t.Error("of the next lens it is shut from the beginning")
	}
}
