package shard_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

// stand is an allocator with a store of its own that writes what it decides.
type stand struct {
	allocator *shard.Allocator
	view      shard.View
	now       time.Duration
}

func newStand(shards int, members ...string) *stand {
	s := &stand{view: shard.View{Rev: 100, Shards: make([]shard.Entry, shards)}}
	for _, id := range members {
		s.join(id)
	}
	s.elect()
	return s
}

func (s *stand) elect() {
	s.allocator = shard.NewAllocator(shard.AllocatorConfig{
		Gather: 200 * time.Millisecond, Grace: time.Second, MoveTimeout: 15 * time.Second,
		Backoff: time.Second, MaxBackoff: 8 * time.Second,
	}, s.now)
}

func (s *stand) join(id string) {
	s.view.Rev++
	s.view.Members = append(s.view.Members, shard.Member{ID: id, Rev: s.view.Rev, Weight: 1, Since: s.now})
}

func (s *stand) die(id string) {
	for i, m := range s.view.Members {
		if m.ID == id {
			s.view.Members = append(s.view.Members[:i:i], s.view.Members[i+1:]...)
			return
		}
	}
}

func (s *stand) pass(d time.Duration) { s.now += d }

// step decides, writes, and says what: "s0:a" a take-over, "s0:a>b" a move, "s0:a!" its end.
func (s *stand) step() (what []string) {
	d := s.allocator.Step(s.now, s.view)
	for _, b := range d.Batches {
		s.view.Rev++
		for _, w := range b.Writes {
			e := &s.view.Shards[w.Shard]
			text := fmt.Sprintf("s%d:%s", w.Shard, w.Record.Owner)
			switch {
			case w.Record.Moving():
				text += ">" + w.Record.Target
			case e.Record.Moving() && e.Record.Owner == w.Record.Owner:
				text += "!"
			}
			what = append(what, text)
			e.See(w.Record, s.view.Rev, false)
		}
	}
	for _, o := range d.Done {
		s.view.Orders = nil
		what = append(what, fmt.Sprintf("done %d", o.Shard))
	}
	if len(what) == 0 && d.Wakes {
		what = []string{"wait " + (d.Wake - s.now).String()}
	}
	return what
}

func (s *stand) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := s.step(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// move carries a move out, or gives it up.
func (s *stand) move(n int, done bool) {
	s.view.Rev++
	e := &s.view.Shards[n]
	if done {
		e.See(e.Record.Transferred(e.Rev), s.view.Rev, false)
	} else {
		e.See(e.Record.Settled(), s.view.Rev, false)
	}
}

func TestAllocatorGathersThenAssigns(t *testing.T) {
	t.Parallel()
	s := newStand(4, "a")
	s.want(t, "alone", "wait 200ms")
	s.join("b")
	s.pass(200 * time.Millisecond)
	s.want(t, "two", "s0:a", "s1:b", "s2:a", "s3:b")
	s.want(t, "done", "wait 800ms") // until b may be given more
	s.die("b")
	s.elect()
	s.want(t, "somebody serves: nothing to wait for", "s1:a", "s3:a")
}

func TestAllocatorSettlesAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := newStand(2, "a", "b")
	s.pass(time.Second)
	s.step()
	s.die("b")
	s.view.SettleUntil = s.now + 6*time.Second
	s.want(t, "others may be coming back", "wait 6s")
	s.pass(6 * time.Second)
	s.want(t, "they are not", "s1:a")
}

func TestAllocatorGraceAndRetry(t *testing.T) {
	t.Parallel()
	s := newStand(4, "a")
	s.pass(time.Second)
	s.step()
	s.join("b")
	s.want(t, "grace", "wait 1s")
	s.pass(time.Second)
	s.want(t, "first move", "s0:a>b") // a tenth of four, at least one, at a time
	s.move(0, false)
	s.want(t, "given up: another first", "s1:a>b")
	s.move(1, true)
	s.want(t, "and another", "s2:a>b")
	s.move(2, true)
	s.want(t, "balanced", "wait 1s")
	s.join("c")
	s.view.Members[0].Leaving = true
	s.pass(time.Second)
	s.want(t, "leaving: what was never given up goes first", "s3:a>c")
	s.move(3, true)
	s.want(t, "then the other, whose pause is over", "s0:a>c")
	s.move(0, false)
	s.want(t, "given up again: twice the pause", "wait 2s")
	s.pass(2 * time.Second)
	s.want(t, "and again", "s0:a>c")
	s.pass(15 * time.Second)
	s.want(t, "nobody ends the move", "s0:a!")
	s.want(t, "the pause doubles", "wait 4s")
}

