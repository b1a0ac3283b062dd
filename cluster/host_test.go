package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/cluster"
)

// court sees what all hosts do, and finds against them.
type court struct {
	t      *testing.T
	mu     sync.Mutex
	hosts  []*host           // guarded by mu
	epochs map[uint32]uint64 // guarded by mu: the greatest under which each shard was opened
	bags   map[bag]string    // guarded by mu: what was handed over and not yet taken
	guilty bool              // guarded by mu
	quiet  bool              // guarded by mu: count, do not fail (for flaws that must be found)
}

// bag is what a shard's drain hands over under a tag.
type bag struct {
	shard uint32
	tag   int64
}

func newCourt(t *testing.T) *court {
	t.Helper()
	return &court{t: t, epochs: make(map[uint32]uint64), bags: make(map[bag]string)}
}

func (c *court) admit(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hosts = append(c.hosts, h)
}

func (c *court) accuse(format string, args ...any) {
	c.guilty = true
	if !c.quiet {
		c.t.Errorf(format, args...)
	}
}

// look checks that no shard is answered for by two.
func (c *court) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookLocked()
}

func (c *court) lookLocked() {
	open := make(map[uint32]*host)
	for _, h := range c.hosts {
		if h.dead || h.suspended || !h.valid() {
			continue
		}
		for s, x := range h.shards {
			if !x.answers {
				continue
			}
			if other := open[s]; other != nil {
				c.accuse("shard %d is answered for by %s (epoch %d) and %s (epoch %d)", s, other.name, other.shards[s].epoch, h.name, x.epoch)
			}
			open[s] = h
		}
	}
}

// lookAt does so for one shard.
func (c *court) lookAt(s uint32) {
	var first *host
	for _, h := range c.hosts {
		x := h.shards[s]
		if x == nil || !x.answers || h.dead || h.suspended || !h.valid() {
			continue
		}
		if first != nil {
			c.accuse("shard %d is answered for by %s (epoch %d) and %s (epoch %d)", s, first.name, first.shards[s].epoch, h.name, x.epoch)
		}
		first = h
	}
}

// host is a node that notes what it is told. Its fields are guarded by the court's mutex.
type host struct {
	court     *court
	name      string
	valid     func() bool
	shards    map[uint32]*held
	suspended bool
	dead      bool // the process is gone
	moved     int  // shards handed over
	log       []string

	openTime, drainTime time.Duration
	openFails           int // that many times
	stubborn            func(shard uint32) bool
}

// held is a shard of a host.
type held struct {
	epoch   uint64
	answers bool // gate open, or turns running
	drained bool
	state   string // volatile state, which a planned move carries
	inCall  int
}

var errTorn = errors.New("the test says no")

func (h *host) lock() func() {
	h.court.mu.Lock()
	return h.court.mu.Unlock
}

func (h *host) note(format string, args ...any) { h.log = append(h.log, fmt.Sprintf(format, args...)) }

// enter checks that the calls for a shard come one after the other.
func (h *host) enter(s uint32) *held {
	x := h.shards[s]
	if x == nil {
		x = &held{}
		h.shards[s] = x
	}
	if x.inCall++; x.inCall > 1 {
		h.court.accuse("%s: two calls for shard %d at the same time", h.name, s)
	}
	return x
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *host) OpenShard(ctx context.Context, s uint32, epoch uint64, handover int64) error {
	unlock := h.lock()
	x := h.enter(s)
	if x.answers || x.drained {
		h.court.accuse("%s: shard %d opened twice", h.name, s)
	}
	took := h.openTime
	unlock()
	err := sleep(ctx, took)
	defer h.lock()()
	x.inCall--
	if h.openFails > 0 && err == nil {
		h.openFails--
		err = errTorn
	}
	if err != nil {
		return err
	}
	c := h.court
	if last := c.epochs[s]; epoch <= last {
		c.accuse("%s: shard %d opened with epoch %d, not above %d", h.name, s, epoch, last)
	}
	c.epochs[s] = epoch
	x.epoch, x.answers, x.state = epoch, true, ""
	if handover != 0 {
		x.state = c.bags[bag{s, handover}]
		delete(c.bags, bag{s, handover})
	}
	h.note("open %d", s)
	c.lookAt(s)
	return nil
}

