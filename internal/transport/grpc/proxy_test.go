package grpc_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport/transporttest"
)

// proxy passes TCP connections on to an address, and makes trouble.
type proxy struct {
	to          string
	listener    net.Listener
	there, back *lane
	working     sync.WaitGroup
	over        chan struct{} // closed by close

	mu     sync.Mutex // guards the fields below
	open   map[net.Conn]struct{}
	closed bool
}

func newProxy(tb testing.TB, to string) *proxy {
	tb.Helper()
	p, err := openProxy(to, newLane(), newLane())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.close)
	return p
}

// openProxy is a proxy whose directions are these lanes.
func openProxy(to string, there, back *lane) (*proxy, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{to: to, listener: lis, there: there, back: back, over: make(chan struct{}), open: map[net.Conn]struct{}{}}
	p.working.Go(p.serve)
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		if t, _, _ := p.there.state(); t.Cut {
			from.Close()
			continue
		}
		p.join(from)
	}
}

// join passes on one connection.
func (p *proxy) join(from net.Conn) {
	to, err := net.Dial("tcp", p.to)
	if err != nil || !p.keep(from, to) {
		from.Close()
		return
	}
	there := &stretch{lane: p.there, from: from, to: to, way: make(chan chunk, laneChunks), over: p.over}
	if t, _, _ := p.there.state(); t.Replay {
		if twin, err := net.Dial("tcp", p.to); err == nil && p.keep(twin) {
			there.twin = twin
			p.working.Go(func() { _, _ = io.Copy(io.Discard, twin) })
		}
	}
	back := &stretch{lane: p.back, from: to, to: from, way: make(chan chunk, laneChunks), over: p.over}
	for _, s := range []*stretch{there, back} {
		p.working.Go(s.read)
		p.working.Go(s.write)
	}
}

// keep remembers connections; false if it is too late.
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

// stall holds up a way, or both, or none: what has been sent waits, as on a network that has lost packets for a while.
func (p *proxy) stall(there, back bool) {
	p.there.set(transporttest.Trouble{Hold: there}, 0)
	p.back.set(transporttest.Trouble{Hold: back}, 0)
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
	if !p.closed {
		p.closed = true
		close(p.over)
	}
	p.mu.Unlock()
	p.cut()
	p.working.Wait()
}
