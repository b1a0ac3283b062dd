package node_test

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
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

type str = wrapperspb.StringValue

// action is what a test lets an object do when it receives a word. It gets the rest
// of the request.
type action func(ctx context.Context, o *actor, arg string) (string, error)

// world is one node, and the test's side of all that its objects do: a request
// "word rest" runs the action of that word. It is the node's runtime, so that the
// objects find it in their contexts.
type world struct {
	*node.Node
	*scene

	peer *world // a second node; see route
}

// scene is what the test and the objects share, on all its nodes.
type scene struct {
	t *testing.T

	mu      sync.Mutex
	actions map[string]action
	gates   map[string]chan struct{}
	log     []string
	pushed  []string
	born    int
	diary   diary
	logged  strings.Builder

	left atomic.Pointer[sync.WaitGroup] // goroutines that turns left behind

	configure func(*node.Config) // changes what nodes are made of; nil: nothing
}

// newWorld returns a world whose node owns all its shards. It needs [world.close].
func newWorld(t *testing.T, c clock.Clock, types ...registration) *world {
	t.Helper()
	return newWorldOf(t, c, nil, types...)
}

// newWorldOf is newWorld with a node that is made in another way.
func newWorldOf(t *testing.T, c clock.Clock, configure func(*node.Config), types ...registration) *world {
	t.Helper()
	w := newNode(&scene{t: t, actions: make(map[string]action), gates: make(map[string]chan struct{}), configure: configure}, c, types...)
	w.openShards(0, 16)
	w.standardActions()
	return w
}

// openShards opens the shards from one up to another under epoch 1.
func (w *world) openShards(from, to uint32) {
	w.t.Helper()
	for s := from; s < to; s++ {
		if err := w.OpenShard(w.t.Context(), s, 1, nil); err != nil {
			w.t.Fatalf("open shard: %v", err)
		}
	}
}

// newNode returns a world without shards in a scene that may have others.
func newNode(scene *scene, c clock.Clock, types ...registration) *world {
	r := object.NewRegistry()
	for _, reg := range append(standardTypes(), types...) {
		if err := reg(r); err != nil {
			scene.t.Fatalf("register: %v", err)
		}
	}
	w := &world{scene: scene}
	cfg := node.Config{
		Registry: r, Clock: c, Runtime: w, Shards: 16, ClientGone: func(id string) { w.note("gone %s", id) }, Event: scene.diary.add,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{w}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if scene.configure != nil {
		scene.configure(&cfg)
	}
	w.Node = node.New(cfg)
	return w
}

// another returns a second node, without shards, with the world's actions.
func (w *world) another(r *object.Registry) *node.Node {
	return node.New(node.Config{Registry: r, Clock: clock.Virtual(), Runtime: w, Shards: 16, Logger: slog.New(slog.DiscardHandler)})
}

// lockedWriter keeps what the node logs.
type lockedWriter struct{ w *world }

func (l lockedWriter) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.logged.Write(p)
}

func (w *world) logText() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logged.String()
}

// inBubble runs f on a world in virtual time, with the sweep running, and stops
// its node afterwards.
func inBubble(t *testing.T, f func(w *world), types ...registration) {
	t.Helper()
	inBubbleOf(t, nil, f, types...)
}

// inBubbleOf is inBubble with a node that is made in another way.
func inBubbleOf(t *testing.T, configure func(*node.Config), f func(w *world), types ...registration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, clock.Virtual(), configure, types...)
		defer w.sweep()()
		defer func() { // also after Fatal
			w.openAll()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := w.Stop(ctx); err != nil {
				t.Errorf("Stop: %v", err)
			}
			if n := w.Activations(); n != 0 {
				t.Errorf("%d activations after Stop", n)
			}
			if n := w.Queues(); n != 0 {
				t.Errorf("%d queues after Stop", n)
			}
		}()
		f(w)
	})
}

