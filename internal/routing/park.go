package routing

import (
	"sync"
	"sync/atomic"
)

// lot is where calls of other nodes wait whose shard's gate is closed. Those of one shard stand in line in the order in
// which they arrived, as one caller's calls do not overtake each other; who is at the head looks at the gate.
type lot struct {
	limit, share int // of all, and of one node's
	size         atomic.Int64

	mu    sync.Mutex       // guards the fields below and the lines
	lines map[uint32]*spot // the head of each
	from  map[string]int   // how many calls of each node wait
}

// spot is one call's place.
type spot struct {
	lot        *lot
	shard      uint32
	from       string
	lined      bool // it stands in line
	prev, next *spot
	last       *spot         // of the head: the end of the line
	head       chan struct{} // closed once it is at the head, or does not stand in line
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

// enter gives a node's call a place, in line or apart; nil: there is none left.
func (l *lot) enter(shard uint32, from string, lined bool) *spot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size.Load() >= int64(l.limit) || l.from[from] >= l.share {
		return nil
	}
	if l.lines == nil {
		l.lines, l.from = make(map[uint32]*spot), make(map[string]int)
	}
	l.size.Add(1)
	l.from[from]++
	s := &spot{lot: l, shard: shard, from: from, lined: lined, head: make(chan struct{})}
	if lined {
		l.line(s)
	} else {
		close(s.head)
	}
	return s
}

// line puts a spot at the end of its line. The lock is held.
func (l *lot) line(s *spot) {
	head := l.lines[s.shard]
	if head == nil {
		l.lines[s.shard], s.last = s, s
		close(s.head)
		return
	}
	s.prev, head.last.next = head.last, s
	head.last = s
}

// leave gives the place up. It may be called again, and of none.
func (s *spot) leave() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		l := s.lot
		l.mu.Lock()
		defer l.mu.Unlock()
		l.size.Add(-1)
		if l.from[s.from]--; l.from[s.from] == 0 {
			delete(l.from, s.from)
		}
		if s.lined {
			l.unline(s)
		}
	})
}

// unline takes a spot out of its line. The lock is held.
func (l *lot) unline(s *spot) {
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
