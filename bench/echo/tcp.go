package echo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/xiaonanln/goverse/bench/peer"
)

// readBuffer is how much is read at a time. It grows where a frame or what has queued is longer.
const readBuffer = 256 << 10

// TCP is the echo on a bare connection.
func TCP() peer.Remote { return tcp{} }

type tcp struct{}

func (tcp) Name() string   { return "raw TCP echo" }
func (tcp) Module() string { return "" }
func (tcp) Servers() int   { return 1 }

func (tcp) Serve(ctx context.Context, _ []string, _ peer.RemoteOptions) (peer.Server, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &tcpServer{lis: lis}
	s.done.Go(s.accept)
	return s, nil
}

// tcpServer serves one connection after the other: there is one driver.
type tcpServer struct {
	lis  net.Listener
	done sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	conn   net.Conn
	closed bool
}

func (s *tcpServer) Tell() string { return s.lis.Addr().String() }

func (s *tcpServer) accept() {
	for {
		conn, err := s.lis.Accept()
		if err != nil || !s.keep(conn) {
			return
		}
		answerConn(conn)
		_ = conn.Close()
	}
}

// keep remembers the connection for Close; false when that has been called.
func (s *tcpServer) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return false
	}
	s.conn = conn
	return true
}

func (s *tcpServer) Close(context.Context) error {
	err := s.lis.Close()
	s.mu.Lock()
	s.closed = true
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
	return err
}

// answerConn answers all whole frames of each read with one write, until the connection ends.
func answerConn(conn net.Conn) {
	var out []byte
	_ = readFrames(conn, func(in []byte) ([]byte, error) {
		var rest []byte
		out, rest = answer(out[:0], in)
		if len(out) == 0 {
			return rest, nil
		}
		_, err := conn.Write(out)
		return rest, err
	})
}

// readFrames reads, and lets take cut off what is whole: it returns the rest. The error ends the reading.
func readFrames(conn net.Conn, take func(in []byte) (rest []byte, err error)) error {
	buf := make([]byte, readBuffer)
	kept := 0
	for {
		if kept == len(buf) {
			buf = slices.Concat(buf, make([]byte, len(buf)))
		}
		n, err := conn.Read(buf[kept:])
		if err != nil {
			return err
		}
		rest, err := take(buf[:kept+n])
		if err != nil {
			return err
		}
		kept = copy(buf, rest)
	}
}

func (tcp) Drive(ctx context.Context, before []string, opt peer.RemoteOptions) (peer.Driver, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", before[0])
	if err != nil {
		return nil, fmt.Errorf("dial server: %w", err)
	}
	d := &tcpDriver{callers: newCallers(opt), conn: conn, stop: make(chan struct{})}
	d.done.Go(d.write)
	d.done.Go(d.read)
	return d, nil
}

type tcpDriver struct {
	*callers

	conn net.Conn
	stop chan struct{} // ends the writer
	done sync.WaitGroup
}

func (d *tcpDriver) Context(ctx context.Context) context.Context { return ctx }

func (d *tcpDriver) Call(_ context.Context, caller, _ int) (int64, error) { return d.call(caller) }

func (d *tcpDriver) Resize(payload int) { d.stamps.Resize(payload) }

func (d *tcpDriver) write() {
	buf := new([]byte)
	for {
		*buf = (*buf)[:0]
		if buf = d.take(d.stop, buf); buf == nil {
			return
		}
		if _, err := d.conn.Write(*buf); err != nil {
			return // the reader sees it too, and fails the callers
		}
	}
}

func (d *tcpDriver) read() {
	defer d.fail()
	_ = readFrames(d.conn, d.deliver)
}

func (d *tcpDriver) Close(context.Context) error {
	close(d.stop)
	err := d.conn.Close()
	d.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
