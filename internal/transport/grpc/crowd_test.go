package grpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// plain is a TCP connection to the callee on which something was said.
func (w *world) plain(text string) *net.TCPConn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.callee.Peer().Address)
	if err != nil {
		w.t.Fatal(err)
	}
	_, _ = io.WriteString(c, text) // which may be refused at once
	return c.(*net.TCPConn)
}

// settled waits until the callee has but the good link, and as many goroutines as before.
func (w *world) settled(goroutines int) {
	w.t.Helper()
	w.soon("the connections to be forgotten", func() bool { return grpc.Conns(w.callee) == 1 && grpc.Callees(w.callee) == 1 })
	w.soon("the goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
}

// Connections that come and go, whatever was said on them, leave nothing behind.
func TestRapidConnections(t *testing.T) { // alone: it counts goroutines and memory
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	goroutines, before := runtime.NumGoroutine(), heap()
	for i := range 600 {
		c := w.plain([]string{"", "noise", http2.ClientPreface, withStream(t, "\x00\xff\xff\xff\xff"), withStream(t, "\x00\x00")}[i%5])
		if i%2 == 0 {
			c.SetLinger(0)
		}
		c.Close()
		if i%50 == 0 {
			w.works("the other link", w.link)
		}
	}
	r := w.dialRaw()
	for i := range 600 { // streams of one connection
		ctx, cancel := context.WithCancel(w.ctx)
		s, err := pb.NewNodeServiceClient(r.cc).Link(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = s.Send(&pb.LinkRequest{Hello: w.hello()})
		}
		cancel()
	}
	w.works("the other link", w.link)
	r.cc.Close()
	w.settled(goroutines)
	if grew := heap() - before; grew > 8<<20 {
		t.Errorf("the memory has grown by %d MiB", grew>>20)
	}
	w.works("afterwards", w.link)
}

// Whoever begins a handshake and does not end it is let go after Keepalive, and costs little until then.
func TestManyHalfHandshakes(t *testing.T) { // alone: it counts goroutines and memory
	const each = 60
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: brief})
	w.works("before", w.link)
	goroutines, before := runtime.NumGoroutine(), heap()
	var open []*net.TCPConn
	for _, text := range []string{"", http2.ClientPreface[:5], http2.ClientPreface, withStream(t, ""), withStream(t, "\x00\x00\x10\x00\x00half")} {
		for range each {
			open = append(open, w.plain(text))
		}
		w.works("the other link", w.link)
	}
	if grew := (heap() - before) / int64(len(open)); grew > 256<<10 {
		t.Errorf("each of %d half handshakes costs %d KiB", len(open), grew>>10)
	}
	for _, c := range open { // gRPC has its own time for those who speak HTTP/2 and ask for nothing: another two seconds
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	w.settled(goroutines)
	w.works("afterwards", w.link)
}

// streams is a connection with the beginnings of so many rpcs, whether they are allowed or not.
func streams(t *testing.T, n int) string {
	t.Helper()
	var headers, out bytes.Buffer
	fields := hpack.NewEncoder(&headers)
	framer := http2.NewFramer(&out, nil)
	out.WriteString(http2.ClientPreface)
	err := framer.WriteSettings()
	for i := range n {
		writeHeaders(t, &headers, fields)
		err = errors.Join(err, framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*i + 1), BlockFragment: headers.Bytes(), EndHeaders: true,
		}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A connection has not more rpcs than it may, whatever it was told.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	const many = 1000
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	c := w.plain(streams(t, many))
	defer c.Close()
	var refused atomic.Int32 // by gRPC, or because the connection has a link
	var reading sync.WaitGroup
	reading.Go(func() {
		for framer := http2.NewFramer(io.Discard, c); ; {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.RSTStreamFrame:
				if f.ErrCode == http2.ErrCodeRefusedStream {
					refused.Add(1)
				}
			case *http2.HeadersFrame:
				if f.StreamEnded() {
					refused.Add(1)
				}
			}
		}
	})
	w.soon("the others to be refused", func() bool { return refused.Load() >= many-100 })
	if n := grpc.Callees(w.callee); n > 2 {
		t.Errorf("one connection has %d links", n-1)
	}
	w.works("the other link", w.link)
	c.Close()
	reading.Wait()
}

// Whatever a peer says again and again costs its own link what is bounded, and the others their turn.
func TestFloods(t *testing.T) { // alone: it measures memory
	const queue = 64 << 10
	for name, frames := range map[string][]byte{
		"cancellations":         grpc.NumberFrame(grpc.KindCancel, 1<<40),
		"pings":                 grpc.NumberFrame(grpc.KindPing, 7),
		"pings, and is deaf":    grpc.NumberFrame(grpc.KindPing, 7),
		"pongs":                 grpc.NumberFrame(grpc.KindPong, 0),
		"voids":                 grpc.AnyFrame(byte(grpc.KindVoid), []byte("withdrawn")),
		"nothing":               nil,
		"one-way calls":         grpc.CallFrame(0, call("Echo")),
		"calls, left at once":   append(grpc.CallFrame(9, call("Block")), grpc.NumberFrame(grpc.KindCancel, 9)...),
		"calls without an end":  grpc.CallFrame(1<<62, call("Echo", make([]byte, 1000)...)),
		"pings among the calls": append(grpc.CallFrame(0, call("Echo")), grpc.NumberFrame(grpc.KindPing, 7)...),
	} {
		w := newWorld(t, grpc.Config{}, grpc.Config{MaxCalls: 500, QueueBytes: queue})
		w.works("before", w.link)
		before := heap()
		flooding := w.flooding(bytes.Repeat(frames, 1000), strings.HasSuffix(name, "deaf"))
		w.soon("the flood", func() bool {
			heard := len(frames) == 0 || grpc.MostTaken(w.callee) > 30_000
			return heard && flooding.said.Load() > 30 || flooding.broken.Load()
		})
		for range 50 {
			w.works("beside "+name, w.link)
		}
		if grew := heap() - before; grew > 24<<20 { // half of which gRPC keeps at times
			t.Errorf("%s: the memory has grown by %d MiB", name, grew>>20)
		}
		if n := grpc.MostQueued(w.callee); n > 2*queue {
			t.Errorf("%s: %d bytes are queued", name, n)
		}
		flooding.end()
		w.soon("the link to be forgotten", func() bool { return grpc.Callees(w.callee) == 1 })
		w.works("after "+name, w.link)
		w.close(w.caller)
		w.close(w.callee)
	}
}