// sweep runs the node's sweep until stop is called.
func (w *world) sweep() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	ready := make(chan struct{})
	wg.Go(func() {
		if err := w.Run(ctx, func() { close(ready) }); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	<-ready
	return func() { cancel(); wg.Wait() }
}

// Push implements [object.Runtime].
func (w *world) Push(_ context.Context, clientID string, _ proto.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pushed = append(w.pushed, clientID)
	return nil
}

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

// gate is a channel that a test opens by name.
func (w *world) gate(name string) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gates[name] == nil {
		w.gates[name] = make(chan struct{})
	}
	return w.gates[name]
}

func (w *world) open(name string) {
	g := w.gate(name)
	select {
	case <-g:
	default:
		close(g)
	}
}

func (w *world) openAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.gates {
		select {
		case <-g:
		default:
			close(g)
		}
	}
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// notes returns and clears what was noted.
func (w *world) notes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

func (w *world) wantNotes(want ...string) {
	w.t.Helper()
	if got := w.notes(); !slices.Equal(got, want) {
		w.t.Errorf("noted %q, want %q", got, want)
	}
}

// do calls and waits.
func (w *world) do(id, method, req string, opts ...object.CallOption) (string, error) {
	return w.try(w.t.Context(), id, method, req, opts...)
}

func (w *world) try(ctx context.Context, id, method, req string, opts ...object.CallOption) (string, error) {
	reply, err := w.Call(ctx, id, method, wrapperspb.String(req), opts...)
	if err != nil || reply == nil {
		return "", err
	}
	return reply.(*str).GetValue(), nil
}

// must is do for calls that do not fail.
func (w *world) must(id, method, req string, opts ...object.CallOption) string {
	w.t.Helper()
	out, err := w.do(id, method, req, opts...)
	if err != nil {
		w.t.Fatalf("%s.%s(%s): %v", id, method, req, err)
	}
	return out
}

// pending is a call on a goroutine of its own.
type pending struct {
	w    *world
	what string
	done chan struct{}
	out  string
	err  error
}

// start calls without waiting; in a bubble it returns when the call is blocked or over.
func (w *world) start(ctx context.Context, id, method, req string, opts ...object.CallOption) *pending {
	p := w.spawn(ctx, id, method, req, opts...)
	synctest.Wait()
	return p
}

// spawn is start without waiting for anything.
func (w *world) spawn(ctx context.Context, id, method, req string, opts ...object.CallOption) *pending {
	p := &pending{w: w, what: id + "." + method + "(" + req + ")", done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.out, p.err = w.try(ctx, id, method, req, opts...)
	}()
	return p
}

func (w *world) begin(id, method, req string, opts ...object.CallOption) *pending {
	return w.start(w.t.Context(), id, method, req, opts...)
}

func (p *pending) wait() (string, error) { <-p.done; return p.out, p.err }

func (p *pending) ok(want string) {
	p.w.t.Helper()
	if out, err := p.wait(); err != nil || out != want {
		p.w.t.Errorf("%s = %q, %v, want %q", p.what, out, err, want)
	}
}

func (p *pending) fails(target error, executed object.Execution, parts ...string) {
	p.w.t.Helper()
	_, err := p.wait()
	wantErr(p.w.t, err, target, executed, parts...)
}

// running checks that the call has not returned.
func (p *pending) running() {
	p.w.t.Helper()
	select {
	case <-p.done:
		p.w.t.Errorf("%s has returned %q, %v; it should still run or wait", p.what, p.out, p.err)
	default:
	}
}

func wantErr(t *testing.T, err, target error, executed object.Execution, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", target)
		return
	}
	if _, ok := err.(*object.Error); !ok { //nolint:errorlint // the type itself is promised
		t.Errorf("error is a %T, want *object.Error", err)
	}
	if !errors.Is(err, target) {
		t.Errorf("error %v, want %v", err, target)
	}
	if got := object.Executed(err); got != executed {
		t.Errorf("error %v: executed=%v, want %v", err, got, executed)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// sleep lets virtual time pass and everything that it causes happen.
func sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time, in a bubble
	synctest.Wait()
}

// word is a request.
func word(s string) *str { return wrapperspb.String(s) }
