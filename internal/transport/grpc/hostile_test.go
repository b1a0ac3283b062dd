package grpc_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
	pb "github.com/xiaonanln/goverse/proto"
)

// raw is a caller's side of a link that does as it likes.
type raw struct {
	w      *world
	stream rpc.BidiStreamingClient[pb.LinkRequest, pb.LinkResponse]
	cc     *rpc.ClientConn
}

// dialRaw opens a stream, and shakes no hands.
func (w *world) dialRaw() *raw {
	w.t.Helper()
	cc, err := rpc.NewClient(w.callee.Peer().Address, rpc.WithTransportCredentials(insecure.NewCredentials()),
		rpc.WithInitialWindowSize(64<<10), rpc.WithInitialConnWindowSize(64<<10))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cc.Close() })
	s, err := pb.NewNodeServiceClient(cc).Link(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return &raw{w: w, stream: s, cc: cc}
}

func wirePeer(p transport.Peer) *pb.Peer {
	return &pb.Peer{Cluster: []byte(p.Cluster), Address: []byte(p.Address), Incarnation: []byte(p.Incarnation)}
}

// hello is a hello that is in order.
func (w *world) hello() *pb.Hello {
	return &pb.Hello{
		MinVersion: grpc.Version, MaxVersion: grpc.Version, Role: []byte("node"),
		From: wirePeer(peer("raw:1")), To: wirePeer(w.callee.Peer()),
	}
}

// greeted is a raw caller that has shaken hands.
func (w *world) greeted() *raw {
	w.t.Helper()
	r := w.dialRaw()
	r.send(&pb.LinkRequest{Hello: w.hello()})
	if answer := r.receive(); answer.GetWelcome() == nil {
		w.t.Fatalf("the answer to a hello is %v", answer)
	}
	return r
}

func (r *raw) send(m *pb.LinkRequest) {
	r.w.t.Helper()
	if err := r.stream.Send(m); err != nil {
		r.w.t.Fatal(err)
	}
}

func (r *raw) receive() *pb.LinkResponse {
	r.w.t.Helper()
	m, err := r.stream.Recv()
	if err != nil {
		r.w.t.Fatal(err)
	}
	return m
}

// broken waits for the end of the stream.
func (r *raw) broken(what string) error {
	r.w.t.Helper()
	for {
		if _, err := r.stream.Recv(); err != nil {
			if r.w.ctx.Err() != nil {
				r.w.t.Errorf("%s: the link was not broken", what)
			}
			return err
		}
	}
}

func TestRefusedHellos(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: time.Hour}) // silence does not break it
	w.works("before", w.link)
	for name, c := range map[string]struct {
		change func(*pb.Hello)
		why    pb.Refusal_Why
	}{
		"another cluster":     {func(h *pb.Hello) { h.From.Cluster = []byte("other") }, pb.Refusal_WHY_WRONG_PEER},
		"to another cluster":  {func(h *pb.Hello) { h.To.Cluster = []byte("other") }, pb.Refusal_WHY_WRONG_PEER},
		"stale incarnation":   {func(h *pb.Hello) { h.To.Incarnation = []byte("stale") }, pb.Refusal_WHY_WRONG_PEER},
		"nobody":              {func(h *pb.Hello) { h.From = nil }, pb.Refusal_WHY_WRONG_PEER},
		"to nobody":           {func(h *pb.Hello) { h.To = nil }, pb.Refusal_WHY_WRONG_PEER},
		"names that are long": {func(h *pb.Hello) { h.From.Incarnation = make([]byte, 100<<10) }, pb.Refusal_WHY_WRONG_PEER},
		"no incarnation":      {func(h *pb.Hello) { h.From.Incarnation = nil }, pb.Refusal_WHY_WRONG_PEER},
		"an older version":    {func(h *pb.Hello) { h.MinVersion, h.MaxVersion = 0, grpc.Version-1 }, pb.Refusal_WHY_VERSION},
		"a newer version":     {func(h *pb.Hello) { h.MinVersion, h.MaxVersion = grpc.Version+1, 99 }, pb.Refusal_WHY_VERSION},
		"no version":          {func(h *pb.Hello) { h.MinVersion, h.MaxVersion = 0, 0 }, pb.Refusal_WHY_VERSION},
		"a client":            {func(h *pb.Hello) { h.Role = []byte("client") }, pb.Refusal_WHY_ROLE},
		"no role":             {func(h *pb.Hello) { h.Role = nil }, pb.Refusal_WHY_ROLE},
		"large and not UTF-8": {func(h *pb.Hello) { h.Role = bytes.Repeat([]byte{0xff}, 100<<10) }, pb.Refusal_WHY_ROLE},
	} {
		r := w.dialRaw()
		h := w.hello()
		c.change(h)
		r.send(&pb.LinkRequest{Hello: h, Frames: grpc.CallFrame(0, call("Refused"))})
		if got := r.receive().GetRefusal(); got.GetWhy() != c.why || len(got.GetText()) == 0 || len(got.GetText()) > 1<<10 {
			t.Errorf("%s: the refusal is %v with a text of %d bytes, want %v", name, got.GetWhy(), len(got.GetText()), c.why)
		}
		r.broken(name)
	}
	r := w.dialRaw()
	r.send(&pb.LinkRequest{Frames: grpc.CallFrame(0, call("Refused"))})
	r.broken("no hello")
	if n := w.ran.sends(); n != 0 {
		t.Errorf("%d calls of refused links have run", n)
	}
	w.works("the other link", w.link)
}

