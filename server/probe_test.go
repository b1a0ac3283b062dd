package server_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/object"
)

func TestMain(m *testing.M) {
	if child := childOf(); child != nil {
		child() // does not return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come; it fails by it, and is never
// slowed down by it.
const patience = time.Minute

// probes finds the probe of a server by the runtime in a method's context, so that
// parallel tests with the same types never meet.
var probes sync.Map // object.Runtime → *probe

// probe is a test's hand inside the objects of one server.
type probe struct {
	entered chan string   // a blocking method runs: the object's ID
	release chan struct{} // closed: blocking methods return

	mu      sync.Mutex
	events  []string      // guarded by mu
	changed chan struct{} // guarded by mu: closed and replaced with every event
	refuse  error         // guarded by mu: OnConnect's answer
}

func newProbe() *probe {
	return &probe{entered: make(chan string, 1000), release: make(chan struct{}), changed: make(chan struct{})}
}

// probeOf is the probe of the server that hosts the running method.
func probeOf(ctx context.Context) *probe {
	rt, ok := object.FromContext(ctx)
	if !ok {
		panic("no runtime in the context")
	}
	p, ok := probes.Load(rt)
	if !ok {
		panic("the runtime has no probe")
	}
	return p.(*probe)
}

func (p *probe) note(words ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, strings.Join(words, " "))
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *probe) noted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

func (p *probe) refuseClients(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = err
}

func (p *probe) refusal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refuse
}

// await returns when event has been noted.
func (p *probe) await(t *testing.T, event string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		found, changed := slices.Contains(p.events, event), p.changed
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%q was not noted, only %q", event, p.noted())
		}
	}
}

// awaitEntered returns the object whose blocking method has begun to run.
func (p *probe) awaitEntered(t *testing.T) string {
	t.Helper()
	return receive(t, p.entered, "a blocking method to run")
}

// receive takes from a channel what must come.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// started runs f on a goroutine of its own and returns its result's channel.
func started[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// logBook is a log that a test can read while it is written.
type logBook struct {
	mu    sync.Mutex
	buf   bytes.Buffer             // guarded by mu
	waits map[string]chan struct{} // guarded by mu: closed when the text has been written
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.buf.Write(p)
	for text, seen := range l.waits {
		if strings.Contains(l.buf.String(), text) {
			close(seen)
			delete(l.waits, text)
		}
	}
	return n, err
}

// awaited is closed when text has been written.
func (l *logBook) awaited(text string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(chan struct{})
	if strings.Contains(l.buf.String(), text) {
		close(seen)
		return seen
	}
	if l.waits == nil {
		l.waits = make(map[string]chan struct{})
	}
	l.waits[text] = seen
	return seen
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
