package etcd_test

import (
	"net"
	"sync"
	"testing"
)

// proxy stands before a member. It can be frozen: connections stand, and new ones are accepted, but no byte passes.
type proxy struct {
	endpoint string
	target   string
	l        net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	gate   *sync.Cond // on mu: frozen or closed has changed
	frozen bool
	mute   bool // what the member says is thrown away
	closed bool
	conns  map[net.Conn]struct{}
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{endpoint: l.Addr().String(), target: target, l: l, conns: map[net.Conn]struct{}{}}
	p.gate = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		if !p.own(in, out) {
			return
		}
		p.wg.Go(func() { p.copy(out, in, false) })
		p.wg.Go(func() { p.copy(in, out, true) })
	}
}

// own takes care of connections, unless the proxy is closed.
func (p *proxy) own(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
			continue
		}
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

func (p *proxy) copy(to, from net.Conn, answers bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		switch open, muted := p.pass(); {
		case !open:
			return
		case answers && muted:
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass waits until bytes may pass.
func (p *proxy) pass() (open, muted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.frozen && !p.closed {
		p.gate.Wait()
	}
	return !p.closed, p.mute
}

func (p *proxy) freeze(frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
	p.gate.Broadcast()
}

// silence throws away all that the member says from now on.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.gate.Broadcast()
	p.mu.Unlock()
	p.l.Close()
	p.cut()
	p.wg.Wait()
}
