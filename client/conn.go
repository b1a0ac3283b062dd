package client

import (
	"context"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// watching wraps transport credentials so that connections remember how they end.
// gRPC itself does not tell a stream whether it was reset or its connection broke.
type watching struct {
	credentials.TransportCredentials
}

func (w watching) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	inner, info, err := w.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return inner, info, err
	}
	c := &conn{Conn: inner, frames: newFrames()}
	if inner != raw { // what arrives is encrypted, and not to be read past who decrypts it
		return c, info, nil
	}
	if s := newSocket(raw); s != nil {
		return &readyConn{conn: c, socket: s}, info, nil
	}
	return c, info, nil
}

func (w watching) Clone() credentials.TransportCredentials {
	return watching{w.TransportCredentials.Clone()}
}

// conn is a client's connection, after the handshake. gRPC's transport closes it
// before it ends the connection's streams.
type conn struct {
	net.Conn

	calls  line   // of this connection
	frames frames // owned by the one goroutine that reads
	goAway atomic.Bool
	closed atomic.Bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.see(p[:n])
	return n, err
}

// see follows what was read.
func (c *conn) see(p []byte) {
	if c.frames.scan(p) {
		c.goAway.Store(true)
	}
}

func (c *conn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// RemoteAddr is the way by which a stream finds its connection: see connOf.
func (c *conn) RemoteAddr() net.Addr { return connAddr{c.Conn.RemoteAddr(), c} }

type connAddr struct {
	net.Addr

	conn *conn
}

// connOf returns the connection of a stream; nil where it is not one of ours.
func connOf(ctx context.Context) *conn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	addr, ok := p.Addr.(connAddr)
	if !ok {
		return nil
	}
	return addr.conn
}

// broke reports whether the connection ended without the client saying so.
func (c *conn) broke() bool { return c != nil && c.closed.Load() && !c.goAway.Load() }

const (
	prefaceLen  = 24 // "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	headerLen   = 9  // of an HTTP/2 frame: length (3), type (1), flags (1), stream (4)
	typeGoAway  = 0x7
	lengthBytes = 3
)

// frames follows the frames of an HTTP/2 connection (RFC 9113, section 4.1).
type frames struct {
	skip   int // bytes until the next header
	header [headerLen]byte
	have   int // bytes of header seen
}

// newFrames is at a connection's start.
func newFrames() frames { return frames{skip: prefaceLen} }

// scan reads on and reports whether a GOAWAY began in b.
func (f *frames) scan(b []byte) (goAway bool) {
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < headerLen {
			return goAway
		}
		f.have = 0
		f.skip = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
		goAway = goAway || f.header[lengthBytes] == typeGoAway
	}
	return goAway
}
