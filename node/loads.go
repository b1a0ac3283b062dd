package node

import (
	"hash/maphash"
	"maps"
	"sync"
	"time"
)

// maxLoads is for how many objects calls and times are kept.
const maxLoads = 100_000

// loads are what objects have done since somebody observes, apart by the directory's segments: who
// searches takes a segment's at a time, and is in the way of few turns, and not for long.
type loads struct {
	seed maphash.Seed // the directory's
	of   [segments]loadsOf
}

// loadsOf are those of one segment.
type loadsOf struct {
	mu   sync.Mutex
	byID map[string]load // guarded by mu
}

// load is what an object has done.
type load struct {
	calls uint64
	time  time.Duration
}

func (l *loads) shard(id string) *loadsOf { return &l.of[segmentOf(maphash.String(l.seed, id))] }

// add adds to an object's load.
func (l *loads) add(id string, more load) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	to, there := s.byID[id]
	switch {
	case there:
	case s.byID == nil:
		s.byID = make(map[string]load)
	case len(s.byID) >= maxLoads/segments:
		s.shrink()
	}
	s.byID[id] = load{to.calls + more.calls, to.time + more.time}
}

// shrink makes room: it forgets the objects with the least calls. The lock is held.
func (s *loadsOf) shrink() {
	sum := uint64(0)
	for _, of := range s.byID {
		sum += of.calls
	}
	mean := sum / uint64(len(s.byID))
	maps.DeleteFunc(s.byID, func(_ string, of load) bool { return of.calls <= mean }) // the mean is at least the smallest
}

// find returns an object's load.
func (l *loads) find(id string) load {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// copyTo makes a copy of a segment's loads.
func (l *loads) copyTo(to map[string]load, segment int) {
	clear(to)
	s := &l.of[segment]
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(to, s.byID)
}

// clear forgets all.
func (l *loads) clear() {
	for i := range l.of {
		s := &l.of[i]
		s.mu.Lock()
		s.byID = nil
		s.mu.Unlock()
	}
}
