package node

import (
	"hash/maphash"
	"log/slog"
	"testing"
	"time"
	"unsafe"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

// What is there for inspectors makes neither an object in memory nor a call larger: these are
// size classes of the allocator, and the sizes from before there was any of it.
func TestInspectionTakesNoRoom(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(activation{}); size > 128 {
		t.Errorf("an activation has %d bytes", size)
	}
	if size := unsafe.Sizeof(turn{}); size > 64 {
		t.Errorf("a turn has %d bytes", size)
	}
	if size := unsafe.Sizeof(visit{}); size > 96 {
		t.Errorf("a turn from another node has %d bytes", size)
	}
}

// Calls look at the door in the cache line in which they look anyway whether the node takes calls.
func TestTheDoorLiesBesideWhatCallsRead(t *testing.T) {
	t.Parallel()
	const line = 64
	var n Node
	first, last := unsafe.Offsetof(n.door), unsafe.Offsetof(n.door)+unsafe.Sizeof(n.door)-1
	if closed := unsafe.Offsetof(n.closed); first/line != closed/line || last/line != closed/line {
		t.Errorf("the door has the bytes %d to %d of a node, closed begins at %d", first, last, closed)
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for d, want := range map[int64]int{-1: 0, 0: 0, 1000: 0, 1189: 0, 1190: 1, 2000: 4, 2001: 4, 4_000: 8, 1 << 62: 127} {
		if got := bucketOf(time.Duration(d)); got != want {
			t.Errorf("%d ns are in bucket %d, want %d", d, got, want)
		}
	}
	var h histogram
	h[3]++
	if got := h.counts(); len(got) != 4 || got[3] != 1 {
		t.Errorf("counts are %v", got)
	}
}

// A sampler whose quota is used up picks fewer, and all again where little comes.
func TestSamplerKeepsToItsQuota(t *testing.T) {
	t.Parallel()
	var s sampler
	const perTick, ticks = 50_000, 40
	picked, estimate := 0, uint64(0)
	turns := make([]turn, perTick)
	for tick := range ticks {
		for i := range perTick {
			now := samplerTick * time.Duration(int64(tick*perTick+i)) / perTick
			if weight := s.picks(&turns[i]); weight != 0 {
				estimate += weight
				picked++
				s.picked(now)
			}
		}
	}
	if most := samplerQuota * (ticks + 20); picked > most {
		t.Errorf("%d turns were picked, want at most %d", picked, most)
	}
	if calls := uint64(perTick * ticks); estimate < calls*8/10 || estimate > calls*12/10 {
		t.Errorf("%d calls are estimated, there were %d", estimate, calls)
	}
	if s.oneIn() < 64 {
		t.Errorf("one in %d is picked", s.oneIn())
	}
	s.advance(samplerTick * (ticks + 100))
	if s.oneIn() != 1 {
		t.Errorf("one in %d is picked when little comes", s.oneIn())
	}
}

// A node picks fewer turns while all who observe it say that nobody looks, and as many as before when one does.
func TestNobodyLooksAtRoughFigures(t *testing.T) {
	t.Parallel()
	n := New(Config{Registry: object.NewRegistry(), Clock: clock.System(), Logger: slog.New(slog.DiscardHandler), Shards: 1})
	first, second := n.Observe(), n.Observe()
	defer first.Close()
	l := n.lens.Load()
	last := samplerQuota
	l.mu.Lock()
	l.underway.left = longestPause
	l.mu.Unlock()
	quota := func(want int, when string) {
		t.Helper()
		l.mu.Lock()
		defer l.mu.Unlock()
		if got := l.general.quota(); got != want {
			t.Errorf("%s the quota is %d, want %d", when, got, want)
		}
		if rough := want == roughQuota; l.underway.rough.Load() != rough {
			t.Errorf("%s turns underway are looked at roughly: %v", when, !rough)
		}
		changed := last != want
		if resumed := l.underway.left == 0; resumed != changed {
			t.Errorf("%s the pause of places is over: %v", when, resumed)
		}
		last, l.underway.left = want, longestPause
	}
	unattended := &inspectmsg.WatchRequest{Unattended: true}
	for range 20 { // in whatever order they are looked at
		first.Aim(unattended)
		quota(samplerQuota, "while one has said nothing")
	}
	second.Aim(unattended)
	quota(roughQuota, "while nobody looks")
	second.Aim(&inspectmsg.WatchRequest{})
	quota(samplerQuota, "while one looks")
	second.Close()
	quota(roughQuota, "when that has gone")
	third := n.Observe()
	quota(samplerQuota, "when another comes")
	third.Close()

	picked := 0
	turns := make([]turn, 50_000)
	l.mu.Lock()
	defer l.mu.Unlock()
	for tick := range 20 {
		for i := range turns {
			if l.general.picks(&turns[i]) != 0 {
				picked++
				l.general.picked(l.general.since)
			}
		}
		l.general.advance(l.general.since + samplerTick)
		if most := roughQuota * (tick + 1 + 20); picked > most {
			t.Fatalf("%d turns were picked in %d ticks, want at most %d", picked, tick+1, most)
		}
	}
}

// Each of two methods that are called in turn gets its share.
func TestSamplerFavoursNobody(t *testing.T) {
	t.Parallel()
	var s sampler
	var got [2]int
	turns := make([]turn, 2000)
	for range 500 {
		s.set(5)
		for i := range turns {
			if s.picks(&turns[i]) != 0 {
				got[i%2]++
			}
		}
	}
	for _, n := range got {
		if want := 500 * 1000 / 32; n < want*9/10 || n > want*11/10 {
			t.Errorf("picked %v, want about %d each", got, want)
		}
	}
}

func TestLoadsAreBounded(t *testing.T) {
	t.Parallel()
	l := &lens{loads: loads{seed: maphash.MakeSeed()}}
	for i := range maxLoads + 10 {
		s := &sample{object: "Plain-" + string(rune(0x4e00+i%20000)) + string(rune(0x4e00+i/20000)), weight: uint64(1 + i%3)}
		l.burden(s)
	}
	n := 0
	for i := range l.loads.of {
		n += len(l.loads.of[i].byID)
	}
	if n > maxLoads || n < maxLoads/10 {
		t.Errorf("%d loads", n)
	}
}

func TestSeldom(t *testing.T) {
	t.Parallel()
	var s seldom
	if !s.allows("a", 0) || s.allows("a", seldomEvery-1) || !s.allows("a", seldomEvery) {
		t.Error("not once in a while")
	}
	for i := range 2 * seldomMost {
		s.allows(string(rune(0x4e00+i)), seldomEvery)
	}
	if len(s.last) > seldomMost {
		t.Errorf("%d are kept", len(s.last))
	}
	if !s.allows("b", 3*seldomEvery) {
		t.Error("the old ones are in the way")
	}
}

func TestCodeNames(t *testing.T) {
	t.Parallel()
	for code, want := range map[object.Code]string{object.CodeNotFound: "NotFound", object.CodeInvalidArgument: "InvalidArgument", object.CodeOK: "Ok"} {
		if got := codeName(code); got != want {
			t.Errorf("%v is %q, want %q", code, got, want)
		}
	}
}
