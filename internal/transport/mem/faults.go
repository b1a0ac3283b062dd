package mem

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// Faults are the troubles of one way, from an address to another. The zero value is none. Except for Cut they concern
// every message that goes that way: calls, cancellations and replies of connections that either side has made.
type Faults struct {
	// Cut breaks the connections that the one at the way's beginning has made to the one at its end, and refuses new
	// ones. It can still be called by the other.
	Cut bool

	// HalfOpen swallows everything. Connections between the two, either way, break when it has lasted for the
	// network's Keepalive; connecting fails after the same time.
	HalfOpen bool

	// Hold makes everything wait, as where a network loses packets for a while. Connections between the two, either way,
	// break when it has lasted for the network's Keepalive; connecting fails after the same time.
	Hold bool

	// Pace passes at least between the arrivals of two messages of a connection: a way that carries little.
	Pace time.Duration

	// Delay passes before a message arrives, and in addition a random part of Jitter. Messages keep their order.
	Delay, Jitter time.Duration

	// Reorder is how long, at random, a message may be held up beyond that while others overtake it. One caller's
	// messages to one object keep their order.
	Reorder time.Duration

	// Drop is the share of messages that vanish while the connection holds, 0 to 1: no TCP link does that, but a peer
	// that loses its memory of a call looks like it.
	Drop float64

	// Duplicate is the share of messages, 0 to 1, that arrive a second time, as from somebody who replays them: up to
	// Jitter and Reorder later, and not in order. A link never does that; it is for callees that must not run a call twice.
	Duplicate float64
}

// SetFaults replaces the faults of the way between two addresses, listening or not. Messages under way stay so.
func (n *Network) SetFaults(from, to string, f Faults) {
	for _, c := range n.setFaults(way{from, to}, f) {
		c.fail(transport.ErrBroken, transport.ErrBroken)
	}
}

// setFaults returns the connections that f breaks.
func (n *Network) setFaults(w way, f Faults) []*conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conditionLocked(w).faults = f
	n.announceLocked()
	if !f.Cut {
		return nil
	}
	return n.connsLocked(func(c *conn) bool { return c.there.way == w })
}

// Faults are the present faults of the way between two addresses.
func (n *Network) Faults(from, to string) Faults {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faultsLocked(way{from, to})
}

// Pause stops all messages to and from an address, as if its process were stopped: they wait. Its connections break
// when that has lasted for the network's Keepalive. What the process itself does goes on.
func (n *Network) Pause(address string) { n.setPaused(address, true) }

// Resume ends a pause.
func (n *Network) Resume(address string) { n.setPaused(address, false) }

func (n *Network) setPaused(address string, paused bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if paused {
		n.paused[address] = true
	} else {
		delete(n.paused, address)
	}
	n.announceLocked()
}

// announceLocked wakes all who wait for a change, and notes where a silence has begun or ended.
func (n *Network) announceLocked() {
	now := n.clock.Monotonic()
	for c := range n.conns {
		silent := n.silentLocked(c.there.way)
		if silent && !c.silent {
			c.since = now
		}
		c.silent = silent
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// held says whether messages stand still on a way, and what closes when that may have changed.
func (n *Network) held(w way) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paused[w.from] || n.paused[w.to] || n.faultsLocked(w).Hold, n.changed
}

// patience says whether the two sides of a connection do not hear of each other, for how long that may go on, and what
// closes when it may have changed.
func (n *Network) patience(c *conn) (left time.Duration, silent bool, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return c.since + n.keepalive - n.clock.Monotonic(), c.silent, n.changed
}

// silentLocked says whether the one end of a way hears nothing of the other.
func (n *Network) silentLocked(w way) bool {
	there, back := n.faultsLocked(w), n.faultsLocked(w.back())
	return n.paused[w.from] || n.paused[w.to] || there.HalfOpen || back.HalfOpen || there.Hold || back.Hold
}

func (n *Network) faultsLocked(w way) Faults {
	if c := n.ways[w]; c != nil {
		return c.faults
	}
	return Faults{}
}

func (n *Network) conditionLocked(w way) *condition {
	c := n.ways[w]
	if c == nil {
		h := fnv.New64a()
		for _, s := range []string{w.from, "\x00", w.to} {
			_, _ = io.WriteString(h, s) // a hash's Write does not fail
		}
		c = &condition{dice: rand.New(rand.NewPCG(n.seed, h.Sum64()))} //nolint:gosec // G404: it must repeat itself
		n.ways[w] = c
	}
	return c
}

// fate is what becomes of one message.
type fate struct {
	lost    bool
	delay   time.Duration
	pace    time.Duration // after the message before
	free    bool          // others may overtake it
	again   bool          // it arrives twice
	further time.Duration // the second time, after the first
}

// fate draws what becomes of the next message on a way.
func (n *Network) fate(w way) fate {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.ways[w]
	if c == nil || c.faults == (Faults{}) {
		return fate{}
	}
	f := c.faults
	return fate{
		lost:    chance(c.dice, f.Drop) || f.HalfOpen,
		pace:    f.Pace,
		delay:   f.Delay + upTo(c.dice, f.Jitter) + upTo(c.dice, f.Reorder),
		free:    f.Reorder > 0,
		again:   chance(c.dice, f.Duplicate),
		further: upTo(c.dice, f.Jitter+f.Reorder),
	}
}

// chance is true in a share of all cases.
func chance(dice *rand.Rand, share float64) bool { return dice.Float64() < share }

// upTo is a random part of d.
func upTo(dice *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(dice.Int64N(int64(d)))
}
