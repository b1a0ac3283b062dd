package routing

import (
	"context"
	"sync"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

const (
	// pushPatience is for how long a push is tried again whose link cannot be had.
	pushPatience = time.Second
	// crowdedRetry is after what time who pushes should try again where too much waits.
	crowdedRetry = 100 * time.Millisecond
	// letterBytes is what a letter takes beside its strings and bytes, about.
	letterBytes = 128
	// atATime is how many letters leave an outbox before those who wait for it are told.
	atATime = 64
	// mostSpare is the largest queue, in letters, whose memory is kept when it is empty.
	mostSpare = 1024
)

// letter is a one-way message about a client of another node: what is pushed to it, or that it is gone.
type letter struct {
	op          transport.Op
	id          string // of the client object
	message     string // the name of what is pushed
	body        []byte // … and its encoding, which nobody else has
	traceParent string
	traceState  string
	posted      time.Duration // when, on the clock's monotonic scale
}

func (l *letter) size() int {
	return letterBytes + len(l.id) + len(l.message) + len(l.body) + len(l.traceParent) + len(l.traceState)
}

// outbox is the letters that wait for a link, in order. Posting waits for nothing: a goroutine, which is there while
// something waits, hands the letters to the link, and waits where that has no connection or no room. It belongs to the
// links.
type outbox struct {
	links *links
	link  transport.Link
	limit int // bytes; one more letter may begin before it is reached

	mu     sync.Mutex // guards the fields below
	queue  []letter   // those before head have left
	head   int
	bytes  int           // of letters that wait
	posted uint64        // how many have been
	gone   uint64        // how many of these do not wait any more
	moved  chan struct{} // closed when gone grows; nil: nobody waits for that
	busy   bool          // the goroutine is there
}

// post queues a letter. The error is that too much waits, or that the links are closed.
func (b *outbox) post(l *letter) error {
	size := l.size()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes >= b.limit {
		err := object.Refuse(object.CodeResourceExhausted, object.Overloaded, "push", l.id, "", "too much waits for the client's server")
		err.RetryAfter = crowdedRetry
		return err
	}
	if !b.busy {
		if !b.links.begin(b.run) {
			return object.Refuse(object.CodeUnavailable, "", "push", l.id, "", noMember)
		}
		b.busy = true
	}
	b.queue = append(b.queue, *l)
	b.bytes += size
	b.posted++
	return nil
}

// flush waits until what has been posted has left, or ctx ends, or it is until; zero: never.
func (b *outbox) flush(ctx context.Context, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.posted
	if b.gone >= last {
		return
	}
	if !until.IsZero() {
		limited, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		ctx = limited
	}
	for b.gone < last && ctx.Err() == nil {
		if b.moved == nil {
			b.moved = make(chan struct{})
		}
		moved := b.moved
		b.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		b.mu.Lock()
	}
}

// run hands letters over until none is left.
func (b *outbox) run() {
	var batch [atATime]letter
	var call transport.Call
	for n := b.take(nil, batch[:]); n > 0; n = b.take(batch[:n], batch[:]) {
		for i := range batch[:n] {
			b.send(&batch[i], &call)
		}
	}
}

// take is told of the letters that have left, and takes others; 0: there are none, and the goroutine ends.
func (b *outbox) take(left, into []letter) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range left {
		b.bytes -= left[i].size()
	}
	b.gone += uint64(len(left))
	if b.moved != nil {
		close(b.moved)
		b.moved = nil
	}
	n := copy(into, b.queue[b.head:])
	clear(b.queue[b.head : b.head+n])
	b.head += n
	switch waiting := len(b.queue) - b.head; {
	case waiting == 0:
		b.queue, b.head = b.queue[:0], 0
		if cap(b.queue) > mostSpare {
			b.queue = nil
		}
	case b.head > waiting: // its place is used again
		copy(b.queue, b.queue[b.head:])
		clear(b.queue[waiting:])
		b.queue, b.head = b.queue[:waiting], 0
	}
	b.busy = n > 0
	return n
}

// send hands a letter to the link, in the memory of a call. While there is no connection it tries again, for as long as a
// push waits; one that may have left is never sent twice.
func (b *outbox) send(l *letter, c *transport.Call) {
	*c = transport.Call{
		Request: object.Request{ID: l.id, Message: l.message, Body: l.body}, Op: l.op,
		OneWay: true, AtMostOnce: true, Shard: noShard, TraceParent: l.traceParent, TraceState: l.traceState,
	}
	for tries := 0; ; tries++ {
		err := b.link.Send(b.links.life, c)
		if err == nil {
			return
		}
		waited := b.links.clock.Monotonic() - l.posted
		if object.CodeOf(err) != object.CodeUnavailable || object.Executed(err) != object.ExecutedNo ||
			waited >= pushPatience || !b.links.rest(tries) {
			if l.op == transport.OpPush {
				b.links.lost.Add(1)
			}
			return
		}
	}
}
