package ends_test

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"weak"

	"github.com/xiaonanln/goverse/util/ends"
)

// log notes who was told.
type log struct{ told []*ends.Follower }

func (l *log) Ended(f *ends.Follower) { l.told = append(l.told, f) }

func TestEndTellsAllWhoFollowOnce(t *testing.T) {
	t.Parallel()
	var p ends.Point
	var l log
	fs := make([]ends.Follower, 5)
	for i := range fs {
		fs[i].Told = &l
		if !p.Follow(&fs[i]) {
			t.Fatalf("follower %d was told that the end has come", i)
		}
	}
	fs[4].Leave() // the first of the list
	fs[2].Leave() // between others
	fs[0].Leave() // the last
	fs[2].Leave()
	if !p.Follow(&fs[2]) {
		t.Error("one that has left could not follow again")
	}
	p.End()
	p.End()
	want := []*ends.Follower{&fs[2], &fs[3], &fs[1]}
	if !slices.Equal(l.told, want) {
		t.Errorf("told %v, want %v", l.told, want)
	}
	if p.Follow(&fs[0]) {
		t.Error("one could follow an end that had come")
	}
	fs[0].Leave()
	fs[3].Leave()
	p.End()
	if len(l.told) != len(want) {
		t.Errorf("told %d times, want %d", len(l.told), len(want))
	}
}

// A follower that has left, and is kept for others, keeps nothing of what it followed.
func TestWhoHasLeftLetsGo(t *testing.T) {
	t.Parallel()
	var l log
	f := ends.Follower{Told: &l}
	followed := func() weak.Pointer[ends.Point] {
		p := new(ends.Point)
		p.Follow(&f)
		return weak.Make(p)
	}
	kept := followed()
	f.Leave()
	for range 10 {
		if runtime.GC(); kept.Value() == nil {
			break
		}
	}
	if kept.Value() != nil {
		t.Error("what was followed is kept")
	}
	runtime.KeepAlive(&f)
}

func TestLeaveOfWhatFollowsNothing(t *testing.T) {
	t.Parallel()
	var f ends.Follower
	f.Leave()
}

func TestJointEndsWithEither(t *testing.T) {
	t.Parallel()
	for i := range 2 {
		var ups [2]ends.Point
		j := ends.NewJoint()
		ups[0].Follow(&j.Up[0])
		ups[1].Follow(&j.Up[1])
		var l log
		f := ends.Follower{Told: &l}
		j.Follow(&f)
		ups[i].End()
		if len(l.told) != 1 {
			t.Errorf("told %d times of the end of %d, want once", len(l.told), i)
		}
		ups[1-i].End()
		j.Close()
		if len(l.told) != 1 {
			t.Errorf("told %d times in the end, want once", len(l.told))
		}
	}
}

func TestClosedJointFollowsNothing(t *testing.T) {
	t.Parallel()
	var up ends.Point
	j := ends.NewJoint()
	up.Follow(&j.Up[0])
	var l log
	f := ends.Follower{Told: &l}
	j.Follow(&f)
	j.Close()
	if len(l.told) != 1 {
		t.Errorf("told %d times that the joint was closed, want once", len(l.told))
	}
	j.Up[0].Told = &l
	up.End()
	if len(l.told) != 1 {
		t.Error("a closed joint was told of an end")
	}
}

// count counts how often it was told; guarded by what it follows.
type count struct{ n atomic.Int32 }

func (c *count) Ended(*ends.Follower) { c.n.Add(1) }

// TestNobodyIsToldAfterLeaving: of those who come and go beside the end, nobody hears of it later.
func TestNobodyIsToldAfterLeaving(t *testing.T) {
	t.Parallel()
	for range 200 {
		var p ends.Point
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				var c count
				f := ends.Follower{Told: &c}
				for range 20 {
					before := c.n.Load()
					followed := p.Follow(&f)
					f.Leave()
					after := c.n.Load()
					if after > before && !followed || after > before+1 {
						t.Errorf("told %d times by one end", after-before)
					}
					if c.n.Load() != after {
						t.Error("told after leaving")
					}
				}
			})
		}
		all.Go(p.End)
		all.Wait()
	}
}
