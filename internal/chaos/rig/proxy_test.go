//go:build linux

package rig_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/internal/chaos/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every byte with itself.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	p, err := rig.NewProxy(t.Context(), "127.0.0.1:0", echo(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(b byte) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	receive := func(want byte) {
		t.Helper()
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil || b[0] != want {
			t.Fatalf("received %q, %v, want %q", b, err, want)
		}
	}
	send('a')
	receive('a')

	p.Freeze(true)
	send('b')
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("a byte has passed a frozen proxy")
	}
	_ = c.SetReadDeadline(time.Time{})
	p.Freeze(false)
	receive('b') // late, but not lost

	p.Reset()
	if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
		t.Fatal("the connection stands after a reset")
	}
}

func TestPortsAreNotDealtOutTwice(t *testing.T) {
	ports := rig.NewPorts(1)
	seen := map[string]bool{}
	for range 50 {
		address, err := ports.Free(t.Context())
		if err != nil || seen[address] {
			t.Fatalf("%q again, or %v", address, err)
		}
		seen[address] = true
	}
}

// owner asks who has made a connection until it is somebody: the kernel's table is no snapshot,
// and while others come and go a line may be missing.
func owner(c net.Conn) int {
	pids := []int{1, os.Getpid()}
	for range 100 {
		if pid := rig.OwnerOf(c, pids); pid != 0 {
			return pid
		}
		runtime.Gosched()
	}
	return 0
}

func TestProxyCutsOffOneCaller(t *testing.T) {
	self := os.Getpid()
	seen := make(chan int, 1)
	p, err := rig.NewProxy(t.Context(), "127.0.0.1:0", echo(t), func(c net.Conn) string {
		seen <- owner(c)
		return "me"
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Cut("you", true)
	p.Cut("me", true)
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := <-seen; got != self {
		t.Errorf("the connection belongs to process %d, not to %d", got, self)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, _ := c.Read(make([]byte, 1)); n > 0 {
		t.Fatal("a byte of a caller that is cut off has passed")
	}
	_ = c.SetReadDeadline(time.Time{})
	p.Cut("me", false)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// A port of a caller may have served for other connections, which the kernel still remembers.
func TestOwnerOfAPortThatWasUsedBefore(t *testing.T) {
	for range 16 { // the table's order is by chance
		server, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		other := echo(t)
		dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Control: reuseAddress}
		before, err := dial.Dial("tcp", other)
		if err != nil {
			t.Fatal(err)
		}
		dial.LocalAddr = before.LocalAddr()
		_ = before.(*net.TCPConn).CloseWrite() // who closes first has to wait for late packets
		_, _ = io.Copy(io.Discard, before)
		before.Close()

		c, err := dial.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		accepted, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if got := owner(accepted); got != os.Getpid() {
			t.Fatalf("the connection belongs to process %d, not to %d", got, os.Getpid())
		}
	}
}

func reuseAddress(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	return errors.Join(err, failed)
}
