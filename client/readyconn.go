package client

import "google.golang.org/grpc/mem"

// The memory that gRPC reads into: that of a connection which reads when something is there
// is shared with all others, and can be as large as gRPC has it by default. The others hold
// theirs for as long as they are open, and most connections are idle.
const (
	readyBufferBytes = 32 << 10
	heldBufferBytes  = 2 << 10
)

// readyConn is a connection without encryption, which is read when something is there, into memory
// that is taken then. It is what gRPC's transport asks a [net.Conn] for.
type readyConn struct {
	*conn

	socket *socket
}

// ReadOnReady waits until something can be read, takes a buffer from the pool, and reads into it.
func (c *readyConn) ReadOnReady(size int, pool mem.BufferPool) (buf *[]byte, n int, err error) {
	buf, n, err = c.socket.read(size, pool)
	if buf != nil {
		c.see((*buf)[:n])
	}
	return buf, n, err
}
