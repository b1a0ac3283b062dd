package etcd

import (
	"context"
	"net"
)

// Broken receives when a connection to a fragile etcd has ended, however that came; see [Config.Fragile]. It holds at
// most one signal, is one channel for the Store's life, and nil if the etcd is not fragile.
func (s *Store) Broken() <-chan struct{} { return s.broken }

// dialFragile connects to an etcd whose end must not go unnoticed for a moment.
func (s *Store) dialFragile(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &fragileConn{Conn: conn, broken: s.broken}, nil
}

// fragileConn tells when it ends. gRPC reads from a connection all the time, so that an end is seen when it comes, and
// no goroutine of ours is needed. A connection that is closed on this side tells as well: from then on the end of the
// etcd would not be seen.
type fragileConn struct {
	net.Conn

	broken chan<- struct{}
}

func (c *fragileConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.tell()
	}
	return n, err
}

func (c *fragileConn) Close() error {
	c.tell()
	return c.Conn.Close()
}

func (c *fragileConn) tell() {
	select {
	case c.broken <- struct{}{}:
	default: // it was told, and not yet heard
	}
}
