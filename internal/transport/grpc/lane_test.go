package grpc_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport/transporttest"
)

// lane is one direction between two addresses: what is wrong with it, for all connections that pass there.
type lane struct {
	mu      sync.Mutex // guards the fields below
	trouble transporttest.Trouble
	rate    int           // bytes per second; 0: as fast as it goes
	changed chan struct{} // closed and replaced when something changes
}

func newLane() *lane { return &lane{changed: make(chan struct{})} }

// set replaces the trouble. What is slow carries so many bytes per second.
func (l *lane) set(t transporttest.Trouble, rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble, l.rate = t, 0
	if t.Slow {
		l.rate = rate
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lane) state() (t transporttest.Trouble, rate int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble, l.rate, l.changed
}

const (
	chunkBytes = 16 << 10
	// laneChunks is how many of them may be on their way before no more are read.
	laneChunks = 32
)

// chunk is bytes on their way.
type chunk struct {
	bytes []byte    // empty: the end
	due   time.Time // arrival
}

// stretch is one direction of a connection that passes a proxy. What a silence has swallowed is gone: nothing passes
// any more, not even the news that the connection is closed.
type stretch struct {
	lane     *lane
	from, to net.Conn
	twin     net.Conn // gets the same as to; nil: there is none
	way      chan chunk
	over     <-chan struct{} // closed when the proxy is
	last     time.Time       // the last arrival
}

// read takes in what is sent, until that ends.
func (s *stretch) read() {
	defer close(s.way)
	for dead := false; ; {
		buffer := make([]byte, chunkBytes)
		n, err := s.from.Read(buffer)
		t, _, _ := s.lane.state()
		dead = dead || t.Silent
		if !dead && n > 0 && !s.pass(chunk{buffer[:n], s.due(t)}) {
			return
		}
		if err != nil {
			if !dead {
				s.pass(chunk{nil, s.due(t)})
			}
			return
		}
	}
}

func (s *stretch) pass(c chunk) bool {
	select {
	case s.way <- c:
		return true
	case <-s.over:
		return false
	}
}

// due draws when something that comes now arrives, behind what came before.
func (s *stretch) due(t transporttest.Trouble) time.Time {
	wait := t.Delay
	if spread := t.Jitter + t.Scatter; spread > 0 {
		wait += rand.N(spread)
	}
	if due := time.Now().Add(wait); due.After(s.last) {
		s.last = due
	}
	return s.last
}

// write passes on what has arrived. Who cannot be written to is gone, which the other direction finds out.
func (s *stretch) write() {
	for c := range s.way {
		if !s.wait(time.Until(c.due)) {
			return
		}
		if len(c.bytes) == 0 {
			s.to.Close()
			if s.twin != nil {
				s.twin.Close()
			}
			return
		}
		if !s.carry(c.bytes) {
			break
		}
	}
	for range s.way { // so that the reader does not wait for ever
	}
}

// carry writes bytes, as fast as the lane allows.
func (s *stretch) carry(b []byte) bool {
	for len(b) > 0 {
		_, rate, _ := s.lane.state()
		n := len(b)
		if rate > 0 {
			n = min(n, max(rate/100, 1))
			if !s.wait(10 * time.Millisecond) {
				return false
			}
		}
		if _, err := s.to.Write(b[:n]); err != nil {
			return false
		}
		if s.twin != nil {
			_, _ = s.twin.Write(b[:n])
		}
		b = b[n:]
	}
	return true
}

// wait lets time pass, and whatever holds up the lane; false if the proxy is closed.
func (s *stretch) wait(d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.over:
			return false
		}
	}
	for {
		t, _, changed := s.lane.state()
		if !t.Hold {
			return true
		}
		select {
		case <-changed:
		case <-s.over:
			return false
		}
	}
}
