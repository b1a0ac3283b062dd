package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/client"
	"github.com/xiaonanln/goverse/object"
)

// proxy stands between clients and server and fails on demand.
type proxy struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	frozen bool       // guarded by mu: bytes are read and go nowhere
	conns  []net.Conn // guarded by mu: both sides
	wg     sync.WaitGroup
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.server)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(out, in) })
		p.wg.Go(func() { p.copy(in, out) })
	}
}

func (p *proxy) copy(to io.WriteCloser, from io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen && err == nil {
			continue
		}
		if err != nil {
			to.Close()
			return
		}
		to.Write(buf[:n])
	}
}

// freeze is network silence: nobody hears of the other, the connections stay.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// cut ends the connections, as the system does for a killed process.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

func TestWhyAClientLeft(t *testing.T) {
	t.Parallel()
	quick := client.Limits{Ping: time.Second, PingTimeout: time.Second}
	for name, test := range map[string]struct {
		leave func(f *fixture, via *proxy, p *peer)
		want  object.DisconnectReason
	}{
		"cancelled": {func(_ *fixture, _ *proxy, p *peer) { p.hangUp() }, object.DisconnectClosed},
		"killed":    {func(_ *fixture, via *proxy, _ *peer) { via.cut() }, object.DisconnectLost},
		"silent":    {func(_ *fixture, via *proxy, _ *peer) { via.freeze() }, object.DisconnectLost},
		"deleted": {func(f *fixture, _ *proxy, p *peer) {
			if err := f.svc.Kick(t.Context(), p.object); err != nil {
				t.Errorf("kick: %v", err)
			}
		}, object.DisconnectKicked},
		"object lost": {func(f *fixture, _ *proxy, p *peer) { f.svc.Lost(p.object) }, object.DisconnectLost},
		"all lost":    {func(f *fixture, _ *proxy, _ *peer) { f.svc.LoseAll() }, object.DisconnectLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, withLimits(quick))
			block, running, release := blocking()
			defer release()
			f.node.methods["Block"] = block
			via := newProxy(t, f.addr)
			p := f.register(f.dial(via.listener.Addr().String()))
			called := make(chan error, 1)
			go func() {
				_, err := p.call(t.Context(), "Block", nil)
				called <- err
			}()
			<-running
			test.leave(f, via, p)
			// The fake node checks that the call has ended before.
			if got := f.node.awaitLeft(p.object); got != test.want {
				t.Errorf("left as %v, want %v", got, test.want)
			}
			via.cut() // whoever still waits for a silent server
			if err := <-called; err == nil {
				t.Error("the call that ran did not hear of the end")
			}
		})
	}
}

// grpc-go's ClientConn.Close sends a GOAWAY and no reset: a polite end all the same.
func TestClosingTheConnectionIsClosing(t *testing.T) {
	t.Parallel()
	f := start(t)
	conn := f.dial(f.addr)
	p := f.register(conn)
	conn.Close()
	if got := f.node.awaitLeft(p.object); got != object.DisconnectClosed {
		t.Errorf("left as %v", got)
	}
}

func TestKickedClientReadsWhatWasPushedBefore(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	if err := f.svc.Push(t.Context(), p.object, wrapperspb.String("you are out")); err != nil {
		t.Fatal(err)
	}
	if err := f.svc.Kick(t.Context(), p.object); err != nil {
		t.Fatal(err)
	}
	got, err := p.drain()
	if len(got) != 1 || text(t, got[0]) != "you are out" {
		t.Errorf("read %v", got)
	}
	expect(t, err, object.ErrAborted, object.ExecutedUnknown)
	expect(t, f.svc.Kick(t.Context(), "Tester-nobody"), object.ErrNotFound, object.ExecutedNo)
}

