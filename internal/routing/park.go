package routing

import (
	"context"
	"sync"
	"sync/atomic"
)

// lot is where calls of other nodes wait whose shard's gate is closed. Those of one shard stand in line in the order in
// which they arrived, as one caller's calls do not overtake each other; who is at the head looks at the gate.
type lot struct {
	limit int
	size  atomic.Int64

	mu    sync.Mutex       // guards the lines and the spots in them
	lines map[uint32]*spot // the head of each
}

// spot is one call's place.
type spot struct {
	lot        *lot
	shard      uint32
	lined      bool // it stands in line
	prev, next *spot
	last       *spot         // of the head: the end of the line
	head       chan struct{} // closed once it is at the head
	once       sync.Once
}

// occupied says whether calls stand in line for a shard.
func (l *lot) occupied(shard uint32) bool {
	if l.size.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[shard] != nil
}

// enter gives a call a place, in line or apart; nil: there is none left.
func (l *lot) enter(shard uint32, lined bool) *spot {
	if l.size.Add(1) > int64(l.limit) {
		l.size.Add(-1)
		return nil
	}
	s := &spot{lot: l, shard: shard, lined: lined}
	if !lined {
		return s
	}
	s.head = make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = make(map[uint32]*spot)
	}
	head := l.lines[shard]
	if head == nil {
		l.lines[shard], s.last = s, s
		close(s.head)
		return s
	}
	s.prev, head.last.next = head.last, s
	head.last = s
	return s
}

// turn waits until the call is at the head of its line; false: ctx ended.
func (s *spot) turn(ctx context.Context) bool {
	if !s.lined {
		return true
	}
	select {
	case <-s.head:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave gives the place up. It may be called again.
func (s *spot) leave() {
	s.once.Do(func() {
		defer s.lot.size.Add(-1)
		if s.lined {
			s.lot.unlink(s)
		}
	})
}

func (l *lot) unlink(s *spot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := l.lines[s.shard]
	switch {
	case s != head:
		s.prev.next = s.next
		if s.next != nil {
			s.next.prev = s.prev
		} else {
			head.last = s.prev
		}
	case s.next == nil:
		delete(l.lines, s.shard)
	default:
		s.next.prev, s.next.last = nil, s.last
		l.lines[s.shard] = s.next
		close(s.next.head)
	}
}
