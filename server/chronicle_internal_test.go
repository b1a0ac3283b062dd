package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/util/clock"
)

func newTestChronicle() *chronicle {
	return &chronicle{journal: journal.New(clock.System()), moved: make(chan struct{}, 1)}
}

// told are the events since the last time, "kind level: text".
func told(c *chronicle, since *uint64) (lines []string) {
	events, next := c.journal.Since(*since)
	*since = next
	for _, e := range events {
		lines = append(lines, e.GetKind()+" "+e.GetLevel()+": "+e.GetText())
	}
	return lines
}

func wantTold(t *testing.T, c *chronicle, since *uint64, want ...string) {
	t.Helper()
	if got := told(c, since); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestWhoComesAndGoesIsWrittenDown(t *testing.T) {
	t.Parallel()
	c, since := newTestChronicle(), uint64(0)
	known := make(map[string]cluster.MemberInfo)
	silent := func(string) bool { return false }
	self, other, third := cluster.MemberInfo{Incarnation: "me", Address: "a:1"}, cluster.MemberInfo{Incarnation: "other", Address: "b:2"}, cluster.MemberInfo{Incarnation: "third", Address: "c:3"}
	c.compare("me", known, nil, silent)
	wantTold(t, c, &since)
	c.compare("me", known, []cluster.MemberInfo{self, other}, silent)
	wantTold(t, c, &since, "join info: this node joined at a:1 as me, of 2 in the cluster")
	c.compare("me", known, []cluster.MemberInfo{self, other, third}, silent)
	wantTold(t, c, &since, "join info: node third joined at c:3")
	c.compare("me", known, []cluster.MemberInfo{self, other, third}, silent)
	wantTold(t, c, &since)
	other.Leaving, self.Draining = true, true
	c.compare("me", known, []cluster.MemberInfo{self, other, third}, silent)
	wantTold(t, c, &since, "leave info: node me at a:1 is to be drained", "leave info: node other at b:2 is leaving")
	if !c.drains.Load() {
		t.Error("it does not know that it is to be drained")
	}
	c.compare("me", known, []cluster.MemberInfo{self, third}, silent)
	wantTold(t, c, &since, "leave info: node other at b:2 left")
	c.compare("me", known, []cluster.MemberInfo{self}, silent)
	wantTold(t, c, &since, "leave warning: node third at c:3 is gone, and did not say that it would leave")
	c.compare("me", known, []cluster.MemberInfo{self, other}, silent)
	told(c, &since)
	other.Leaving = false
	c.compare("me", known, []cluster.MemberInfo{self, other}, silent)
	c.compare("me", known, []cluster.MemberInfo{self}, func(id string) bool { return id == "other" }) // all between two looks
	wantTold(t, c, &since, "leave info: node other at b:2 left")
}

// Of many shards that move there is one event.
func TestMovesAreWrittenDownTogether(t *testing.T) {
	t.Parallel()
	c, since := newTestChronicle(), uint64(0)
	for n := range uint32(1000) {
		c.shard(shardsOpened, n)
		c.released(n, cluster.ReleaseLost)
		c.released(n, cluster.ReleaseDead)
		c.released(n, cluster.ReleaseLeaving)
	}
	c.released(7, cluster.ReleaseMoved)
	c.flush()
	c.flush()
	events, _ := c.journal.Since(0)
	wantTold(t, c, &since, "move info: took over 1000 shards", "move info: handed over shard 7", "move warning: lost 1000 shards")
	if events[0].GetShard() != -1 || events[1].GetShard() != 7 {
		t.Errorf("%v", events)
	}
}

// Of many clients that do not read there is an event at once, and then one each ten seconds, so that they push nothing
// else out.
func TestSlowClientsAreWrittenDownTogether(t *testing.T) {
	t.Parallel()
	c, since := newTestChronicle(), uint64(0)
	if wait := c.flushClients(0); wait != 0 {
		t.Errorf("with none it is asked again after %v", wait)
	}
	c.clientTooSlow("User-0")
	if len(c.moved) != 1 {
		t.Error("nobody looks at it")
	}
	c.flushClients(time.Second)
	wantTold(t, c, &since, "client warning: disconnected: it does not read what is pushed to it")
	for n := range 5000 {
		c.clientTooSlow(fmt.Sprint("User-", n))
		if wait := c.flushClients(time.Second + time.Millisecond); wait != clientsPause-time.Millisecond {
			t.Fatalf("it is asked again after %v", wait)
		}
	}
	wantTold(t, c, &since)
	c.flushClients(time.Second + clientsPause)
	events, _ := c.journal.Since(since)
	wantTold(t, c, &since, "client warning: 5000 clients disconnected, this one last: they do not read what is pushed to them")
	if events[0].GetObject() != "User-4999" {
		t.Errorf("%v", events)
	}
}

func TestTroubleWithTheLeaseIsWrittenDown(t *testing.T) {
	t.Parallel()
	c, since := newTestChronicle(), uint64(0)
	for _, state := range []shard.LeaseState{0, shard.LeaseValid, shard.LeaseSuspect, shard.LeaseSuspect, shard.LeaseValid} {
		c.leaseIs(state, 1500*time.Millisecond)
	}
	wantTold(t, c, &since, "lease warning: suspect: the lease is valid for 1.5s, and is not being renewed", "lease info: the lease is renewed again")
	valid := false
	h := watchedHost{deafHost{}, &vitals{}, func() bool { return valid }, c}
	h.Suspend(errors.New("cut off"))
	h.Resume() // as a member that ends does
	wantTold(t, c, &since, "fenced error: cut off")
	valid = true
	h.Resume()
	wantTold(t, c, &since, "resumed info: not fenced any more: the lease is valid, and nothing has changed meanwhile")
	if err := h.OpenShard(t.Context(), 3, 1, 0); err == nil {
		t.Error("a shard that cannot be opened is")
	}
	c.flush()
	wantTold(t, c, &since)
}

// deafHost opens no shard.
type deafHost struct{ cluster.Host }

func (deafHost) Suspend(error) {}

func (deafHost) Resume() {}

func (deafHost) OpenShard(context.Context, uint32, uint64, int64) error { return errors.New("closed") }
