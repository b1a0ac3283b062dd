package mem

import (
	"container/heap"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
)

// pipe is one direction of a connection. Its goroutine, carry, delivers.
type pipe struct {
	net    *Network
	way    way
	broken <-chan struct{} // of the connection
	wake   chan struct{}   // capacity 1: a message was added

	mu     sync.Mutex // guards the fields below
	closed bool
	queue  queue
	count  uint64
	newest time.Duration            // when the last message in order is due
	last   map[sender]time.Duration // when the last message of a caller to an object is due
}

// sender is what keeps the order of its messages: one caller and one object, or one reply.
type sender struct {
	object string
	turn   transport.CallID // of the caller; zero: from outside
	reply  uint64           // the call's number; 0: no reply
}

// message is on its way.
type message struct {
	from    sender
	due     time.Duration // on the clock's monotonic scale
	number  uint64        // in the order of sending
	deliver func()        // may be called twice
	gone    func()        // once, when it was delivered or is lost; nil: nobody cares
}

func newPipe(n *Network, w way, broken <-chan struct{}) *pipe {
	return &pipe{net: n, way: w, broken: broken, wake: make(chan struct{}, 1), last: map[sender]time.Duration{}}
}

// push sends a message on its way.
func (p *pipe) push(m message) {
	if !p.add(m, p.net.fate(p.way)) && m.gone != nil {
		m.gone()
	}
}

// add reports whether the message will be delivered, or given up by carry.
func (p *pipe) add(m message, f fate) bool {
	now := p.net.clock.Monotonic()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || f.lost {
		return false
	}
	m.due = max(now+f.delay, p.last[m.from])
	if !f.free {
		m.due = max(m.due, p.newest)
	}
	if f.pace > 0 {
		m.due = max(m.due, p.newest+f.pace)
	}
	p.newest = max(p.newest, m.due)
	p.last[m.from] = m.due
	p.addLocked(m)
	if f.again {
		m.due += f.further
		m.gone = nil
		p.addLocked(m)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

// flushed is closed when all that is on its way has been delivered, or is lost.
func (p *pipe) flushed() <-chan struct{} {
	done := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		close(done)
		return done
	}
	p.addLocked(message{due: max(p.newest, p.net.clock.Monotonic()), deliver: func() {}, gone: func() { close(done) }})
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return done
}

func (p *pipe) addLocked(m message) {
	p.count++
	m.number = p.count
	heap.Push(&p.queue, m)
}

// next takes the message that is due, or says how long there is none; negative: until one is added.
func (p *pipe) next() (m message, wait time.Duration, ok bool) {
	now := p.net.clock.Monotonic()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return message{}, -1, false
	}
	if wait = p.queue[0].due - now; wait > 0 {
		return message{}, wait, false
	}
	m, _ = heap.Pop(&p.queue).(message)
	if p.last[m.from] <= now {
		delete(p.last, m.from) // whatever comes is due later
	}
	return m, 0, true
}

// carry delivers what is due until the connection breaks; what is left then is lost.
func (p *pipe) carry() {
	defer p.close()
	for {
		select {
		case <-p.broken:
			return
		default:
		}
		held, changed := p.net.held(p.way)
		wait := time.Duration(-1)
		if !held {
			m, soon, ok := p.next()
			if ok {
				m.pass()
				continue
			}
			wait = soon
		}
		p.rest(wait, changed)
	}
}

// rest waits until there may be something to do.
func (p *pipe) rest(wait time.Duration, changed <-chan struct{}) {
	var due <-chan time.Time
	if wait >= 0 {
		timer := p.net.clock.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-p.wake:
	case <-changed:
	case <-p.broken:
	}
}

// close gives up what is left.
func (p *pipe) close() {
	p.mu.Lock()
	left := p.queue
	p.queue, p.closed = nil, true
	p.mu.Unlock()
	for _, m := range left {
		if m.gone != nil {
			m.gone()
		}
	}
}

// pass delivers a message, and tells that it is gone even if that ends the goroutine.
func (m message) pass() {
	if m.gone != nil {
		defer m.gone()
	}
	m.deliver()
}

// queue is a heap of messages, the one that is due first on top.
type queue []message //nolint:recvcheck // as container/heap wants it

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool {
	return q[i].due < q[j].due || q[i].due == q[j].due && q[i].number < q[j].number
}

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(message)) } //nolint:forcetypeassert // only messages are pushed

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	old := *q
	last := len(old) - 1
	m := old[last]
	old[last] = message{} // its functions hold on to much
	*q = old[:last]
	return m
}
