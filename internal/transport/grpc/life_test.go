package grpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/grpc"
	"github.com/xiaonanln/goverse/object"
)

// A one-way call that its sender believes to be on its way is accepted, however it meets with Drain.
func TestDrainLosesNoSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	const senders = 8
	var working sync.WaitGroup
	var sent atomic.Int64
	for range senders {
		link := w.caller.Dial(w.callee.Peer())
		working.Go(func() {
			for {
				err := link.Send(w.ctx, call("Echo"))
				if err != nil {
					w.fails("a send to one that drains", err, transport.ErrDraining, object.ExecutedNo)
					return
				}
				for sent.Add(1); int(sent.Load())-w.ran.sends() > 3000 && w.ctx.Err() == nil; {
					runtime.Gosched()
				}
			}
		})
	}
	w.soon("some sends", func() bool { return w.ran.sends() > 1000 })
	if err := w.callee.Drain(w.ctx); err != nil {
		t.Error(err)
	}
	working.Wait()
	if got := w.ran.sends(); got != int(sent.Load()) {
		t.Errorf("%d sends were accepted of %d that had left", got, sent.Load())
	}
}

// slow is a callee that takes its time to accept a call.
type slow struct{ *record }

// AcceptCall implements transport.Handler.
func (s slow) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	<-time.NewTimer(10 * time.Millisecond).C
	return s.record.AcceptCall(ctx, c)
}

// Whoever has much to say is listened to for longer than whoever says nothing.
func TestDrainListensToTheEnd(t *testing.T) {
	t.Parallel()
	const sends = 250 // they take more than twice as long as Drain waits for silent ones
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	tr := grpc.New(grpc.Config{})
	tr.SetFarewell(time.Second)
	seen := newRecord()
	e, err := tr.Listen(w.ctx, peer("127.0.0.1:0"), slow{seen})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close(e)
	link := w.caller.Dial(e.Peer())
	for range sends {
		if err := link.Send(w.ctx, call("Echo")); err != nil {
			t.Fatal(err)
		}
	}
	w.soon("the first to be accepted", func() bool { return seen.sends() > 0 })
	if err := e.Drain(w.ctx); err != nil {
		t.Error(err)
	}
	if n := seen.sends(); n != sends {
		t.Errorf("%d sends were accepted of %d that had left", n, sends)
	}
}

// Drain returns when the replies are there, so that Close can lose none.
func TestDrainAndCloseLoseNoReply(t *testing.T) {
	t.Parallel()
	for range 5 {
		w := newWorld(t, grpc.Config{}, grpc.Config{})
		var working sync.WaitGroup
		for range 16 {
			link := w.caller.Dial(w.callee.Peer())
			working.Go(func() {
				for {
					c := call("Echo", make([]byte, 20_000)...)
					if _, err := link.Call(w.ctx, c); err != nil {
						if object.Executed(err) != object.ExecutedNo || w.ran.count(c.CallID) != 0 {
							t.Errorf("a call to one that drains and closes: %v, executed=%v", err, object.Executed(err))
						}
						return
					}
				}
			})
		}
		w.soon("some calls", func() bool { w.ran.mu.Lock(); defer w.ran.mu.Unlock(); return len(w.ran.calls) > 200 })
		if err := w.callee.Drain(w.ctx); err != nil {
			t.Error(err)
		}
		w.close(w.callee)
		working.Wait()
	}
}

// stallable is an endpoint behind a proxy, and a link to it. Its Drain gives up on silent peers at once.
func (w *world) stallable() (transport.Endpoint, *record, *proxy, transport.Link) {
	w.t.Helper()
	tr := grpc.New(grpc.Config{})
	tr.SetFarewell(time.Millisecond)
	seen := newRecord()
	e, err := tr.Listen(w.ctx, peer("127.0.0.1:0"), seen)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.close(e) })
	p := newProxy(w.t, e.Peer().Address)
	to := e.Peer()
	to.Address = p.address()
	link := w.caller.Dial(to)
	w.works("before", link)
	return e, seen, p, link
}

// doesNotDrain checks that Drain does not return while something is missing.
func (w *world) doesNotDrain(e transport.Endpoint) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
	defer cancel()
	if err := e.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		w.t.Errorf("Drain, while an answer has not arrived: %v", err)
	}
}

func TestDrainAwaitsReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	e, seen, p, link := w.stallable()
	p.stall(false, true)
	c := call("Echo")
	done := w.begin(w.ctx, link, c)
	w.soon("the call", func() bool { return seen.count(c.CallID) == 1 })
	w.doesNotDrain(e)
	p.stall(false, false)
	if err := e.Drain(w.ctx); err != nil {
		t.Error(err)
	}
	w.close(e)
	if err := comes(w, "the reply", done); err != nil {
		t.Error(err)
	}
}

func TestDrainAwaitsRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	e, seen, p, link := w.stallable()
	p.stall(false, true)
	over, cancel := context.WithCancel(w.ctx)
	cancel()
	_ = e.Drain(over) // has begun: the link does not hear of it
	c := call("Echo")
	done := w.begin(w.ctx, link, c)
	w.soon("the refusal", func() bool { return grpc.Owes(e) })
	w.doesNotDrain(e)
	p.stall(false, false)
	if err := e.Drain(w.ctx); err != nil {
		t.Error(err)
	}
	w.close(e)
	w.fails("a call that is refused", comes(w, "its end", done), transport.ErrDraining, object.ExecutedNo)
	if seen.count(c.CallID) != 0 {
		t.Error("the call has run")
	}
}

