package routing

import (
	"context"
	"sync"
	"sync/atomic"
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
	waiting int                // bytes that may wait for each
	lost    *atomic.Uint64     // how many pushes were lost that waited for one
	life    context.Context    //nolint:containedctx // of the goroutines of outboxes; ends with close
	end     context.CancelFunc // … its end
	wg      sync.WaitGroup     // … themselves

	known atomic.Pointer[map[string]*link] // by incarnation, of those in byPeer; never nil, and never changed

	mu     sync.Mutex // guards the fields below
	closed bool
	byPeer map[transport.Peer]*link
}

// link is one of them.
type link struct {
	transport.Link
	outbox

	address string
	made    time.Duration // when
	member  bool          // it has led to a member
	gone    time.Duration // since when it does not; 0: it does
}

// newLinks has no links yet. The goroutines of its links get the values of ctx.
func newLinks(ctx context.Context, cfg Config, network Dialer, lost *atomic.Uint64) *links {
	l := &links{
		cluster: cfg.Cluster, clock: cfg.Clock, network: network, waiting: cfg.WaitingBytes, lost: lost,
		byPeer: make(map[transport.Peer]*link),
	}
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	l.publishLocked()
	return l
}

// publishLocked lets others find what is in byPeer without the lock. Of one incarnation at several addresses, of which
// all but one are hearsay, it is any.
func (l *links) publishLocked() {
	known := make(map[string]*link, len(l.byPeer))
	for peer, x := range l.byPeer {
		known[peer.Incarnation] = x
	}
	l.known.Store(&known)
}

// to is the link to a member.
func (l *links) to(rt cluster.Route) *link {
	if found := (*l.known.Load())[rt.Incarnation]; found != nil && found.address == rt.Address {
		return found
	}
	return l.dial(rt)
}

// dial is to for a link that is not known yet, or not at that address.
func (l *links) dial(rt cluster.Route) *link {
	peer := transport.Peer{Cluster: l.cluster, Address: rt.Address, Incarnation: rt.Incarnation}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.byPeer[peer]; found != nil {
		return found
	}
	made := &link{Link: l.network.Dial(peer), address: rt.Address, made: l.clock.Monotonic()}
	made.outbox = outbox{links: l, link: made.Link, limit: l.waiting}
	if l.closed {
		made.Close()
		return made
	}
	l.byPeer[peer] = made
	l.publishLocked()
	return made
}

// count is how many there are.
func (l *links) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byPeer)
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
			x.member, x.gone = true, 0
			continue
		}
		if x.gone == 0 && (x.member || now-x.made >= acquaintance) {
			x.gone = max(now, 1)
		}
		if x.gone != 0 && now-x.gone >= linger {
			delete(l.byPeer, peer)
			dead = append(dead, x)
		}
	}
	if dead != nil {
		l.publishLocked()
	}
	return dead
}

// begin starts a goroutine of an outbox; false: the links are closed.
func (l *links) begin(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.wg.Go(f)
	return true
}

// rest lets some time pass before the next attempt to send; false: the links are closed.
func (l *links) rest(tries int) bool {
	timer := backOff(l.clock, tries)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.life.Done():
		return false
	}
}

// flush waits until what has been posted and sent has arrived, or cannot any more, or ctx ends.
func (l *links) flush(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, x := range *l.known.Load() {
		all.Go(func() { // who hangs holds up nothing that goes to others
			x.flush(ctx, time.Time{})
			_ = x.Flush(ctx)
		})
	}
}

// close closes all links, for good. What waits for them is lost.
func (l *links) close() {
	l.mu.Lock()
	l.closed = true
	all := l.byPeer
	l.byPeer = make(map[transport.Peer]*link)
	l.publishLocked()
	l.mu.Unlock()
	l.end()
	for _, x := range all {
		x.Close()
	}
	l.wg.Wait()
}
