//go:build unix

package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// countingPool counts the buffers that were asked for, and those that are out.
type countingPool struct{ asked, out atomic.Int32 }

func (p *countingPool) Get(size int) *[]byte {
	p.out.Add(1)
	p.asked.Add(1)
	b := make([]byte, size)
	return &b
}

func (p *countingPool) Put(*[]byte) { p.out.Add(-1) }

// dialed is a connection over the loopback device, from both ends.
func dialed(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	return near, far
}

// meet is a handshake of the service's credentials.
func meet(t *testing.T, creds credentials.TransportCredentials, raw net.Conn) net.Conn {
	t.Helper()
	c, _, err := watching{creds}.ServerHandshake(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A connection on which nothing comes holds no buffer, and what comes is read and followed.
func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	t.Parallel()
	near, far := dialed(t)
	c, ok := meet(t, insecure.NewCredentials(), near).(*readyConn)
	if !ok {
		t.Fatal("it is not read when it is ready")
	}
	var pool countingPool
	type outcome struct {
		b   []byte
		err error
	}
	got := make(chan outcome)
	read := func() {
		b, n, err := c.ReadOnReady(1<<10, &pool)
		if b == nil {
			b = new([]byte)
		}
		got <- outcome{(*b)[:n], err}
	}
	go read()
	for pool.asked.Load() == 0 || pool.out.Load() > 0 { // it has looked, and waits
		runtime.Gosched()
	}
	var said bytes.Buffer
	said.WriteString(http2.ClientPreface)
	_ = http2.NewFramer(&said, nil).WriteGoAway(0, http2.ErrCodeNo, nil)
	if _, err := far.Write(said.Bytes()); err != nil {
		t.Fatal(err)
	}
	if o := <-got; o.err != nil || !bytes.Equal(o.b, said.Bytes()) || pool.out.Load() != 1 {
		t.Errorf("read %q, %v, with %d buffers", o.b, o.err, pool.out.Load())
	}
	if !c.goAway.Load() {
		t.Error("the GOAWAY was not seen")
	}
	_ = far.Close()
	go read()
	if o := <-got; !errors.Is(o.err, io.EOF) {
		t.Errorf("at the end: %v", o.err)
	}
	_ = c.Close()
	go read()
	if o := <-got; !errors.Is(o.err, net.ErrClosed) {
		t.Errorf("of a connection that is closed: %v", o.err)
	}
	if n := pool.out.Load(); n != 1 {
		t.Errorf("%d buffers are out, one was handed over", n)
	}
}

// translating stands for credentials that encrypt: who reads past them reads nonsense.
type translating struct {
	credentials.TransportCredentials
}

func (translating) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return &translated{raw.(*net.TCPConn)}, nil, nil
}

// translated can be asked for its file, as gRPC's own wrapper can.
type translated struct{ *net.TCPConn }

// Only what arrives as it is meant is read past the connection, and only where there is a file.
func TestWhoIsReadWhenReady(t *testing.T) {
	t.Parallel()
	near, _ := dialed(t)
	if _, ready := meet(t, translating{insecure.NewCredentials()}, near).(*readyConn); ready {
		t.Error("a connection that is encrypted would be read encrypted")
	}
	piped, other := net.Pipe()
	defer other.Close()
	defer piped.Close()
	if _, ready := meet(t, insecure.NewCredentials(), piped).(*readyConn); ready {
		t.Error("a pipe has no file")
	}
}