// The secret is stale as soon as the end has begun, however long the rest takes.
func TestNoCallsWhileLastWordsAreSent(t *testing.T) {
	t.Parallel()
	f := start(t, withLimits(client.Limits{Flush: time.Hour, QueueBytes: 1 << 30}))
	p := f.connect()
	const n = 100
	for range n { // more than fits between them
		if err := f.svc.Push(t.Context(), p.object, wrapperspb.String(string(make([]byte, 64<<10)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.svc.Kick(t.Context(), p.object); err != nil {
		t.Fatal(err)
	}
	until(t, "calls are refused", func() bool {
		_, err := p.call(t.Context(), "Who", nil)
		if err != nil {
			expect(t, err, object.ErrUnauthenticated, object.ExecutedNo)
		}
		return err != nil
	})
	if f.node.count() != 1 {
		t.Error("the object went before the last words")
	}
	got, err := p.drain()
	expect(t, err, object.ErrAborted, object.ExecutedUnknown)
	if len(got) != n {
		t.Errorf("read %d of %d messages", len(got), n)
	}
}

// A client's own method may end it: the call must not wait for itself.
func TestKickFromTheClientsOwnCall(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.methods["Quit"] = func(ctx context.Context, id, _ string) (string, error) {
		return "bye", f.svc.Kick(ctx, id)
	}
	p := f.connect()
	if got, err := p.call(t.Context(), "Quit", nil); err != nil || got != "bye" {
		t.Errorf("quit: %q, %v", got, err)
	}
	if got := f.node.awaitLeft(p.object); got != object.DisconnectKicked {
		t.Errorf("left as %v", got)
	}
}

func TestTheStreamSaysWhy(t *testing.T) {
	t.Parallel()
	f := start(t)
	p := f.connect()
	f.svc.Lost(p.object)
	_, err := p.drain()
	expect(t, err, object.ErrUnavailable, object.ExecutedUnknown)
	again := f.connect() // the service goes on
	f.svc.LoseAll()
	_, err = again.drain()
	expect(t, err, object.ErrUnavailable, object.ExecutedUnknown)
	f.connect()
	f.svc.Lost("Tester-nobody")
}

// A hook that hangs or panics is nobody else's business.
func TestBadHooks(t *testing.T) {
	t.Parallel()
	f := start(t)
	free := make(chan struct{})
	f.node.onDisconnect = func(ctx context.Context, _ string, _ object.DisconnectReason) {
		if ctx.Err() != nil {
			t.Errorf("the context of OnDisconnect has ended: %v", ctx.Err())
		}
		<-free
	}
	slow := f.connect()
	slow.hangUp()
	for range 3 { // come and go beside the hanging hook
		other := f.connect()
		if _, err := other.call(t.Context(), "Echo", nil); err != nil {
			t.Error(err)
		}
	}
	_, err := slow.call(t.Context(), "Who", nil)
	for err == nil { // until the server has heard of it
		_, err = slow.call(t.Context(), "Who", nil)
	}
	if f.svc.Clients() != 4 {
		t.Errorf("%d clients, want the one in its hook too", f.svc.Clients())
	}
	expect(t, f.svc.Push(t.Context(), slow.object, wrapperspb.String("late")), object.ErrNotFound, object.ExecutedNo)
	close(free)
	f.node.awaitLeft(slow.object)
}

// A call that ignores its context keeps the object, and nothing else: pushes to the
// client are refused from the moment it is gone.
func TestPushesEndWithTheStreamNotWithTheCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	running, free := make(chan struct{}), make(chan struct{})
	f.node.methods["Stubborn"] = func(context.Context, string, string) (string, error) {
		close(running)
		<-free
		return "", nil
	}
	p := f.connect()
	called := make(chan struct{})
	go func() {
		defer close(called)
		_, _ = p.call(t.Context(), "Stubborn", nil)
	}()
	<-running
	p.hangUp()
	until(t, "pushes are refused", func() bool {
		err := f.svc.Push(t.Context(), p.object, wrapperspb.String("x"))
		if err != nil {
			expect(t, err, object.ErrNotFound, object.ExecutedNo)
		}
		return err != nil
	})
	if f.node.count() != 1 {
		t.Error("the object went before its call had returned")
	}
	close(free)
	<-called
	if got := f.node.awaitLeft(p.object); got != object.DisconnectClosed {
		t.Errorf("left as %v", got)
	}
}

func TestPanickingNode(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.node.onConnect = func(context.Context, string) error {
		f.node.onConnect = nil
		panic("boom")
	}
	stream, err := f.dialBig().Register(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if errors.Is(err, io.EOF) || status.Convert(err).Message() != "the server failed" {
		t.Errorf("the stream ended with %v", err)
	}
	until(t, "the session is forgotten", func() bool { return f.svc.Clients() == 0 })
	f.node.mu.Lock()
	clear(f.node.objects) // what a panicking node leaves behind is its own
	f.node.mu.Unlock()
	p := f.connect()
	f.node.onDisconnect = func(context.Context, string, object.DisconnectReason) { panic("boom") }
	p.hangUp()
	until(t, "the session is forgotten", func() bool { return f.svc.Clients() == 0 })
	f.node.mu.Lock()
	clear(f.node.objects)
	f.node.mu.Unlock()
}