func TestAllocatorTargetGone(t *testing.T) {
	t.Parallel()
	s := newStand(2, "a")
	s.pass(time.Second)
	s.step()
	s.join("b")
	s.pass(time.Second)
	s.want(t, "move", "s0:a>b")
	s.die("b")
	s.want(t, "target gone", "s0:a!")
	s.join("b") // the same name, another member
	s.pass(2 * time.Second)
	s.want(t, "another first", "s1:a>b")
	s.die("a")
	s.want(t, "owner gone", "s0:b", "s1:b")
}

func TestAllocatorOrders(t *testing.T) {
	t.Parallel()
	s := newStand(4, "a", "b")
	s.pass(2 * time.Second)
	s.step()
	order := func(n uint32, to string) { s.view.Orders = []shard.Order{{Shard: n, Target: to, Rev: 1}} }
	order(0, "b")
	s.want(t, "ordered", "s0:a>b")
	s.want(t, "under way", "wait 15s")
	s.move(0, true)
	s.want(t, "there; b gets rid of another", "s1:b>a", "done 0")
	if !s.view.Shards[0].Record.Pinned {
		t.Error("not pinned")
	}
	s.move(1, true)
	s.want(t, "balanced")
	order(1, "nobody")
	s.want(t, "to nobody", "done 1")
	order(9, "a")
	s.want(t, "no such shard", "done 9")
}

func TestAllocatorLostRecords(t *testing.T) {
	t.Parallel()
	s := newStand(3, "a", "b")
	s.pass(2 * time.Second)
	s.step()
	was := s.view.Shards[0].Record
	s.view.Rev++
	s.view.Shards[0].See(shard.Record{}, s.view.Rev, true)
	s.view.Rev++
	s.view.Shards[1].See(shard.Record{}, s.view.Rev, false)
	s.want(t, "back to whom they were", "s0:a", "s1:b")
	if now := s.view.Shards[0].Record; now.Epoch <= was.Epoch {
		t.Errorf("epoch %d after %d", now.Epoch, was.Epoch)
	}
	s.view.Shards[0].See(shard.Record{}, s.view.Rev+1, true)
	s.die("a")
	s.want(t, "a is gone", "s0:b", "s2:b")
}

// Batches keep to the limits of a transaction, and carry every guard of their writes.
func TestBatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newStand(rapid.IntRange(1, 700).Draw(t, "shards"))
		for i := range rapid.IntRange(1, 60).Draw(t, "members") {
			s.join(fmt.Sprint("n", i))
		}
		s.pass(2 * time.Second)
		s.step()
		for i := range rapid.IntRange(0, len(s.view.Members)-1).Draw(t, "deaths") {
			s.die(fmt.Sprint("n", i))
		}
		d := s.allocator.Step(s.now, s.view)
		seen := make(map[uint32]bool)
		for _, b := range d.Batches {
			if len(b.Writes) == 0 || len(b.Writes) > 100 || 1+len(b.Writes)+len(b.Guards) > 128 {
				t.Fatalf("%d writes, %d guards", len(b.Writes), len(b.Guards))
			}
			has := make(map[shard.NodeGuard]bool)
			for _, g := range b.Guards {
				if has[g] {
					t.Fatalf("guard %+v twice", g)
				}
				has[g] = true
			}
			for _, w := range b.Writes {
				old := s.view.Shards[w.Shard].Record.Owner
				if seen[w.Shard] || !has[shard.NodeGuard{ID: w.Record.Owner, Rev: w.Record.OwnerRev}] || !has[shard.NodeGuard{ID: old}] {
					t.Fatalf("write %+v with guards %v", w, b.Guards)
				}
				seen[w.Shard] = true
			}
		}
	})
}