// whatBreaks is messages that nobody sends who speaks the protocol.
func whatBreaks(w *world) map[string]*pb.LinkRequest {
	frames := func(b ...[]byte) *pb.LinkRequest { return &pb.LinkRequest{Frames: bytes.Join(b, nil)} }
	good := grpc.CallFrame(7, call("Echo"))
	head := len(good) - len(good[5:])
	deep := call("Echo")
	deep.Chain = make([]transport.Step, grpc.MaxSteps+1)
	wide := call("Echo")
	wide.Metadata = map[string]string{}
	for i := range grpc.MaxPairs + 1 {
		wide.Metadata[fmt.Sprint(i)] = ""
	}
	long := bytes.Clone(good)
	binary.LittleEndian.PutUint32(long[1:], math.MaxUint32)
	return map[string]*pb.LinkRequest{
		"a second hello":              {Hello: w.hello()},
		"noise":                       frames([]byte(strings.Repeat("noise ", 100))),
		"an unknown kind":             frames(grpc.AnyFrame(99, nil)),
		"a reply":                     frames(grpc.ReplyFrame(1, &transport.Reply{})),
		"a refusal":                   frames(grpc.NumberFrame(grpc.KindRefusal, 1)),
		"a goodbye":                   frames(grpc.AnyFrame(byte(grpc.KindGoodbye), nil)),
		"a pong without a ping":       frames(grpc.NumberFrame(grpc.KindPong, 1<<40)),
		"a frame that is cut off":     frames(good[:len(good)-1]),
		"half a head":                 frames(good[:3]),
		"a frame of 4 GiB":            frames(long),
		"a call that is cut off":      frames(grpc.AnyFrame(good[0], good[head:len(good)-1])),
		"a call with a tail":          frames(grpc.AnyFrame(good[0], append(bytes.Clone(good[head:]), 0))),
		"an empty call":               frames(grpc.AnyFrame(good[0], nil)),
		"a ping without a number":     frames(grpc.AnyFrame(byte(grpc.KindPing), nil)),
		"a cancellation with a tail":  frames(grpc.AnyFrame(byte(grpc.KindCancel), []byte{1, 1})),
		"a number that never ends":    frames(grpc.AnyFrame(byte(grpc.KindPing), bytes.Repeat([]byte{0xff}, 20))),
		"a chain that is too long":    frames(grpc.CallFrame(7, deep)),
		"metadata that are too many":  frames(grpc.CallFrame(7, wide)),
		"two calls of the same name":  frames(grpc.CallFrame(7, call("Block")), grpc.CallFrame(7, call("Block"))),
		"garbage after a good call":   frames(grpc.CallFrame(7, call("Echo")), []byte{99}),
		"a message that is too large": {Frames: make([]byte, transport.MaxBytes+2<<20)},
	}
}

