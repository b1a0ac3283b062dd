//go:build !unix

package client

import (
	"errors"
	"net"

	"google.golang.org/grpc/mem"
)

// readsWhenReady says whether a [socket] can be had.
const readsWhenReady = false

// socket cannot be had here: connections are read as gRPC does.
type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (*socket) read(int, mem.BufferPool) (buf *[]byte, n int, err error) {
	return nil, 0, errors.ErrUnsupported
}
