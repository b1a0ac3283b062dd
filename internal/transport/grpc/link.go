package grpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

const (
	leastBackoff = 10 * time.Millisecond
	mostBackoff  = 80 * time.Millisecond
)

// link implements transport.Link. It has one connection at a time.
type link struct {
	from *endpoint
	to   transport.Peer
	life context.Context //nolint:containedctx // of its attempts and connections; ends with Close
	end  context.CancelFunc
	wg   sync.WaitGroup         // attempts, and the goroutines of connections
	conn atomic.Pointer[caller] // the last one; nil before the first

	mu      sync.Mutex // guards the fields below
	closed  bool
	attempt *attempt      // is being made; nil: none
	failure error         // of the last attempt; nil: it succeeded
	backoff time.Duration // after that
	retry   time.Duration // no attempt before this Monotonic time
}

// attempt is one to connect, for all who want to call meanwhile.
type attempt struct {
	done chan struct{} // closed when it is over
	conn *caller
	err  error
}

// Call implements transport.Link.
func (l *link) Call(ctx context.Context, c *transport.Call) (*transport.Reply, error) {
	return transport.StartAndWait(ctx, l, c)
}

// Start implements transport.Link.
func (l *link) Start(ctx context.Context, c *transport.Call) (transport.Flight, error) {
	var b bound
	source := b.of(ctx, c)
	w, err := l.begin(ctx, c, false, &b)
	if err != nil {
		return nil, transport.Fail(err, object.ExecutedNo, l.to, c)
	}
	if source != nil {
		w.follow(source)
	}
	return w, nil
}

// Send implements transport.Link.
func (l *link) Send(ctx context.Context, c *transport.Call) error {
	var b bound
	if c.Timeout != 0 {
		b.deadline = l.from.clock().Now().Add(c.Timeout)
	}
	if _, err := l.begin(ctx, c, true, &b); err != nil {
		return transport.Fail(err, object.ExecutedNo, l.to, c)
	}
	return nil
}

// Flush implements transport.Link.
func (l *link) Flush(ctx context.Context) error {
	conn := l.conn.Load()
	if conn == nil {
		return nil
	}
	return conn.awaitPong(ctx, conn.sendPing()) // which goes behind all that has queued
}

// bound is when a call is over.
type bound struct {
	deadline time.Time // zero: never
	own      bool      // its context does not say so

	ctx   context.Context //nolint:containedctx // ends it too
	ended <-chan struct{} // its Done
}

// of makes b the bound of a call. The source is its context, where that can be followed.
func (b *bound) of(ctx context.Context, c *transport.Call) (source ends.Source) {
	b.ctx = ctx
	b.deadline, _ = ctx.Deadline()
	if d := c.Deadline; !d.IsZero() && (b.deadline.IsZero() || d.Before(b.deadline)) {
		b.deadline, b.own = d, true
	}
	source, ok := ctx.(ends.Source)
	if ok {
		b.own = !b.deadline.IsZero() // that is all that it does not tell
	} else {
		b.ended = ctx.Done()
	}
	return source
}

// errOver refuses a call whose time is over.
var errOver = fmt.Errorf("the call's time is over: %w", context.DeadlineExceeded)

// begin sends a call over a connection that holds. An error means that it was not sent.
func (l *link) begin(ctx context.Context, c *transport.Call, oneWay bool, b *bound) (*waiter, error) {
	size := c.Size()
	if err := fits(c, size); err != nil {
		return nil, err
	}
	if conn := l.conn.Load(); conn != nil && conn.holds() && ctx.Err() == nil && (!oneWay || c.Timeout >= 0) && size < alone {
		w, err := conn.begin(nil, c, oneWay, b) //nolint:contextcheck,staticcheck // SA1012: no context says that it does not wait
		if err == nil || !errors.Is(err, errNotNow) && !errors.Is(err, transport.ErrBroken) {
			return w, err
		}
	}
	return l.beginWhenReady(ctx, c, oneWay, b)
}

