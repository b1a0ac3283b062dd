package routing

import (
	"sync"
	"time"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/util/clock"
)

const (
	// linger is how long the link to a member that is gone stays open: a member that leaves in peace has answers under
	// way.
	linger = 500 * time.Millisecond
	// acquaintance is how long a link may lead to somebody who is no member, yet.
	acquaintance = 10 * time.Second
)

// links are the ways to other members, one for each incarnation and address.
type links struct {
	cluster string
	clock   clock.Clock
	network Dialer

	mu     sync.RWMutex // guards the fields below
	closed bool
	byPeer map[transport.Peer]*link
}

// link is one of them.
type link struct {
	transport.Link

	made  time.Duration // when
	known bool          // it has led to a member
	gone  time.Duration // since when it does not; 0: it does
}

func newLinks(cfg Config, network Dialer) *links {
	return &links{cluster: cfg.Cluster, clock: cfg.Clock, network: network, byPeer: make(map[transport.Peer]*link)}
}

// to is the link to a member.
func (l *links) to(rt cluster.Route) transport.Link {
	peer := transport.Peer{Cluster: l.cluster, Address: rt.Address, Incarnation: rt.Incarnation}
	l.mu.RLock()
	found := l.byPeer[peer]
	l.mu.RUnlock()
	if found != nil {
		return found
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found = l.byPeer[peer]; found != nil {
		return found
	}
	made := &link{Link: l.network.Dial(peer), made: l.clock.Monotonic()}
	if l.closed {
		made.Close()
		return made
	}
	l.byPeer[peer] = made
	return made
}

// sweep closes the links to members that have been gone for a while.
func (l *links) sweep(table Table) {
	for _, dead := range l.pick(table) {
		dead.Close()
	}
}

// pick takes those links out.
func (l *links) pick(table Table) (dead []*link) {
	now := l.clock.Monotonic()
	l.mu.Lock()
	defer l.mu.Unlock()
	for peer, x := range l.byPeer {
		if _, lives := table.Node(peer.Incarnation); lives {
			x.known, x.gone = true, 0
			continue
		}
		if x.gone == 0 && (x.known || now-x.made >= acquaintance) {
			x.gone = max(now, 1)
		}
		if x.gone != 0 && now-x.gone >= linger {
			delete(l.byPeer, peer)
			dead = append(dead, x)
		}
	}
	return dead
}

// close closes all links, for good.
func (l *links) close() {
	l.mu.Lock()
	l.closed = true
	all := l.byPeer
	l.byPeer = make(map[transport.Peer]*link)
	l.mu.Unlock()
	for _, x := range all {
		x.Close()
	}
}
