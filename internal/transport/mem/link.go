package mem

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// link implements transport.Link. It has one connection at a time.
type link struct {
	net     *Network
	from    *endpoint
	to      transport.Peer
	closing chan struct{}  // closed by Close
	wg      sync.WaitGroup // of the connections' goroutines

	mu     sync.Mutex // guards the fields below
	closed bool
	conn   *conn // the last one; nil before the first
}

// Call implements transport.Link.
func (l *link) Call(ctx context.Context, c *transport.Call) (*transport.Reply, error) {
	return transport.StartAndWait(ctx, l, c)
}

// Start implements transport.Link.
func (l *link) Start(ctx context.Context, c *transport.Call) (transport.Flight, error) {
	limited, cancel := limit(ctx, c.Deadline)
	defer cancel()
	f, err := l.start(limited, c, false)
	if err != nil {
		return nil, transport.Fail(err, object.ExecutedNo, l.to, c)
	}
	f.to, f.deadline = l.to, c.Deadline
	return f, nil
}

// limit ends a context at a deadline, if that is one.
func limit(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	if deadline.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// Send implements transport.Link.
func (l *link) Send(ctx context.Context, c *transport.Call) error {
	if _, err := l.start(ctx, c, true); err != nil {
		return transport.Fail(err, object.ExecutedNo, l.to, c)
	}
	return nil
}

// Flush implements transport.Link.
func (l *link) Flush(ctx context.Context) error {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		return nil
	}
	select {
	case <-conn.there.flushed():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start sends a copy of a call. An error means that it was not sent.
func (l *link) start(ctx context.Context, c *transport.Call, oneWay bool) (*flight, error) {
	if size := c.Size(); size > transport.MaxBytes {
		return nil, fmt.Errorf("%w: the call has %d bytes, %d are allowed", transport.ErrTooLarge, size, transport.MaxBytes)
	}
	begun := l.net.clock.Monotonic()
	conn, err := l.connected(ctx)
	if err != nil {
		return nil, err
	}
	sent := copyCall(c)
	sent.From, sent.OneWay, sent.Deadline = l.from.self.Incarnation, oneWay, time.Time{}
	inTime := true
	if !oneWay {
		sent.Timeout, inTime = remaining(ctx, l.net.clock.Now())
	} else if c.Timeout != 0 {
		sent.Timeout -= l.net.clock.Monotonic() - begun
		inTime = sent.Timeout > 0
	}
	if !inTime {
		return nil, fmt.Errorf("the call's time is over: %w", context.DeadlineExceeded)
	}
	return conn.request(sent) //nolint:contextcheck // the callee has a context of its own
}

// remaining is the time that ctx leaves, 0 for no limit; false if it is over.
func remaining(ctx context.Context, now time.Time) (time.Duration, bool) {
	deadline, limited := ctx.Deadline()
	if !limited {
		return 0, true
	}
	left := deadline.Sub(now)
	return left, left > 0
}

// connected is a connection that holds, made if there is none.
func (l *link) connected(ctx context.Context) (*conn, error) {
	var tooLong <-chan time.Time
	for {
		if ctx.Err() != nil {
			return nil, transport.Ended(ctx)
		}
		c, changed, err := l.connect()
		if c != nil || err != nil {
			return c, err
		}
		if tooLong == nil {
			timer := l.net.clock.NewTimer(l.net.keepalive)
			defer timer.Stop()
			tooLong = timer.C
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-l.closing:
		case <-tooLong:
			return nil, fmt.Errorf("%w: no answer", transport.ErrUnreachable)
		}
	}
}

// connect is the connection, or what [Network.connect] says.
func (l *link) connect() (*conn, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, transport.ErrClosed
	}
	if l.conn != nil && l.conn.holds() {
		return l.conn, nil, nil
	}
	c, changed, err := l.net.connect(l)
	if c != nil {
		l.conn = c
		c.start(&l.wg)
	}
	return c, changed, err
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
	close(l.closing)
	if l.conn != nil {
		l.conn.fail(transport.ErrClosed, transport.ErrBroken)
	}
}
