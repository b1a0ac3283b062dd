package server

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// The client service reads its connections by their file, where they have one.
func TestTheFileOfAConnection(t *testing.T) {
	t.Parallel()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(raw)
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	opaque, ok := near.(syscall.Conn)
	if !ok {
		t.Fatal("it cannot be asked for its file")
	}
	if file, err := opaque.SyscallConn(); err != nil || file == nil {
		t.Errorf("its file: %v, %v", file, err)
	}
	piped, other := net.Pipe()
	defer other.Close()
	defer piped.Close()
	if _, err := (&conn{Conn: piped, listener: l}).SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe's file: %v", err)
	}
}