// Whatever a peer sends, its link is broken, and nothing else happens.
func TestGarbageBreaksItsLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: time.Hour}) // silence does not break it
	w.works("before", w.link)
	for name, message := range whatBreaks(w) {
		r := w.greeted()
		_ = r.stream.Send(message)
		r.broken(name)
		w.works("the other link, after "+name, w.link)
	}
	w.soon("the links to be forgotten", func() bool { return grpc.Callees(w.callee) == 1 })
}

// What is odd but in order breaks nothing.
func TestOddFramesBreakNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	r := w.greeted()
	r.send(&pb.LinkRequest{})
	r.send(&pb.LinkRequest{Frames: bytes.Join([][]byte{
		grpc.AnyFrame(byte(grpc.KindVoid), []byte("withdrawn")),
		grpc.NumberFrame(grpc.KindCancel, 12345),
		grpc.NumberFrame(grpc.KindPing, math.MaxUint64),
		grpc.CallFrame(math.MaxUint64, call("Echo", 1)),
	}, nil), SentAt: math.MaxUint64})
	replied, ponged := false, false
	for !replied || !ponged {
		frames, err := grpc.Split(r.receive().GetFrames())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			replied = replied || grpc.CallNumber(f.Payload) == math.MaxUint64 && !f.Is(grpc.KindPong)
			ponged = ponged || f.Is(grpc.KindPong)
		}
	}
}

