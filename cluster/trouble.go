package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/coord"
)

// What the store may fail at. Each is told for itself, as a store that is full reads and
// renews, and one that is slow to list renews.
const (
	reading  = "read"
	writing  = "write"
	watching = "watch"
	renewing = "renew the lease"
)

// The pace at which troubles with the store are told.
const (
	troublePause = 5 * time.Second // at least, between two different ones
	troubleAgain = time.Minute     // the same again
)

// troubles are what the store fails at, and since when.
type troubles struct {
	mu   sync.Mutex // guards the field below
	last map[string]*trouble
}

// trouble is what the store fails at, or did: it stays, so that one that comes and goes is
// not told each time.
type trouble struct {
	err   error         // nil: it is over
	told  string        // the kind of error that was told, empty: none since it was last over
	at    time.Duration // when something was last told
	since time.Duration
	tries int
	over  chan struct{} // closed when it is over
	asks  chan struct{} // a slot: who asks whether it is
}

// trouble takes note of how a request to the store ended, and tells what is new of it. A
// request that its caller gave up says nothing.
func (m *Member) trouble(what string, err error) {
	t := &m.troubles
	if errors.Is(err, context.Canceled) || errors.Is(err, coord.ErrRestored) {
		return
	}
	now := m.cfg.Clock.Monotonic()
	t.mu.Lock()
	k := t.last[what]
	if err == nil {
		t.mu.Unlock()
		m.noTrouble(what, k, now)
		return
	}
	if k == nil {
		k = &trouble{at: now - troublePause, asks: make(chan struct{}, 1)}
		t.last[what] = k
	}
	if k.err == nil {
		k.since, k.tries, k.over = now, 0, make(chan struct{})
	}
	k.err = err
	k.tries++
	kind, tries, since := kindOf(err), k.tries, k.since
	tell := kind != k.told && now-k.at >= troublePause || now-k.at >= troubleAgain
	if tell {
		k.told, k.at = kind, now
	}
	t.mu.Unlock()
	if tell {
		m.cfg.Logger.Warn("the coordination store does not do what it is asked for: trying again", "cannot", what, "failed", tries, "for", now-since, "error", err.Error())
	}
}

// noTrouble ends a trouble, if there is one.
func (m *Member) noTrouble(what string, k *trouble, now time.Duration) {
	if k == nil {
		return
	}
	m.troubles.mu.Lock()
	if k.err == nil {
		m.troubles.mu.Unlock()
		return
	}
	close(k.over)
	told, since, tries := k.told, k.since, k.tries
	k.err, k.told, k.over = nil, "", nil
	m.troubles.mu.Unlock()
	if told != "" {
		m.cfg.Logger.Info("the coordination store does again what it is asked for", "can", what, "failed", tries, "for", now-since)
	}
}

// kindOf is what makes an error another one: not its text, which names keys.
func kindOf(err error) string {
	for _, known := range []error{coord.ErrRefused, coord.ErrUnavailable, coord.ErrInvalid, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "other"
}

// String is what the store fails at now, with its words; empty: nothing.
func (t *troubles) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(t.last)) {
		if err := t.last[what].err; err != nil {
			all = append(all, fmt.Sprintf("cannot %s: %v", what, err))
		}
	}
	return strings.Join(all, "; ")
}

// turn is when a request that has failed may be sent again: after the nth pause where only
// it has failed, and while the store is away one at a time of all that wait, so that a
// thousand shards do not ask a store that is sick a thousand times a second. Whoever may
// ask says with done that it was answered, or was not; false: ctx has ended.
func (m *Member) turn(ctx context.Context, what string, n int) (done func(), ok bool) {
	m.troubles.mu.Lock()
	k := m.troubles.last[what]
	if k == nil || k.err == nil {
		m.troubles.mu.Unlock()
		return func() {}, m.pause(ctx, m.backOff(n, storeBackoff, maxStoreBackoff))
	}
	over, asks := k.over, k.asks
	m.troubles.mu.Unlock()
	select {
	case asks <- struct{}{}:
	case <-over:
		return func() {}, true
	case <-ctx.Done():
		return nil, false
	}
	m.troubles.mu.Lock()
	tries := k.tries
	m.troubles.mu.Unlock()
	timer := m.cfg.Clock.NewTimer(m.backOff(tries, storeBackoff, maxStoreBackoff))
	defer timer.Stop()
	select {
	case <-timer.C:
		return func() { <-asks }, true
	case <-over:
		<-asks
		return func() {}, true
	case <-ctx.Done():
		<-asks
		return nil, false
	}
}
