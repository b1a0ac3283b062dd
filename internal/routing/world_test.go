package routing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

const (
	shards  = 16
	keepFor = time.Minute // what a move has brought
)

type str = wrapperspb.StringValue

// action is what a test lets an object do when it receives a word. It gets the rest of the request.
type action func(ctx context.Context, o *cell, arg string) (string, error)

// world is the nodes of a test, in a bubble of virtual time.
type world struct {
	*testing.T

	clock clock.Clock
	net   *mem.Network
	peers []*peer
	log   logBook

	mu      sync.Mutex
	actions map[string]action
	court   court
}

func inBubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		w := &world{T: t, clock: c, net: mem.New(c, mem.Options{Seed: 1}), actions: make(map[string]action)}
		w.standard()
		f(w)
	})
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

// logBook is a log.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// peer is one node with all that makes it part of a cluster. It is the runtime of its objects.
type peer struct {
	*routing.Router

	world    *world
	name     string // its incarnation
	node     *node.Node
	table    *table
	endpoint transport.Endpoint
	clients  *clients
	dead     atomic.Bool
	fence    atomic.Pointer[error] // what raising the store's fence fails with
	serving  context.CancelFunc
	served   chan struct{}
	close    func()
}

type option func(*routing.Config)

// build makes a node and its router.
func (w *world) build(name string, opts ...option) *peer {
	w.Helper()
	p := &peer{world: w, name: name, clients: &clients{}}
	registry := object.NewRegistry()
	for _, err := range []error{
		registry.RegisterObjectType((*cell)(nil)),
		registry.RegisterObjectType((*keeper)(nil)),
		registry.RegisterObjectType((*recorder)(nil)),
		registry.RegisterObjectType((*light)(nil), object.ShareMessages()),
		registry.RegisterObjectType((*fussy)(nil), object.MailboxLimit(1)),
		registry.RegisterClientType((*visitor)(nil)),
	} {
		if err != nil {
			w.Fatal(err)
		}
	}
	logger := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p.node = node.New(node.Config{Registry: registry, Clock: w.clock, Logger: logger, Runtime: p, Shards: shards, Fence: func(context.Context, uint32, uint64) error {
		if err := p.fence.Load(); err != nil {
			return *err
		}
		return nil
	}})
	cfg := routing.Config{
		Node: p.node, Registry: registry, Clock: w.clock, Logger: logger, Cluster: "test", Clients: p.clients, KeptTime: keepFor,
	}
	for _, set := range opts {
		set(&cfg)
	}
	p.Router = routing.New(cfg)
	w.peers = append(w.peers, p)
	return p
}

// serve lets a router work with a table.
func (p *peer) serve(t routing.Table) {
	w := p.world
	w.Helper()
	endpoint, err := w.net.Listen(w.Context(), transport.Peer{Cluster: "test", Address: address(p.name), Incarnation: p.name}, p.Handler())
	if err != nil {
		w.Fatal(err)
	}
	p.endpoint = endpoint
	ctx, cancel := context.WithCancel(context.Background())
	p.serving, p.served = cancel, make(chan struct{})
	go func() {
		defer close(p.served)
		if err := p.Serve(ctx, t, endpoint); err != nil {
			w.Errorf("%s: Serve: %v", p.name, err)
		}
	}()
	synctest.Wait()
	p.close = sync.OnceFunc(func() {
		cancel()
		<-p.served
		if err := endpoint.Close(context.Background()); err != nil {
			w.Errorf("%s: Close: %v", p.name, err)
		}
		if err := p.node.Stop(context.Background()); err != nil {
			w.Errorf("%s: Stop: %v", p.name, err)
		}
	})
}

func address(name string) string { return name + ":47000" }

// on sets what a word means.
func (w *world) on(word string, do action) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actions[word] = do
}

func (w *world) action(word string) action {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.actions[word]
}