// flooding is a peer that says the same again and again.
type flooding struct {
	said   atomic.Int64 // messages
	broken atomic.Bool  // the callee has had enough
	end    func()
}

// flooding sends frames until it is ended. It reads what comes, unless it is deaf.
func (w *world) flooding(frames []byte, deaf bool) *flooding {
	w.t.Helper()
	r, f := w.greeted(), &flooding{}
	var working sync.WaitGroup
	working.Go(func() {
		for r.stream.Send(&pb.LinkRequest{Frames: frames}) == nil {
			f.said.Add(1)
		}
		f.broken.Store(true)
	})
	working.Go(func() {
		for !deaf {
			if _, err := r.stream.Recv(); err != nil {
				return
			}
		}
	})
	f.end = func() {
		r.cc.Close()
		working.Wait()
	}
	return f
}

// A peer that says a call twice, as another call, has it run twice and is answered twice: the transport knows nothing of
// what belongs together, but mixes nothing up either.
func TestTheSameCallTwice(t *testing.T) {
	t.Parallel()
	const times = 5
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	r, c := w.greeted(), call("Echo", 1)
	var frames []byte
	for n := range uint64(times) {
		frames = append(frames, grpc.CallFrame(7+n, c)...)
	}
	r.send(&pb.LinkRequest{Frames: frames})
	answered := map[uint64]int{}
	for len(answered) < times {
		got, err := grpc.Split(r.receive().GetFrames())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			answered[grpc.CallNumber(f.Payload)]++
		}
	}
	for n := range uint64(times) {
		if answered[7+n] != 1 {
			t.Errorf("the answers to calls by number: %v", answered)
		}
	}
	if n := w.ran.count(c.CallID); n != times {
		t.Errorf("the call ran %d times, want %d", n, times)
	}
}

// The names that a peer uses are not kept for ever, on neither side.
func TestManyNames(t *testing.T) { // alone: it measures memory
	const calls, callers = 12_000, 32
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	e := w.listen(grpc.Config{}, peer("127.0.0.1:0"), transport.HandlerFunc(answering))
	link := w.caller.Dial(e.Peer())
	w.works("before", link)
	before := heap()
	var working sync.WaitGroup
	for i := range callers {
		working.Go(func() {
			for j := range calls / callers {
				name := fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("n", 100))
				c := call(name, 1)
				c.Message = name + "M"
				c.Chain = []transport.Step{{ID: "A-1", Method: name + "C"}}
				if r, err := link.Call(w.ctx, c); err != nil || r.Message != c.Message || len(r.Body) != 1 {
					t.Errorf("call %d of %d: %+v, %v", j, i, r, err)
					return
				}
			}
		})
	}
	working.Wait()
	if grew := heap() - before; grew > 2<<20 { // all names together are twice as long
		t.Errorf("the memory has grown by %d KiB", grew>>10)
	}
	w.works("afterwards", link)
}

// A callee that reads nothing, and says so much that nobody takes it for dead, costs its callers what is bounded; each
// call ends when its time is over.
func TestCalleeThatNeverReads(t *testing.T) { // alone: it measures memory
	w := newWorld(t, grpc.Config{QueueBytes: 256 << 10}, grpc.Config{})
	w.works("before", w.link)
	link := w.dialImpostor(func(s impostorStream, h *pb.Hello) error {
		if err := welcomed(s, h); err != nil {
			return err
		}
		for n := uint64(1); ; n++ {
			frames := append(grpc.NumberFrame(grpc.KindPing, n), grpc.ReplyFrame(1<<50, &transport.Reply{})...)
			if err := s.Send(&pb.LinkResponse{Frames: frames}); err != nil {
				return err
			}
		}
	})
	before := heap()
	ctx, leave := context.WithCancel(w.ctx)
	defer leave()
	var working sync.WaitGroup
	for i := range 64 {
		working.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c := call("Echo", make([]byte, 4000)...)
				if i%2 == 0 {
					_ = link.Send(ctx, c)
					continue
				}
				_, err := link.Call(ctx, c)
				w.fails("a call to who reads nothing", err, context.Canceled, object.Executed(err))
			}
		})
	}
	w.soon("the queue to be full", func() bool { return grpc.Full(link) })
	for range 200 {
		w.works("the other link", w.link)
	}
	if !grpc.Full(link) {
		t.Error("the queue is not full any more")
	}
	if grew := heap() - before; grew > 16<<20 {
		t.Errorf("the memory has grown by %d MiB", grew>>20)
	}
	leave()
	working.Wait()
	w.works("afterwards", w.link)
}