func (h *host) DrainShard(ctx context.Context, s uint32, epoch uint64, target cluster.Route, handover int64) error {
	unlock := h.lock()
	x := h.enter(s)
	if !x.answers || x.epoch != epoch {
		h.court.accuse("%s: drain of shard %d at epoch %d, which it has not: %+v", h.name, s, epoch, *x)
	}
	if target.Incarnation == h.name || target.Address == "" || handover == 0 || target.Epoch <= epoch {
		h.court.accuse("%s: drain of shard %d to %+v, tag %d", h.name, s, target, handover)
	}
	took, stubborn := h.drainTime, h.stubborn != nil && h.stubborn(s)
	unlock()
	if stubborn {
		took = time.Hour
	}
	err := sleep(ctx, took)
	defer h.lock()()
	x.inCall--
	h.note("drain %d: %v", s, err)
	if err != nil {
		return err
	}
	x.answers, x.drained = false, true
	h.court.bags[bag{s, handover}] = x.state
	return nil
}

func (h *host) ReopenShard(s uint32, epoch uint64) {
	defer h.lock()()
	x := h.enter(s)
	x.inCall--
	if x.epoch != epoch || !x.answers && !x.drained {
		h.court.accuse("%s: reopen of shard %d at epoch %d: %+v", h.name, s, epoch, *x)
	}
	x.answers, x.drained = true, false
	h.note("reopen %d", s)
	h.court.lookAt(s)
}

func (h *host) ReleaseShard(s uint32, epoch uint64, why cluster.ReleaseReason) {
	defer h.lock()()
	x := h.enter(s)
	x.inCall--
	if why == cluster.ReleaseMoved {
		h.moved++
		if !x.drained {
			h.court.accuse("%s: shard %d moved without a drain", h.name, s)
		}
	}
	if x.epoch != 0 && x.epoch != epoch {
		h.court.accuse("%s: release of shard %d at epoch %d: %+v", h.name, s, epoch, *x)
	}
	delete(h.shards, s)
	h.note("release %d: %v", s, why)
}

func (h *host) Suspend(cause error) {
	defer h.lock()()
	if h.suspended || cause == nil {
		h.court.accuse("%s: suspended twice, or without a cause", h.name)
	}
	h.suspended = true
	h.note("suspend: %v", cause)
}

func (h *host) Resume() {
	defer h.lock()()
	if !h.suspended {
		h.court.accuse("%s: resumed without being suspended", h.name)
	}
	h.suspended = false
	h.note("resume")
	h.court.lookLocked()
}

// serves says whether the host answers for a shard.
func (h *host) serves(s uint32) bool {
	defer h.lock()()
	x := h.shards[s]
	return !h.dead && !h.suspended && h.valid() && x != nil && x.answers && !x.drained
}

// shut is how many shards the host has drained and not yet handed over.
func (h *host) shut() (n int) {
	defer h.lock()()
	for _, x := range h.shards {
		if x.drained {
			n++
		}
	}
	return n
}

func (h *host) count() int {
	defer h.lock()()
	return len(h.shards)
}

func (h *host) die() {
	defer h.lock()()
	h.dead = true
}

// keep gives a shard volatile state; what a shard has is state.
func (h *host) keep(s uint32, state string) {
	defer h.lock()()
	h.shards[s].state = state
}

func (h *host) state(s uint32) string {
	defer h.lock()()
	if x := h.shards[s]; x != nil {
		return x.state
	}
	return ""
}

func (h *host) wantEmpty(t *testing.T) {
	t.Helper()
	defer h.lock()()
	if len(h.shards) > 0 || h.suspended {
		t.Errorf("%s: %d shards left, suspended %v", h.name, len(h.shards), h.suspended)
	}
}

// resist makes drains of some shards last for ever.
func (h *host) resist(stubborn func(shard uint32) bool) {
	defer h.lock()()
	h.stubborn = stubborn
}

// stop makes the court look away from a host: its process is dead.
func (c *court) stop(h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.dead = true
}

func (h *host) history() string {
	defer h.lock()()
	return strings.Join(h.log, "\n")
}

func (c *court) isGuilty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guilty
}

func (h *host) drainTimes(d time.Duration) {
	defer h.lock()()
	h.drainTime = d
}

func (h *host) movedAway() int {
	defer h.lock()()
	return h.moved
}
