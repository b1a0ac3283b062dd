package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/journal"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/proto/inspect/inspectmsg"
	"github.com/xiaonanln/goverse/util/clock"
)

// chroniclePause is how long changes of the cluster are collected before they are written down: of a thousand shards
// that move there is one event.
const chroniclePause = 200 * time.Millisecond

// clientsPause is how long it tells nothing of clients after it has told of some, so that many do not push out of the
// journal what else there is: it is told then how many they were.
const clientsPause = 10 * time.Second

// chronicle writes into the server's journal what happens to it as a member of its cluster. It is safe for concurrent
// use, and waits for nobody.
type chronicle struct {
	journal *journal.Journal
	moved   chan struct{} // a token: shards or clients came or went
	drains  atomic.Bool   // an operator wants the server empty, or it leaves

	mu    sync.Mutex
	moves [moveKinds]move  // guarded by mu: what was not written down yet
	lease shard.LeaseState // guarded by mu: as it was seen last
	slow  slowClients      // guarded by mu
}

// slowClients are clients that were disconnected.
type slowClients struct {
	count int    // that were not written down yet
	last  string // … the last of them
	next  time.Duration
}

// move is shards that came or went.
type move struct {
	count int
	last  uint32
}

// What happens to shards.
const (
	shardsOpened = iota
	shardsHandedOver
	shardsLost
	moveKinds
)

// moveWords say it, with how bad it is.
func moveWords(kind int) (words, level string) {
	switch kind {
	case shardsOpened:
		return "took over", "info"
	case shardsHandedOver:
		return "handed over", "info"
	}
	return "lost", "warning"
}

func (c *chronicle) note(kind, level, text string) {
	c.journal.Add(&inspectmsg.Event{Kind: kind, Level: level, Text: text, Shard: -1})
}

// clientTooSlow takes note of a client that was disconnected.
func (c *chronicle) clientTooSlow(id string) {
	c.mu.Lock()
	c.slow.count++
	c.slow.last = id
	c.mu.Unlock()
	c.look()
}

// flushClients writes down the clients that were disconnected, together, unless it has done so a short while before; it
// returns after how long it is to be asked again, 0: there are none left.
func (c *chronicle) flushClients(now time.Duration) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow.count == 0 || now < c.slow.next {
		return time.Duration(min(c.slow.count, 1)) * (c.slow.next - now)
	}
	e := &inspectmsg.Event{Kind: "client", Level: "warning", Object: c.slow.last, Shard: -1, Text: "disconnected: it does not read what is pushed to it"}
	if c.slow.count > 1 {
		e.Text = fmt.Sprintf("%d clients disconnected, this one last: they do not read what is pushed to them", c.slow.count)
	}
	c.slow = slowClients{next: now + clientsPause}
	c.journal.Add(e)
	return 0
}

// shard takes note of a shard that came or went.
func (c *chronicle) shard(kind int, n uint32) {
	c.mu.Lock()
	c.moves[kind].count++
	c.moves[kind].last = n
	c.mu.Unlock()
	c.look()
}

// look has what was taken note of written down.
func (c *chronicle) look() {
	select {
	case c.moved <- struct{}{}:
	default: // there is one
	}
}

// released takes note of a shard that went, unless the whole membership ends.
func (c *chronicle) released(n uint32, why cluster.ReleaseReason) {
	switch why { //nolint:exhaustive // the others are the end of the membership, which is told by itself
	case cluster.ReleaseMoved:
		c.shard(shardsHandedOver, n)
	case cluster.ReleaseLost:
		c.shard(shardsLost, n)
	}
}

