package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
	"github.com/xiaonanln/goverse/internal/shard"
)

// renew keeps the lease alive: four times per TTL, less some jitter, and more often
// while that fails.
func (m *Member) renew(ctx context.Context) {
	ttl := m.cfg.LeaseTTL
	for wait := ttl/4 - m.jitter(ttl/40); m.pause(ctx, wait); {
		sent := m.cfg.Clock.Boot()
		try, cancel := context.WithTimeout(ctx, ttl/4)
		granted, err := m.cfg.Store.KeepAliveOnce(try, m.leaseID)
		cancel()
		now := m.cfg.Clock.Boot()
		if !errors.Is(err, coord.ErrLeaseNotFound) {
			m.trouble(renewing, err)
		}
		switch {
		case err == nil:
			m.tellLease(shard.LeaseEvent{Kind: shard.LeaseRenewed, Now: now, Sent: sent, TTL: granted})
			wait = max(ttl/4-m.jitter(ttl/40)-(now-sent), 0)
		case errors.Is(err, coord.ErrLeaseNotFound):
			m.tellLease(shard.LeaseEvent{Kind: shard.LeaseLost, Now: now})
			return
		case m.restored(err):
			return
		default:
			wait = ttl/20 + m.jitter(ttl/40)
		}
	}
}

// watchLease tells the lease that its deadlines have come.
func (m *Member) watchLease(ctx context.Context) {
	for {
		m.mu.Lock()
		at, ok := m.lease.Next()
		m.mu.Unlock()
		var timer *time.Timer
		var due <-chan time.Time
		if ok {
			timer = m.cfg.Clock.NewTimer(max(at-m.cfg.Clock.Boot(), 0))
			due = timer.C
		}
		select {
		case <-due:
		case <-m.ticks:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return
		}
		m.tellLease(shard.LeaseEvent{Kind: shard.LeaseTick, Now: m.cfg.Clock.Boot()})
	}
}

// watchStore tells the lease when the store may have died.
func (m *Member) watchStore(ctx context.Context) {
	for {
		select {
		case <-m.cfg.Broken:
			m.tellLease(shard.LeaseEvent{Kind: shard.LeaseDoubted, Now: m.cfg.Clock.Boot()})
		case <-ctx.Done():
			return
		}
	}
}

func (m *Member) tellLease(e shard.LeaseEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stepLease(e)
}

// stepLease tells the rules what happened to the lease and does what they say.
func (m *Member) stepLease(e shard.LeaseEvent) {
	before := m.lease.State
	due, _ := m.lease.Next()
	actions := m.lease.Step(e)
	lease := &m.lease
	healthy := lease.State == shard.LeaseValid
	if healthy && before == shard.LeaseFenced && m.running {
		// The store, or the way to it, was away. If it was away for others too, they are
		// coming back only now. One slow renewal is no reason to let the shards of the dead
		// wait.
		m.settleUntil = m.cfg.Clock.Monotonic() + m.cfg.LeaseTTL
	}
	switch {
	case m.failure != nil || m.over:
		m.validity.set(0)
	case healthy, lease.State == shard.LeaseSuspect:
		m.validity.set(lease.ValidUntil)
	default:
		m.validity.set(0)
	}
	for _, action := range actions {
		switch action {
		case shard.Suspend:
			m.suspended = ErrFenced
			if e.Kind == shard.LeaseDoubted {
				m.cfg.Logger.Warn("fenced: the coordination store may have ended, and the lease with it", "incarnation", m.id)
			} else {
				m.cfg.Logger.Warn("fenced: the lease was not renewed in time", "incarnation", m.id, "ttl", m.cfg.LeaseTTL)
			}
		case shard.Resume:
			m.suspended = nil
			m.cfg.Logger.Info("the lease was renewed and nothing has changed meanwhile: going on", "incarnation", m.id)
		case shard.Verify:
			signal(m.doubts)
		case shard.Die:
			m.suspended = ErrLeaseLost
			m.failLocked(fmt.Errorf("%w: the store has ended it, or its keys have changed", ErrLeaseLost))
		}
	}
	if before != lease.State {
		signal(m.gate)
		signal(m.urgent)
		m.announce()
	}
	if at, _ := lease.Next(); at != due {
		signal(m.ticks)
	}
}

// verify reads, when a renewal has ended a fence, whether the member is still what it was.
func (m *Member) verify(ctx context.Context) {
	for {
		select {
		case <-m.doubts:
			m.verifyOnce(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (m *Member) verifyOnce(ctx context.Context) {
	m.mu.Lock()
	until := m.lease.Doubt()
	m.mu.Unlock()
	if until == 0 {
		return // the reading for an earlier renewal was enough
	}
	ctx, cancel := context.WithTimeout(ctx, until-m.cfg.Clock.Boot())
	defer cancel()
	snap, err := m.list(ctx)
	m.trouble(reading, err)
	if err != nil {
		m.restored(err)
		return // the next renewal asks again, or has asked
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := shard.LeaseEvent{Kind: shard.LeaseVerified, Now: m.cfg.Clock.Boot(), Until: until}
	if !m.unchanged(snap) {
		e.Kind = shard.LeaseRefuted
	}
	m.take(snap)
	m.stepLease(e)
}

// unchanged says whether, in a snapshot, the member's key is the one it made and the
// shards that it has are its own, at the same epochs.
func (m *Member) unchanged(s *snapshot) bool {
	if s.nodes[m.id].CreateRev != m.self {
		return false
	}
	for n, o := range m.held {
		if o.Phase == shard.Closed || o.Phase == shard.Transferring || o.Rev > s.rev {
			continue
		}
		r := s.shards[n].record
		if !r.OwnedBy(m.id, m.self) || r.Epoch != o.Epoch {
			return false
		}
	}
	return true
}

// keepGate suspends and resumes the host as the lease says.
func (m *Member) keepGate(ctx context.Context) {
	for {
		select {
		case <-m.gate:
			m.applySuspension(false)
		case <-ctx.Done():
			return
		}
	}
}

// applySuspension brings the host in line: suspended, or not; at the end it is not.
func (m *Member) applySuspension(end bool) {
	m.hostGate.Lock()
	defer m.hostGate.Unlock()
	m.mu.Lock()
	cause := m.suspended
	m.mu.Unlock()
	switch {
	case cause != nil && !end && !m.hostSuspended:
		m.cfg.Host.Suspend(cause)
		m.hostSuspended = true
	case (cause == nil || end) && m.hostSuspended:
		m.cfg.Host.Resume()
		m.hostSuspended = false
	}
}
