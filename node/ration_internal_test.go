package node

import (
	"testing"
	"time"
)

// Searches have the processor for themselves for a while; then they rest three times as long as they work,
// whoever of them worked, until they have rested for that while.
func TestSearchesHaveTheirShare(t *testing.T) {
	t.Parallel()
	var r ration
	const slice = 2 * time.Millisecond
	now, worked, began := 10*time.Second, time.Duration(0), 10*time.Second
	for now < began+10*time.Second {
		now += slice
		worked += slice
		now += r.take(slice, now)
	}
	if most := (now-began)/rationShare + 2*rationBurst; worked > most || worked < most-3*rationBurst {
		t.Errorf("%v of work in %v, want about %v", worked, now-began, most)
	}
	if r.take(leastPause, now) == 0 {
		t.Error("no rest after ten seconds of it")
	}
	now += rationShare * (rationBurst + 5*slice)
	for range rationBurst / slice {
		now += slice
		if rest := r.take(slice, now); rest != 0 {
			t.Fatalf("it has to rest for %v after its burst came back", rest)
		}
	}
}

func TestSamplerKnowsACrowd(t *testing.T) {
	t.Parallel()
	var s sampler
	now := time.Second
	for range 20 { // 300 in a second
		for range samplerCrowd / 2 {
			s.picked(now)
		}
		now += samplerTick
	}
	if s.busy(now) {
		t.Error("a few turns are a crowd")
	}
	for range samplerCrowd {
		s.picked(now)
	}
	if !s.busy(now + busyFor - 1) {
		t.Error("many turns are none")
	}
	if s.busy(now + busyFor) {
		t.Error("it never ends")
	}
}
