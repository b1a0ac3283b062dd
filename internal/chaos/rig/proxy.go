//go:build linux

package rig

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Proxy stands between who connects to it and an address. While it is frozen connections
// stand and new ones are accepted, but no byte passes in either direction: a cable that is
// pulled. What is on its way then arrives late, after the thaw. It can also be frozen for
// those connections alone that a certain process has made.
type Proxy struct {
	target string
	caller func(net.Conn) string // the name of who connects; nil: nobody has one
	l      net.Listener
	wg     sync.WaitGroup
	ctx    context.Context //nolint:containedctx // the proxy's life: ends with Close
	end    context.CancelFunc

	mu     sync.Mutex // guards the fields below
	gate   *sync.Cond // on mu: frozen or closed has changed
	frozen bool
	cut    map[string]bool // the callers for whom it is frozen
	closed bool
	conns  map[net.Conn]struct{}
}

// NewProxy listens on an address; port 0 is a free one. Caller, which may be nil, names who
// has made a connection.
func NewProxy(ctx context.Context, address, target string, caller func(net.Conn) string) (*Proxy, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open proxy to %s: %w", target, err)
	}
	p := &Proxy{target: target, caller: caller, l: l, conns: map[net.Conn]struct{}{}, cut: map[string]bool{}}
	p.ctx, p.end = context.WithCancel(context.WithoutCancel(ctx))
	p.gate = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

func (p *Proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		if p.own(in) {
			p.wg.Go(func() { p.connect(in) })
		}
	}
}

// connect connects to the target, which may not be there, or not yet.
func (p *Proxy) connect(in net.Conn) {
	defer p.drop(in)
	name := ""
	if p.caller != nil {
		name = p.caller(in)
	}
	if !p.pass(name) {
		return
	}
	var dial net.Dialer
	out, err := dial.DialContext(p.ctx, "tcp", p.target)
	if err != nil || !p.own(out) {
		return
	}
	defer p.drop(out)
	back := make(chan struct{})
	go func() { defer close(back); p.copy(in, out, name) }()
	p.copy(out, in, name)
	<-back
}

// copy lets bytes pass until either end closes, and closes both.
func (p *Proxy) copy(to, from net.Conn, caller string) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.pass(caller) || err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// own takes care of a connection; false: the proxy is closed.
func (p *Proxy) own(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// pass waits until bytes may pass; false: the proxy is closed.
func (p *Proxy) pass(caller string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.frozen || p.cut[caller]) && !p.closed {
		p.gate.Wait()
	}
	return !p.closed
}

// Freeze pulls the cable, or plugs it in again.
func (p *Proxy) Freeze(frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
	p.gate.Broadcast()
}

// Cut pulls the cable of one caller, or plugs it in again.
func (p *Proxy) Cut(caller string, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut[caller] = cut
	p.gate.Broadcast()
}

// Reset breaks all connections.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.gate.Broadcast()
	p.mu.Unlock()
	p.end()
	_ = p.l.Close()
	p.Reset()
	p.wg.Wait()
}
