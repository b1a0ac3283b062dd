package inspector

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"

	"github.com/xiaonanln/goverse/inspector/internal/guard"
)

// How many streams there may be: so many that two hundred tabs of one machine, or behind one proxy, find a place, and so
// few of one address that it leaves some to others.
const (
	maxStreams   = 256
	maxStreamsOf = 224
)

// shares counts streams, in all and of each address. The zero value counts none.
type shares struct {
	mu  sync.Mutex
	all int                  // guarded by mu
	of  map[netip.Prefix]int // guarded by mu: without those that have none
}

// take takes a place for a stream, which is to be released once; or it says why there is none.
func (s *shares) take(remote string) (release func(), err error) {
	from := guard.Neighbourhood(remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.all >= maxStreams:
		return nil, &fault{http.StatusTooManyRequests, "ResourceExhausted", fmt.Sprintf("%d streams are open, as many as there may be", maxStreams)}
	case s.of[from] >= maxStreamsOf:
		return nil, &fault{http.StatusTooManyRequests, "ResourceExhausted", fmt.Sprintf("%d streams are open from this address, as many as there may be", maxStreamsOf)}
	}
	if s.of == nil {
		s.of = make(map[netip.Prefix]int)
	}
	s.all++
	s.of[from]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[from]--; s.of[from] == 0 {
			delete(s.of, from)
		}
	}, nil
}
