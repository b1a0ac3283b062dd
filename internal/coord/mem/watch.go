package mem

import (
	"context"
	"fmt"

	"github.com/xiaonanln/goverse/internal/coord"
)

// watch is one watch of a client. Its goroutine, owned by the client, reads the history itself: a slow receiver costs
// no memory, and loses its watch only if what it has not received is compacted away.
type watch struct {
	client  *Client
	prefix  string
	next    int64 // the revision to tell next
	out     chan coord.Batch
	dropped <-chan struct{} // closed when the link broke
}

// Watch implements coord.Watcher.
func (c *Client) Watch(ctx context.Context, prefix string, fromRev int64) <-chan coord.Batch {
	w := &watch{client: c, prefix: prefix, next: fromRev, out: make(chan coord.Batch)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		close(w.out)
		return w.out
	}
	w.dropped = c.dropped
	c.wg.Go(func() { w.run(ctx) })
	return w.out
}

// run tells the watch and then why it is over, unless nobody listens.
func (w *watch) run(ctx context.Context) {
	defer close(w.out)
	err := w.begin(ctx)
	for err == nil {
		err = w.step(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	last := coord.Batch{Err: fmt.Errorf("watch %q: %w", w.prefix, err)}
	select {
	case w.out <- last:
	case <-ctx.Done():
	case <-w.client.closing: // the closed channel says it as well
	}
}

// begin says why the watch cannot be.
func (w *watch) begin(ctx context.Context) error {
	if w.next < 1 {
		return fmt.Errorf("from revision %d: %w", w.next, coord.ErrInvalid)
	}
	if err := w.pass(ctx); err != nil {
		return err
	}
	return w.client.store.do(w.client.checkLocked)
}

// step tells the next batch, or waits until there may be one.
func (w *watch) step(ctx context.Context) error {
	if err := w.pass(ctx); err != nil {
		return err
	}
	var (
		events  []coord.Event
		upTo    int64
		changed <-chan struct{}
	)
	err := w.client.store.do(func() (err error) {
		changed = w.client.store.changed
		events, upTo, err = w.client.store.db.since(w.prefix, w.next)
		return err
	})
	if err != nil {
		return err
	}
	if len(events) == 0 {
		w.next = max(w.next, upTo+1)
		return w.wait(ctx, changed)
	}
	for i := range events {
		events[i].KV = clone(events[i].KV)
	}
	select {
	case w.out <- coord.Batch{Rev: upTo, Events: events}:
		w.next = upTo + 1
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.dropped:
	case <-w.client.closing:
	}
	return coord.ErrUnavailable
}

// pass waits as long as the link hangs.
func (w *watch) pass(ctx context.Context) error {
	select {
	case <-w.dropped:
		return coord.ErrUnavailable
	default:
		return w.client.pass(ctx, 0)
	}
}

// wait returns when the history has grown.
func (w *watch) wait(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.dropped:
	case <-w.client.closing:
	}
	return coord.ErrUnavailable
}