// standard sets the words that all tests know.
func (w *world) standard() {
	w.on("add", func(_ context.Context, o *cell, _ string) (string, error) { o.n++; return fmt.Sprint(o.n), nil })
	w.on("where", func(ctx context.Context, _ *cell, _ string) (string, error) { return peerOf(ctx).name, nil })
	w.on("sleep", func(ctx context.Context, o *cell, arg string) (string, error) {
		d, err := time.ParseDuration(arg)
		if err != nil {
			return "", err
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			o.n++
			return fmt.Sprint(o.n), nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	w.on("deaf", func(_ context.Context, o *cell, arg string) (string, error) { // sleeps whatever happens
		d, _ := time.ParseDuration(arg)
		time.Sleep(d) //nolint:forbidigo // virtual time
		o.n++
		return fmt.Sprint(o.n), nil
	})
	w.on("work", func(ctx context.Context, o *cell, arg string) (string, error) { // "work <duration> <name>" says the number of its turn
		p := peerOf(ctx)
		duration, name, _ := strings.Cut(arg, " ")
		n, end := p.world.court.number(p, name)
		defer end()
		d, _ := time.ParseDuration(duration)
		time.Sleep(d) //nolint:forbidigo // virtual time
		o.n++
		return fmt.Sprint(n), nil
	})
	w.on("fail", func(_ context.Context, _ *cell, arg string) (string, error) {
		return "", object.NewError(object.CodeUnavailable, arg)
	})
	w.on("ask", func(ctx context.Context, _ *cell, arg string) (string, error) { // "ask <id> <request>"
		id, request, _ := strings.Cut(arg, " ")
		return peerOf(ctx).do(ctx, id, request)
	})
	w.on("tell", func(ctx context.Context, _ *cell, arg string) (string, error) {
		id, request, _ := strings.Cut(arg, " ")
		return peerOf(ctx).do(ctx, id, request, object.OneWay())
	})
}

func peerOf(ctx context.Context) *peer {
	rt, _ := object.FromContext(ctx)
	return rt.(*peer)
}

// do calls an object from this node.
func (p *peer) do(ctx context.Context, id, request string, opts ...object.CallOption) (string, error) {
	reply, err := p.Call(ctx, id, "Do", wrapperspb.String(request), opts...)
	if err != nil {
		if _, ok := err.(*object.Error); !ok { //nolint:errorlint // that is what it checks
			p.world.Errorf("%s: %s %q: a %T is returned", p.name, id, request, err)
		}
		return "", err
	}
	if reply == nil {
		return "", nil
	}
	return reply.(*str).GetValue(), nil
}

// must is do for a call that succeeds.
func (p *peer) must(id, request string) string {
	p.world.Helper()
	got, err := p.do(p.world.Context(), id, request)
	if err != nil {
		p.world.Fatalf("%s: %s %q: %v", p.name, id, request, err)
	}
	return got
}

// cell is the object of these tests.
type cell struct {
	object.BaseObject

	n     int
	notes []string
}

func (c *cell) Do(ctx context.Context, req *str) (*str, error) {
	p := peerOf(ctx)
	defer p.world.court.enter(p, c.ID())()
	word, arg, _ := strings.Cut(req.GetValue(), " ")
	do := p.world.action(word)
	if do == nil {
		return nil, errors.New("no action " + word)
	}
	out, err := do(ctx, c, arg)
	if err != nil {
		return nil, err
	}
	return wrapperspb.String(out), nil
}

// keeper is a cell whose memory goes along.
type keeper struct{ cell }

func (k *keeper) OnSnapshot(context.Context) (proto.Message, error) {
	return wrapperspb.String(fmt.Sprintf("%d %s", k.n, strings.Join(k.notes, ""))), nil
}

func (k *keeper) OnRestore(_ context.Context, state proto.Message) error {
	n, notes, _ := strings.Cut(state.(*str).GetValue(), " ")
	k.notes = []string{notes}
	_, err := fmt.Sscan(n, &k.n)
	return err
}

// fussy is a cell with a mailbox for one, whose hooks may fail.
type fussy struct{ cell }

func (f *fussy) OnCreate(ctx context.Context, init proto.Message) error {
	msg, _ := init.(*str)
	return f.hook(ctx, "OnCreate", msg.GetValue())
}

func (f *fussy) OnActivate(ctx context.Context) error { return f.hook(ctx, "OnActivate", "") }

func (f *fussy) OnDeactivate(ctx context.Context, reason object.DeactivateReason) error {
	return f.hook(ctx, "OnDeactivate", reason.String())
}

func (f *fussy) hook(ctx context.Context, word, arg string) error {
	if do := peerOf(ctx).world.action(word); do != nil {
		_, err := do(ctx, &f.cell, arg)
		return err
	}
	return nil
}

// visitor is a client object.
type visitor struct{ object.BaseClient }

func (v *visitor) Do(ctx context.Context, req *str) (*str, error) {
	p := peerOf(ctx)
	defer p.world.court.enter(p, v.ID())()
	if req.GetValue() == "absent" {
		return nil, object.NewError(object.CodeNotFound, "it knows of no such thing")
	}
	return wrapperspb.String(peerOf(ctx).name + " " + req.GetValue()), nil
}

// clients is a client service.
type clients struct {
	mu     sync.Mutex
	here   []string
	pushed []string
	kicked []string
	kicks  int
	refuse error
}

func (c *clients) connect(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here = append(c.here, id)
}

func (c *clients) Push(ctx context.Context, id string, msg proto.Message) error {
	packed, err := anypb.New(msg)
	if err != nil {
		return err
	}
	return c.PushAny(ctx, id, packed)
}

func (c *clients) PushAny(_ context.Context, id string, msg *anypb.Any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return c.refuse
	}
	if !slices.Contains(c.here, id) {
		return object.Refuse(object.CodeNotFound, "", "push", id, "", "no such client is connected here")
	}
	m, err := msg.UnmarshalNew()
	if err != nil {
		return err
	}
	c.pushed = append(c.pushed, id+" "+m.(*str).GetValue())
	return nil
}

func (c *clients) Kick(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kicks++
	if c.refuse != nil {
		return c.refuse
	}
	if !slices.Contains(c.here, id) {
		return object.Refuse(object.CodeNotFound, "", "kick", id, "", "no such client is connected here")
	}
	c.here = slices.DeleteFunc(c.here, func(x string) bool { return x == id })
	c.kicked = append(c.kicked, id)
	return nil
}

func (c *clients) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pushed)
}

// want checks an error.
func (w *world) want(err error, code object.Code, executed object.Execution, text string) {
	w.Helper()
	if object.CodeOf(err) != code || object.Executed(err) != executed || err == nil || !strings.Contains(err.Error(), text) {
		w.Errorf("the error is %v (%v, executed=%v), want %v, executed=%v, %q", err, object.CodeOf(err), object.Executed(err), code, executed, text)
	}
	if e := object.FromError(err); e != nil && e.Reason == "Misrouted" {
		w.Errorf("%v tells what concerns nodes only", err)
	}
}
