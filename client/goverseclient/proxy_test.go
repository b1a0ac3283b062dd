package goverseclient_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy stands between a client and its server, and cuts connections.
type proxy struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	refuse bool                  // guarded by mu: new connections are closed
	frozen bool                  // guarded by mu: bytes go nowhere
	after  func() int            // guarded by mu: how many bytes a new connection lives; nil: for ever
	conns  map[net.Conn]struct{} // guarded by mu: both sides
	cuts   int                   // guarded by mu
	wg     sync.WaitGroup
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.server)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		up, down := -1, -1
		if p.after != nil { // one of the directions ends first
			if n := p.after(); rand.N(2) == 0 {
				up = n
			} else {
				down = n
			}
		}
		refuse := p.refuse
		p.conns[in], p.conns[out] = struct{}{}, struct{}{}
		p.mu.Unlock()
		if refuse {
			in.Close()
			out.Close()
			continue
		}
		p.wg.Go(func() { p.copy(out, in, up) })
		p.wg.Go(func() { p.copy(in, out, down) })
	}
}

// copy copies until there is an error, or that many bytes are through.
func (p *proxy) copy(to, from net.Conn, most int) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if most >= 0 && n >= most {
			n, err = most, io.EOF
			p.mu.Lock()
			p.cuts++
			p.mu.Unlock()
		}
		if most >= 0 {
			most -= n
		}
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if !frozen {
			to.Write(buf[:n])
		}
		if err != nil {
			to.Close()
			from.Close()
			p.mu.Lock()
			delete(p.conns, to)
			delete(p.conns, from)
			p.mu.Unlock()
			return
		}
	}
}

// cut ends the connections, as the system does for a killed process.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// cutAfter cuts new connections after so many bytes in one of the directions.
func (p *proxy) cutAfter(bytes func() int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = bytes
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// set changes what becomes of bytes and new connections.
func (p *proxy) set(refuse, frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse, p.frozen = refuse, frozen
}