// Peers that do not listen hold up Drain for a moment only, unless they have replies to come.
func TestDrainBesideThePeersWhoDoNotListen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{Keepalive: time.Hour})
	w.dialRaw()
	w.greeted()
	p := newProxy(t, w.callee.Peer().Address)
	stalled := w.through(p)
	if err := stalled.Send(w.ctx, call("Echo")); err != nil {
		t.Fatal(err)
	}
	w.soon("the call", func() bool { return w.ran.sends() == 1 })
	p.stall(true, true)
	w.works("the other link", w.link)
	if err := w.callee.Drain(w.ctx); err != nil {
		t.Error(err)
	}
}

// The node's port serves more than links.
func TestServicesBesideLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{Services: func(r rpc.ServiceRegistrar) {
		healthpb.RegisterHealthServer(r, health.NewServer())
	}})
	w.works("a link", w.link)
	cc, err := rpc.NewClient(w.callee.Peer().Address, rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	watch, err := healthpb.NewHealthClient(cc).Watch(w.ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := watch.Recv(); err != nil || m.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("the node is %v, %v", m, err)
	}
	w.close(w.callee) // which waits for no watcher
}

// Credentials secure a link, and whoever has none is not served.
func TestCredentials(t *testing.T) {
	t.Parallel()
	server, client := certificates(t)
	w := newWorld(t, grpc.Config{ClientCredentials: client}, grpc.Config{ServerCredentials: server})
	w.works("a link with credentials", w.link)
	plain := w.listen(grpc.Config{Keepalive: brief}, peer("127.0.0.1:0"), newRecord())
	_, err := plain.Dial(w.callee.Peer()).Call(w.ctx, call("Echo"))
	w.fails("a link without credentials", err, transport.ErrUnreachable, object.ExecutedNo)
	_, err = w.caller.Dial(plain.Peer()).Call(w.ctx, call("Echo"))
	w.fails("a link to one without credentials", err, transport.ErrUnreachable, object.ExecutedNo)
}

func certificates(t *testing.T) (server, client credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}),
		credentials.NewClientTLSFromCert(pool, "")
}

// Addresses: an endpoint may listen elsewhere than where it is reached.
func TestListenElsewhere(t *testing.T) {
	t.Parallel()
	var bound net.Addr
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	e := w.listen(grpc.Config{Listen: func(ctx context.Context, _ string) (net.Listener, error) {
		lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err == nil {
			bound = lis.Addr()
		}
		return lis, err
	}}, peer("node.example:47000"), newRecord())
	if got := e.Peer().Address; got != "node.example:47000" {
		t.Errorf("the address is %q", got)
	}
	to := e.Peer()
	to.Address = bound.String()
	w.works("a link there", w.caller.Dial(to))
}

// What a frame may hold beside its bytes is bounded, and who asks for more is told before anything is sent.
func TestBoundsOfACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{}, grpc.Config{})
	w.works("before", w.link)
	wide := func(pairs int) *transport.Call {
		c := call("Echo", 1, 2, 3)
		c.Metadata = map[string]string{}
		for i := range pairs {
			c.Metadata[fmt.Sprint(i)] = ""
		}
		return c
	}
	deep := func(steps int) *transport.Call {
		c := call("Echo", 1, 2, 3)
		c.Chain = make([]transport.Step, steps)
		return c
	}
	for name, c := range map[string]*transport.Call{"metadata": wide(grpc.MaxPairs), "chain": deep(grpc.MaxSteps)} {
		if r, err := w.link.Call(w.ctx, c); err != nil || r.Err != nil || len(r.Body) != 3 {
			t.Errorf("as much %s as is allowed: %+v, %v", name, r, err)
		}
	}
	for name, c := range map[string]*transport.Call{"metadata": wide(grpc.MaxPairs + 1), "chain": deep(grpc.MaxSteps + 1)} {
		_, err := w.link.Call(w.ctx, c)
		for what, err := range map[string]error{"Call": err, "Send": w.link.Send(w.ctx, c)} {
			if !errors.Is(err, transport.ErrTooLarge) || object.Executed(err) != object.ExecutedNo || object.CodeOf(err) != object.CodeResourceExhausted {
				t.Errorf("%s with too much %s: %v, executed=%v", what, name, err, object.Executed(err))
			}
		}
	}
	w.works("afterwards", w.link)
}

// exiting is a callee that ends the goroutine that receives.
type exiting struct{ *record }

// AcceptCall implements transport.Handler.
func (x exiting) AcceptCall(ctx context.Context, c *transport.Call) func() *transport.Reply {
	if c.Method == "Exit" {
		runtime.Goexit()
	}
	return x.record.AcceptCall(ctx, c)
}

func TestAcceptCallThatExits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grpc.Config{Keepalive: time.Hour}, grpc.Config{})
	e := w.listen(grpc.Config{Keepalive: time.Hour}, peer("127.0.0.1:0"), exiting{newRecord()})
	link := w.caller.Dial(e.Peer())
	for range 3 {
		w.works("before", link)
		_, err := link.Call(w.ctx, call("Exit"))
		w.fails("a call whose acceptance exits", err, transport.ErrBroken, object.ExecutedUnknown)
		if err := link.Send(w.ctx, call("Exit")); err != nil {
			t.Error(err)
		}
		w.soon("the link to work again", func() bool {
			_, err := link.Call(w.ctx, call("Echo"))
			return err == nil
		})
	}
	if err := e.Drain(w.ctx); err != nil {
		t.Error(err)
	}
}
