package mem

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// lease is a lease that is alive.
type lease struct {
	id      coord.LeaseID
	ttl     time.Duration
	expires time.Duration // on the clock's monotonic scale
	keys    map[string]struct{}
}

func (s *Store) grantLocked(ttl time.Duration) coord.Lease {
	ttl = max(ttl, s.minTTL)
	if rest := ttl % time.Second; rest > 0 {
		ttl += time.Second - rest
	}
	s.granted++
	s.leases[s.granted] = &lease{
		id:      s.granted,
		ttl:     ttl,
		expires: s.clock.Monotonic() + ttl,
		keys:    map[string]struct{}{},
	}
	return coord.Lease{ID: s.granted, TTL: ttl}
}

func (s *Store) keepAliveLocked(id coord.LeaseID) (time.Duration, error) {
	l := s.leases[id]
	if l == nil {
		return 0, fmt.Errorf("lease %x: %w", id, coord.ErrLeaseNotFound)
	}
	l.expires = s.clock.Monotonic() + l.ttl
	return l.ttl, nil
}

// staleTTLLocked is what a leader that has lost touch answers to a keepalive.
func (s *Store) staleTTLLocked(id coord.LeaseID) time.Duration {
	if l := s.leases[id]; l != nil {
		return l.ttl
	}
	return s.minTTL
}

func (s *Store) revokeLocked(id coord.LeaseID) error {
	l := s.leases[id]
	if l == nil {
		return fmt.Errorf("lease %x: %w", id, coord.ErrLeaseNotFound)
	}
	w := s.db.begin()
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		w.delete(key)
	}
	delete(s.leases, id)
	s.commitLocked(w)
	return nil
}

// expireLocked revokes what has expired, in the order in which it did, and says when the next lease will.
func (s *Store) expireLocked() (next time.Duration, ok bool) {
	if s.outage {
		return 0, false
	}
	now := s.clock.Monotonic()
	var expired []*lease
	for _, l := range s.leases {
		switch {
		case l.expires <= now:
			expired = append(expired, l)
		case !ok || l.expires < next:
			next, ok = l.expires, true
		}
	}
	slices.SortFunc(expired, func(a, b *lease) int {
		return cmp.Or(cmp.Compare(a.expires, b.expires), cmp.Compare(a.id, b.id))
	})
	for _, l := range expired {
		_ = s.revokeLocked(l.id) // it is alive
	}
	return next, ok
}

// wakeExpiry makes the expiry goroutine look again.
func (s *Store) wakeExpiry() {
	select {
	case s.kick <- struct{}{}:
	default: // it will
	}
}

// expireLoop expires leases on time, so that watches hear of it without anybody asking.
func (s *Store) expireLoop() {
	for {
		s.mu.Lock()
		next, ok := s.expireLocked()
		s.mu.Unlock()

		var expiry <-chan time.Time // never, while there is no lease
		stop := func() bool { return false }
		if ok {
			timer := s.clock.NewTimer(next - s.clock.Monotonic())
			expiry, stop = timer.C, timer.Stop
		}
		select {
		case <-expiry:
		case <-s.kick:
			stop()
		case <-s.closing:
			stop()
			return
		}
	}
}
