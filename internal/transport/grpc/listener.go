package grpc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/peer"
)

// listener remembers the connections that are open: gRPC's own stop waits for those that have not finished their
// handshake, and nothing of gRPC closes the one connection of a stream.
type listener struct {
	net.Listener

	mu   sync.Mutex
	open map[*conn]struct{} // guarded by mu; nil after hangUp
}

// conn is a connection of a listener.
type conn struct {
	net.Conn

	listener *listener
	linked   atomic.Bool // it carries a link
}

// origin is the remote address of a conn: by it a stream finds the connection that carries it.
type origin struct {
	net.Addr

	conn *conn
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, open: map[*conn]struct{}{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		_ = raw.Close() // too late; that gRPC finds out by itself
		return c, nil
	}
	l.open[c] = struct{}{}
	return c, nil
}

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return origin{c.Conn.RemoteAddr(), c} }

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// hangUp closes the listener and all connections, without a word.
func (l *listener) hangUp() {
	_ = l.Listener.Close()
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

// cutter closes the connection that carries the stream of a context.
func cutter(ctx context.Context) func() {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return func() {}
	}
	from, ok := p.Addr.(origin)
	if !ok {
		return func() {}
	}
	return func() { _ = from.conn.Close() }
}

// links says whether a stream may be the link of its connection, which has one at a time, until unlink is called.
func links(ctx context.Context) (unlink func(), ok bool) {
	p, known := peer.FromContext(ctx)
	if !known {
		return func() {}, true
	}
	from, known := p.Addr.(origin)
	if !known {
		return func() {}, true
	}
	linked := &from.conn.linked
	return func() { linked.Store(false) }, linked.CompareAndSwap(false, true)
}

// remote is where the stream of a context comes from, for logs.
func remote(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
