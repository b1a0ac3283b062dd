package inspector

import (
	"context"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/inspector/internal/links"
	"github.com/xiaonanln/goverse/util/clock"
)

const (
	searchKept  = 500 * time.Millisecond // what was found answers equal questions, unless something has changed that is known of
	maxSearches = 16                     // that are kept, of a page of objects each
)

// searches answers equal questions, of several tabs say, from one answer: each costs the nodes a look at all that they have.
type searches struct {
	clock clock.Clock

	mu  sync.Mutex
	all map[string]*searched // guarded by mu: under way, or kept
}

// searched is one answer.
type searched struct {
	made  chan struct{} // closed when the rest is there
	page  objectPage
	err   error
	until time.Duration // it is kept; guarded by the searches' mutex. 0: it is under way
}

// get returns what ask found, or finds, for the same key. Who asks may leave; what is asked goes on for the others.
func (s *searches) get(ctx context.Context, key string, ask func(context.Context) (objectPage, error)) (objectPage, error) {
	s.mu.Lock()
	one := s.all[key]
	if one != nil && (one.until == 0 || s.clock.Monotonic() < one.until) {
		s.mu.Unlock()
		select {
		case <-one.made:
			return one.page, one.err
		case <-ctx.Done():
			return objectPage{}, ctx.Err()
		}
	}
	one = &searched{made: make(chan struct{}), err: links.ErrNoAnswer}
	if s.all == nil {
		s.all = make(map[string]*searched)
	}
	s.all[key] = one
	s.mu.Unlock()

	defer close(one.made)
	defer s.keep(key, one)
	one.page, one.err = ask(context.WithoutCancel(ctx))
	return one.page, one.err
}

// keep keeps an answer for a while, if it is one of all nodes that were not busy, and there is room, and forgets those whose time has passed.
func (s *searches) keep(key string, one *searched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, kept := s.clock.Monotonic(), 0
	for other, of := range s.all {
		switch {
		case of.until == 0:
		case now >= of.until:
			delete(s.all, other)
		default:
			kept++
		}
	}
	partial := len(one.page.Missing) > len(one.page.Busy)
	if one.until = now + searchKept; one.err != nil || partial || kept >= maxSearches {
		delete(s.all, key)
	}
}
