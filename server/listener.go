package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
)

// lastWords is how long connections may stay open for what was answered on them.
const lastWords = time.Second

// listener remembers the connections that are open: gRPC's own stop waits for those
// that have not finished their handshake, be it for minutes.
type listener struct {
	net.Listener

	mu   sync.Mutex
	open map[*conn]struct{} // guarded by mu; nil after hangUp
}

// conn is a connection of a listener.
type conn struct {
	net.Conn

	listener *listener
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, open: make(map[*conn]struct{})}
}

// Accept implements [net.Listener].
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

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn implements [syscall.Conn]: the client service reads by it when there is
// something to read.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	opaque, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return opaque.SyscallConn()
}

// hangUp closes all connections, those to come included, without a word.
func (l *listener) hangUp() {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

// stopServing ends a gRPC server whose rpcs have ended. Their last words may still be on
// their way to the clients: it waits for them, but not long, for a client need not read,
// may watch the health service for ever, or may never have spoken. gone is closed when
// no handler runs any more.
func stopServing(until context.Context, g *grpc.Server, l *listener) (gone <-chan struct{}) {
	until, cancel := context.WithTimeout(until, lastWords)
	defer cancel()
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		g.GracefulStop()
	}()
	select {
	case <-graceful:
	case <-until.Done():
		l.hangUp()
		g.Stop()
	}
	return graceful
}