// flush writes down the moves.
func (c *chronicle) flush() {
	c.mu.Lock()
	moves := c.moves
	c.moves = [moveKinds]move{}
	c.mu.Unlock()
	for kind, m := range moves {
		words, level := moveWords(kind)
		e := &inspectmsg.Event{Kind: "move", Level: level, Shard: -1}
		switch m.count {
		case 0:
			continue
		case 1:
			e.Shard = int32(m.last) //nolint:gosec // G115: at most 1<<16
			e.Text = fmt.Sprintf("%s shard %d", words, m.last)
		default:
			e.Text = fmt.Sprintf("%s %d shards", words, m.count)
		}
		c.journal.Add(e)
	}
}

// leaseIs takes note of the state of the lease.
func (c *chronicle) leaseIs(state shard.LeaseState, left time.Duration) {
	c.mu.Lock()
	before := c.lease
	c.lease = state
	c.mu.Unlock()
	switch {
	case state == shard.LeaseSuspect && before != state:
		c.note("lease", "warning", fmt.Sprintf("suspect: the lease is valid for %v, and is not being renewed", left.Round(time.Millisecond)))
	case state == shard.LeaseValid && before == shard.LeaseSuspect:
		c.note("lease", "info", "the lease is renewed again")
	}
}

func (c *chronicle) lookAtLease(member *cluster.Member) {
	state := member.State()
	c.leaseIs(state.Lease, state.ValidFor)
}

// follow writes down who joins and who leaves, the moves, and that the lease is in trouble, until ctx ends. It begins
// when ready is closed: before, a member need not know of all others, which would seem to join then. The lease is looked
// at whenever something changes: only trouble that comes and goes while other changes are collected may be missed.
func (c *chronicle) follow(ctx context.Context, member *cluster.Member, ready <-chan struct{}, clk clock.Clock) {
	defer c.flush()
	defer func() { c.flushClients(clk.Monotonic() + clientsPause) }()
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	timer, clients := clk.NewTimer(chroniclePause), clk.NewTimer(clientsPause)
	defer timer.Stop()
	defer clients.Stop()
	known := make(map[string]cluster.MemberInfo)
	for {
		changed := member.Changed()
		c.lookAtLease(member)
		c.compare(member.Incarnation(), known, member.Members(), member.SaidGoodbye)
		c.flush()
		if wait := c.flushClients(clk.Monotonic()); wait > 0 {
			clients.Reset(wait)
		}
		select {
		case <-changed:
			c.lookAtLease(member)
		case <-c.moved:
		case <-clients.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(chroniclePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// compare writes down what is different from the members that are known, which it brings up to date. Those that are
// there when the server itself joins have not joined then. Left says of one that is gone whether it
// wanted to: between two looks it may have said so and gone.
func (c *chronicle) compare(self string, known map[string]cluster.MemberInfo, members []cluster.MemberInfo, left func(incarnation string) bool) {
	first := len(known) == 0
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		seen[m.Incarnation] = true
		before, knew := known[m.Incarnation]
		known[m.Incarnation] = m
		if m.Incarnation == self {
			c.drains.Store(m.Draining || m.Leaving)
		}
		switch {
		case !knew && m.Incarnation == self:
			c.note("join", "info", fmt.Sprintf("this node joined at %s as %s, of %d in the cluster", m.Address, self, len(members)))
		case !knew && !first:
			c.note("join", "info", fmt.Sprintf("node %s joined at %s", m.Incarnation, m.Address))
		case knew && m.Leaving && !before.Leaving:
			c.note("leave", "info", fmt.Sprintf("node %s at %s is leaving", m.Incarnation, m.Address))
		case knew && m.Draining && !before.Draining:
			c.note("leave", "info", fmt.Sprintf("node %s at %s is to be drained", m.Incarnation, m.Address))
		}
	}
	for id, m := range known {
		if seen[id] {
			continue
		}
		delete(known, id)
		if m.Leaving || left(id) {
			c.note("leave", "info", fmt.Sprintf("node %s at %s left", id, m.Address))
		} else {
			c.note("leave", "warning", fmt.Sprintf("node %s at %s is gone, and did not say that it would leave", id, m.Address))
		}
	}
}