// A connection that does not even speak gRPC.
func TestStrangersOnThePort(t *testing.T) { // alone: it measures memory
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: brief})
	w.works("before", w.link)
	before := heap()
	for name, text := range map[string]string{
		"noise":      strings.Repeat("noise\x00\xff", 1000),
		"HTTP/1":     "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TLS":        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x55", 300),
		"silence":    "",
		"half":       http2.ClientPreface[:10],
		"the limit":  http2.ClientPreface + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
		"no stream":  http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"4 GiB":      withStream(t, "\x00\xff\xff\xff\xff"),
		"16 MiB":     withStream(t, "\x00\x01\x00\x00\x00"),
		"compressed": withStream(t, "\x01\x00\x00\x00\x02ab"),
	} {
		c, err := net.Dial("tcp", w.callee.Peer().Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w.works("the other link, beside "+name, w.link)
		if grew := heap() - before; grew > 8<<20 {
			t.Errorf("%s: the memory has grown by %d MiB", name, grew>>20)
		}
		c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// withStream is a connection on which the rpc of a link begins with a gRPC message.
func withStream(t *testing.T, message string) string {
	t.Helper()
	var headers, out bytes.Buffer
	writeHeaders(t, &headers, hpack.NewEncoder(&headers))
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	err := errors.Join(framer.WriteSettings(),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndHeaders: true}),
		framer.WriteData(1, false, []byte(message)))
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// writeHeaders writes the headers of the rpc of a link.
func writeHeaders(t *testing.T, to *bytes.Buffer, fields *hpack.Encoder) {
	t.Helper()
	to.Reset()
	for _, f := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", pb.NodeService_Link_FullMethodName},
		{":authority", "x"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		if err := fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
}

// A caller that asks and asks and never reads an answer costs what is bounded, and the others nothing.
func TestCallerThatNeverReads(t *testing.T) { // alone: it measures memory
	const body = 8 << 10
	w := newWorld(t, grpc.Config{}, grpc.Config{MaxCalls: 500})
	w.works("before", w.link)
	before := heap()
	r := w.greeted()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for n := uint64(1); ; n++ {
			frames := append(grpc.CallFrame(n, call("Echo", make([]byte, body)...)), grpc.NumberFrame(grpc.KindPing, n)...)
			if r.stream.Send(&pb.LinkRequest{Frames: frames}) != nil {
				return
			}
		}
	}()
	w.soon("the link to be full", func() bool { return grpc.Stuck(w.callee) })
	for range 200 {
		w.works("the other link", w.link)
	}
	if !grpc.Stuck(w.callee) {
		t.Error("the link is not full any more")
	}
	if grew := heap() - before; grew > 32<<20 {
		t.Errorf("the memory has grown by %d MiB", grew>>20)
	}
	r.cc.Close()
	comes(w, "the peer's end", stopped)
	w.soon("the link to be forgotten", func() bool { return grpc.Callees(w.callee) == 1 })
	w.works("afterwards", w.link)
}

// Who says nothing is let go, and holds up nobody's Close.
func TestSilentCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: brief})
	w.dialRaw().broken("a stream without a hello")
	w.greeted().broken("a caller that answers no ping")
	w.soon("the connections to be closed", func() bool { return grpc.Conns(w.callee) == 0 })

	patient := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: time.Hour})
	patient.dialRaw()
	patient.greeted()
	for _, text := range []string{"", http2.ClientPreface} {
		c, err := net.Dial("tcp", patient.callee.Peer().Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	patient.works("beside them", patient.link)
	patient.close(patient.callee)
}

// More calls at a time than the bound are refused.
func TestCallerOfTooMuch(t *testing.T) {
	t.Parallel()
	const bound = 50
	w := newWorld(t, grpc.Config{}, grpc.Config{MaxCalls: bound})
	r := w.greeted()
	for i := range 2 * bound {
		r.send(&pb.LinkRequest{Frames: grpc.CallFrame(uint64(i+1), call("Block"))})
	}
	var refused int
	for refused < bound {
		frames, err := grpc.Split(r.receive().GetFrames())
		if err != nil {
			t.Fatal(err)
		}
		for range frames {
			refused++
		}
	}
	for range bound {
		comes(w, "a call within the bound", w.ran.began)
	}
	if len(w.ran.began) > 0 {
		t.Error("a call beyond the bound runs")
	}

	// The same between two that both speak the protocol, where the caller's bound is the larger one.
	for range bound {
		w.begin(w.ctx, w.link, call("Block"))
		comes(w, "a call within the bound", w.ran.began)
	}
	reply, err := w.link.Call(w.ctx, call("Echo"))
	if err != nil || !errors.Is(reply.Err, object.ErrOverloaded) || object.Executed(reply.Err) != object.ExecutedNo || reply.Err.RetryAfter <= 0 {
		t.Errorf("a call too many = %+v, %v, want overloaded and not executed", reply, err)
	}
}

// One-way calls beyond the bound wait: none is lost, whatever the peers think of silence.
func TestSenderOfTooMuch(t *testing.T) {
	t.Parallel()
	const bound, more, keepalive = 20, 500, 2 * brief
	w := newWorld(t, grpc.Config{Keepalive: keepalive}, grpc.Config{Keepalive: keepalive, MaxCalls: bound})
	block := call("Block")
	block.Timeout = 5 * keepalive / 2
	for range bound {
		if err := w.link.Send(w.ctx, block); err != nil {
			t.Fatal(err)
		}
	}
	for range more {
		if err := w.link.Send(w.ctx, call("Echo")); err != nil {
			t.Fatal(err)
		}
	}
	for range bound {
		comes(w, "a blocked call", w.ran.began)
	}
	if n := w.ran.sends(); n > bound && len(w.ran.ended) == 0 {
		t.Errorf("%d calls were accepted, %d are allowed", n, bound)
	}
	w.soon("all to be accepted", func() bool { return w.ran.sends() == bound+more })
	if n := grpc.Callees(w.callee); n != 1 {
		t.Errorf("%d connections were made", n)
	}
	w.works("afterwards", w.link)
}

func TestRapidOpenAndClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	for i := range 150 {
		link := w.caller.Dial(w.callee.Peer())
		if i%3 > 0 {
			w.works("a new link", link)
		}
		if i%3 > 1 {
			w.begin(w.ctx, link, call("Block"))
			comes(w, "a call", w.ran.began)
		}
		link.Close()
	}
	w.soon("the links to be forgotten", func() bool { return grpc.Callees(w.callee) == 1 })
	w.works("afterwards", w.link)
}
