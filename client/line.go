package client

import (
	"context"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc/tap"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/util/clock"
)

// line is the order of the Calls of one connection: gRPC runs every rpc on a
// goroutine of its own, and those reach the objects as the scheduler likes. A Call
// takes its place when its headers arrive, and leaves when it has its place at its
// object or is not to have one; for the former it waits until all ahead have left.
type line struct {
	mu          sync.Mutex
	first, last *place // guarded by mu
	length      int    // guarded by mu
	sweepAt     int    // guarded by mu: the length at which join looks for the dead
}

// minSweep is the length of a line that is not worth a sweep.
const minSweep = 64

// place is one Call in its connection's line: its rpc's context, that it may be found
// and seen to end without an allocation of its own. A nil place is outside of any
// line, and always its turn.
type place struct {
	context.Context //nolint:containedctx // it is one

	line       *line
	work       work          // of the call, from when it begins: in one allocation
	plain      bool          // its metadata say nothing to its method
	prev, next *place        // guarded by line.mu
	inLine     bool          // guarded by line.mu
	arrived    bool          // guarded by line.mu: its request is there
	turn       chan struct{} // guarded by line.mu: closed when it is the first; nil: it does not wait
	unwatch    func() bool   // guarded by line.mu: nil while nobody waits for it
}

// placeKey is what a place is found by in the contexts derived from it.
type placeKey struct{}

func (p *place) Value(key any) any {
	if key == (placeKey{}) {
		return p
	}
	return p.Context.Value(key)
}

func placeOf(ctx context.Context) *place {
	p, _ := ctx.Value(placeKey{}).(*place)
	return p
}

// lineUp is gRPC's tap. It runs where the headers are read, one rpc of a connection
// after the other, under the lock of gRPC's transport: it must not block.
func lineUp(ctx context.Context, rpc *tap.Info) (context.Context, error) {
	if rpc.FullMethodName != client_pb.ClientService_Call_FullMethodName {
		return ctx, nil
	}
	if c := connOf(ctx); c != nil {
		p := c.calls.join(ctx)
		p.plain = isPlain(rpc.Header)
		return p, nil
	}
	return ctx, nil
}

// join adds a place at the end. An rpc that ends before its request is there never
// leaves by itself: it is taken out by who waits for it, or here, before such places
// are more than the others.
func (l *line) join(ctx context.Context) *place {
	p := &place{Context: ctx, line: l, inLine: true}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.prev = l.last; p.prev != nil {
		p.prev.next = p
	} else {
		l.first = p
	}
	l.last = p
	l.length++
	if l.length > max(l.sweepAt, minSweep) {
		p.dropAhead((*place).over)
		l.sweepAt = 2 * l.length
	}
	return p
}

// yields is how often a Call lets others go on before it waits: mostly those ahead are as
// good as here, and it saves a channel, and more.
const yields = 2

// wait returns when all ahead have left, or the rpc or ctx has ended. For requests that
// are not there it waits as long as patience, then those lose their places.
func (p *place) wait(ctx context.Context, clk clock.Clock, patience time.Duration) {
	for range yields {
		if p.arrive() {
			return
		}
		runtime.Gosched()
	}
	turn, missing := p.queue()
	if turn == nil {
		return
	}
	if missing {
		timer := clk.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-turn:
			return
		case <-ctx.Done():
			return
		case <-timer.C:
			p.overtake()
		}
	}
	// Those ahead are all here, and wait for nobody but each other: it does not take long,
	// and the end of the rpc, which is there to be seen, is enough to look for.
	select {
	case <-turn:
	case <-p.Done():
	}
}

// arrive notes that the request is there, and reports whether nobody is ahead.
func (p *place) arrive() (first bool) {
	if p == nil {
		return true
	}
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.arrived = true
	return p.prev == nil
}

// queue returns what is closed when it is p's turn; nil: it is. Those ahead whose
// requests are missing are watched from now on, so that none is waited for that
// ends.
func (p *place) queue() (turn <-chan struct{}, missing bool) {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	for q := p.prev; q != nil && !q.arrived; { // who is there looks after those ahead of it
		ahead := q.prev
		switch {
		case q.over():
			q.drop()
		case q.unwatch == nil:
			q.unwatch = context.AfterFunc(q.Context, q.giveUp)
		}
		q = ahead
	}
	if p.prev == nil {
		return nil, false
	}
	p.turn = make(chan struct{})
	return p.turn, p.missingAhead()
}

// missingAhead reports whether a request of those ahead is not there. The caller holds
// line.mu.
func (p *place) missingAhead() bool {
	for q := p.prev; q != nil; q = q.prev {
		if !q.arrived {
			return true
		}
	}
	return false
}

// overtake takes the places of all ahead whose requests are not there.
func (p *place) overtake() {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.dropAhead(func(q *place) bool { return !q.arrived })
}

// leave lets those behind go on. It may be called more than once.
func (p *place) leave() {
	if p == nil {
		return
	}
	p.line.mu.Lock()
	unwatch := p.unwatch
	p.unwatch = nil
	p.drop()
	p.line.mu.Unlock()
	if unwatch != nil {
		unwatch()
	}
}

// giveUp takes out an rpc that has ended. It runs on a goroutine of the rpc's context
// that nobody needs to wait for: itself it waits for nothing but the line's lock.
func (p *place) giveUp() {
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.drop()
}

// over reports that the rpc has ended: even if its request is there, no object takes
// it any more.
func (p *place) over() bool { return p.Err() != nil }

// dropAhead drops all ahead of p that are so. The caller holds line.mu.
func (p *place) dropAhead(so func(*place) bool) {
	for q := p.prev; q != nil; {
		ahead := q.prev
		if so(q) {
			q.drop()
		}
		q = ahead
	}
}

// drop takes p out of its line, unless it is out, and tells who is the first now. The
// caller holds line.mu.
func (p *place) drop() {
	if !p.inLine {
		return
	}
	l := p.line
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		l.last = p.prev
	}
	p.prev, p.next, p.inLine = nil, nil, false
	l.length--
	if first := l.first; first != nil && first.turn != nil {
		close(first.turn)
		first.turn = nil
	}
}
