package grpc_test

import (
	"net"
	"sync"
	"testing"
)

// proxy passes TCP connections on to an address, and makes trouble.
type proxy struct {
	to       string
	listener net.Listener
	working  sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	changed sync.Cond
	stalled map[bool]bool // the ways that swallow nothing and pass nothing; true: towards the target
	open    map[net.Conn]struct{}
	closed  bool
	passed  map[bool]int // bytes
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: to, listener: lis, stalled: map[bool]bool{}, open: map[net.Conn]struct{}{}, passed: map[bool]int{}}
	p.changed.L = &p.mu
	p.working.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.to)
		if err != nil || !p.keep(from, to) {
			from.Close()
			continue
		}
		p.working.Go(func() { p.pass(from, to, true) })
		p.working.Go(func() { p.pass(to, from, false) })
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
			continue
		}
		p.open[c] = struct{}{}
	}
	return !p.closed
}

// pass copies one way until either end is closed.
func (p *proxy) pass(from, to net.Conn, there bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.stalled[there] && !p.closed {
			p.changed.Wait()
		}
		p.passed[there] += n
		p.mu.Unlock()
		if _, e := to.Write(buffer[:n]); e != nil || err != nil {
			return
		}
	}
}

// stall holds up a way, or both, or none: what has been sent waits, as on a network that has lost packets for a while.
func (p *proxy) stall(there, back bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled[true], p.stalled[false] = there, back
	p.changed.Broadcast()
}

// cut breaks all connections; new ones are taken.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0) // a reset: nothing that was sent arrives any more
		}
		c.Close()
	}
	clear(p.open)
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.cut()
	p.working.Wait()
}
