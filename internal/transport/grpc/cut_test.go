package grpc_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// severed is a connection that is cut when so many bytes have been written, or read.
type severed struct {
	net.Conn

	writes, reads atomic.Int64 // that are left; negative: no end
}

func (s *severed) cut() {
	s.Conn.(*net.TCPConn).SetLinger(0)
	s.Conn.Close()
}

// Write implements net.Conn.
func (s *severed) Write(b []byte) (int, error) {
	if left := s.writes.Load(); left >= 0 {
		if int64(len(b)) >= left {
			n, _ := s.Conn.Write(b[:left])
			s.Conn.Close() // what was written arrives
			return n, net.ErrClosed
		}
		s.writes.Add(-int64(len(b)))
	}
	return s.Conn.Write(b)
}

// Read implements net.Conn.
func (s *severed) Read(b []byte) (int, error) {
	left := s.reads.Load()
	if left < 0 {
		return s.Conn.Read(b)
	}
	if left == 0 {
		s.cut()
		return 0, net.ErrClosed
	}
	n, err := s.Conn.Read(b[:min(int64(len(b)), left)])
	s.reads.Add(-int64(n))
	return n, err
}

// Wherever in the handshake, a call or its reply a connection is cut, the caller is told the truth, and the next call
// is as good as any.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	var next *severed         // what the next connection is like
	var no []transport.CallID // the calls that did not run, as their caller was told
	w := newWorld(t, grpc.Config{Dial: func(ctx context.Context, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil || next == nil {
			return c, err
		}
		next.Conn = c
		return next, nil
	}}, grpc.Config{})
	cut := func(writes, reads int64) (whole bool) {
		next = &severed{}
		next.writes.Store(writes)
		next.reads.Store(reads)
		link := w.caller.Dial(w.callee.Peer())
		defer link.Close()
		c := call("Echo", make([]byte, 40)...)
		_, err := link.Call(w.ctx, c)
		ran, executed := w.ran.count(c.CallID), object.Executed(err)
		if executed == object.ExecutedNo {
			no = append(no, c.CallID)
		}
		switch {
		case err == nil && ran != 1:
			t.Errorf("cut after %d, %d: a reply of a call that ran %d times", writes, reads, ran)
		case err == nil:
			return true
		case errors.Is(err, transport.ErrUnreachable) && executed == object.ExecutedNo: // in the handshake
		case errors.Is(err, transport.ErrBroken):
		default:
			t.Errorf("cut after %d, %d: %v, executed=%v", writes, reads, err, executed)
		}
		next = nil
		if writes%16 == 0 || reads%16 == 0 {
			w.soon("the same link to work", func() bool {
				_, err := link.Call(w.ctx, call("Echo"))
				return err == nil
			})
		}
		return false
	}
	for n, whole := int64(0), 0; whole < 20 && !t.Failed(); n++ { // until the calls are over before
		if cut(n, -1) {
			whole++
		}
	}
	for n, whole := int64(0), 0; whole < 20 && !t.Failed(); n++ {
		if cut(-1, n) {
			whole++
		}
	}
	next = nil
	w.works("afterwards", w.link)
	w.close(w.callee)
	for _, id := range no {
		if w.ran.count(id) > 0 {
			t.Error("a call has run: its caller was told that it had not")
		}
	}
	if len(no) == 0 {
		t.Error("the test has proved nothing")
	}
}

// A silence that nobody has noticed yet costs what is bounded, however many calls are made into it and left.
func TestCallsIntoSilenceAreBounded(t *testing.T) { // alone: it measures memory and counts goroutines
	const callers, rounds = 32, 400
	w := newWorld(t, grpc.Config{QueueBytes: 256 << 10}, grpc.Config{})
	p := newProxy(t, w.callee.Peer().Address)
	link := w.through(p)
	w.works("before", link)
	p.stall(true, true)
	goroutines, before := runtime.NumGoroutine(), heap()
	var working sync.WaitGroup
	for range callers {
		working.Go(func() {
			for i := range rounds {
				ctx, cancel := context.WithCancel(w.ctx)
				leaving := make(chan struct{})
				go func() { // some leave at once, some when the call has left or waits
					defer close(leaving)
					for range i % 50 {
						runtime.Gosched()
					}
					cancel()
				}()
				if _, err := link.Call(ctx, call("Block", make([]byte, 500)...)); object.Executed(err) == object.ExecutedYes {
					t.Error("a reply")
				}
				<-leaving
			}
		})
	}
	working.Wait()
	w.soon("the goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	if grew := heap() - before; grew > 16<<20 {
		t.Errorf("the memory has grown by %d MiB", grew>>20)
	}
	if s := grpc.StateOf(link); s.Flights != 0 || s.Slots > callers || s.Queued > 512<<10 {
		t.Errorf("the link holds on to %+v", s)
	}
	p.stall(false, false)
	w.works("afterwards", link)
	w.soon("the calls to end", func() bool { return len(w.ran.began) == len(w.ran.ended) })
}
