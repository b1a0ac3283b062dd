//go:build unix

package client

import (
	"errors"
	"io"
	"net"
	"syscall"

	"google.golang.org/grpc/mem"
)

// readsWhenReady says whether a [socket] can be had.
const readsWhenReady = true

// socket reads from a connection's file without a buffer in hand while it waits. One goroutine uses
// it.
type socket struct {
	raw syscall.RawConn
	try func(fd uintptr) (done bool) // attempt, made once

	// Of the read under way.
	pool mem.BufferPool
	size int
	buf  *[]byte
	n    int
	err  error
}

// newSocket is that of a connection; nil: it has none to read from.
func newSocket(c net.Conn) *socket {
	opaque, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := opaque.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.try = s.attempt
	return s
}

// read reads once something is there. The buffer is nil after an error.
func (s *socket) read(size int, pool mem.BufferPool) (buf *[]byte, n int, err error) {
	s.size, s.pool = size, pool
	err = s.raw.Read(s.try) // of a connection that was closed, or has its deadline behind it
	if err == nil {
		err = s.err
	}
	buf, n = s.buf, s.n
	s.pool, s.buf, s.n, s.err = nil, nil, 0, nil
	return buf, n, err
}

// attempt is false if there is nothing yet.
func (s *socket) attempt(fd uintptr) (done bool) {
	buf := s.pool.Get(s.size)
	n, err := syscall.Read(int(fd), *buf)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(int(fd), *buf)
	}
	switch {
	case n > 0:
		s.buf, s.n = buf, n
		return true
	case err == nil:
		err = io.EOF
	case errors.Is(err, syscall.EAGAIN):
		s.pool.Put(buf)
		return false
	}
	s.pool.Put(buf)
	s.err = err
	return true
}