// beginWhenReady is begin that waits for a connection, and for room on it.
func (l *link) beginWhenReady(ctx context.Context, c *transport.Call, oneWay bool, b *bound) (*waiter, error) {
	if b.own { // it may have to wait
		limited, cancel := context.WithDeadline(ctx, b.deadline)
		defer cancel()
		ctx = limited
	}
	for again := false; ; again = true {
		conn, err := l.connected(ctx)
		if err != nil {
			return nil, err
		}
		if !b.deadline.IsZero() && !l.from.clock().Now().Before(b.deadline) {
			return nil, errOver
		}
		w, err := conn.begin(ctx, c, oneWay, b)
		if err == nil || again || !errors.Is(err, transport.ErrBroken) {
			return w, err
		}
	}
}

// fits says whether a call of a size can be sent.
func fits(c *transport.Call, size int) error {
	if size <= transport.MaxBytes && len(c.Metadata) <= maxPairs && len(c.Chain) <= maxSteps {
		return nil
	}
	return unfit(c, size)
}

// unfit is why a call cannot be sent.
func unfit(c *transport.Call, size int) error {
	switch n := len(c.Metadata); {
	case size > transport.MaxBytes:
		return fmt.Errorf("%w: the call has %d bytes, %d are allowed", transport.ErrTooLarge, size, transport.MaxBytes)
	case n > maxPairs:
		return fmt.Errorf("%w: the call has %d pairs of metadata, %d are allowed", transport.ErrTooLarge, n, maxPairs)
	}
	return fmt.Errorf("%w: the call's chain has %d steps, %d are allowed", transport.ErrTooLarge, len(c.Chain), maxSteps)
}

// connected is a connection that holds, made if there is none.
func (l *link) connected(ctx context.Context) (*caller, error) {
	if ctx.Err() != nil {
		return nil, transport.Ended(ctx)
	}
	if c := l.conn.Load(); c != nil && c.holds() {
		return c, nil
	}
	a, err := l.connect() //nolint:contextcheck // it is for all who call
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
	case <-l.life.Done():
	case <-ctx.Done():
		return nil, transport.Ended(ctx)
	}
	if l.life.Err() != nil {
		return nil, transport.ErrClosed
	}
	return a.conn, a.err
}

// connect joins the attempt that is being made, or begins one.
func (l *link) connect() (*attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch c := l.conn.Load(); {
	case l.closed:
		return nil, transport.ErrClosed
	case c != nil && c.holds():
		a := &attempt{done: make(chan struct{}), conn: c}
		close(a.done)
		return a, nil
	case l.attempt != nil:
		return l.attempt, nil
	case l.failure != nil && l.from.clock().Monotonic() < l.retry:
		return nil, l.failure
	}
	a := &attempt{done: make(chan struct{})}
	l.attempt = a
	l.wg.Go(func() { l.settle(a) })
	return a, nil
}

// settle makes an attempt.
func (l *link) settle(a *attempt) {
	ctx, cancel := context.WithTimeout(l.life, l.from.transport.cfg.Keepalive)
	defer cancel()
	a.conn, a.err = l.open(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(a.done)
	l.attempt, l.failure = nil, a.err
	if a.err != nil {
		l.backoff = min(max(2*l.backoff, leastBackoff), mostBackoff)
		jittered := l.backoff/2 + rand.N(l.backoff/2) //nolint:gosec // G404: it spreads attempts and protects nothing
		l.retry = l.from.clock().Monotonic() + jittered
		return
	}
	l.backoff = 0
	if l.closed {
		a.conn.fail(transport.ErrClosed)
	}
	l.conn.Store(a.conn)
	a.conn.run(&l.wg)
}

// Close implements transport.Link.
func (l *link) Close() {
	l.shut()
	l.wg.Wait()
	l.from.drop(l) // not before: its endpoint waits for the goroutines of all it has
}

// shut is Close without the waiting.
func (l *link) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if c := l.conn.Load(); c != nil {
		c.fail(transport.ErrClosed) // before the stream's context ends: its reader would say that the link broke
	}
	l.end()
}
