package client

import (
	"sync"

	"google.golang.org/protobuf/types/known/anypb"
)

// verdict is what became of a message given to a queue.
type verdict uint8

const (
	queued   verdict = iota
	overflow         // too much waits already
	shut             // the queue takes nothing any more
	tooLarge         // it does not fit into a message
)

// pushQueue holds what waits to be sent to one client, in order. Any goroutine puts,
// one takes.
type pushQueue struct {
	maxMessages, maxBytes int
	wake                  chan struct{} // holds a token when there may be something to take

	mu       sync.Mutex
	items    []*anypb.Any // guarded by mu; the front is items[0]
	sizes    []int        // guarded by mu; as items
	bytes    int          // guarded by mu: their sum
	accepted uint64       // guarded by mu: messages that were put
	closed   bool         // guarded by mu
}

func newPushQueue(maxMessages, maxBytes int) *pushQueue {
	return &pushQueue{maxMessages: maxMessages, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// put queues msg, which takes size bytes. It never blocks.
func (q *pushQueue) put(msg *anypb.Any, size int) verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch n := len(q.items); {
	case q.closed:
		return shut
	case n > 0 && (n >= q.maxMessages || q.bytes+size > q.maxBytes):
		return overflow
	}
	q.items = append(q.items, msg)
	q.sizes = append(q.sizes, size)
	q.bytes += size
	q.accepted++
	q.signal()
	return queued
}

// take returns the next message, or nil when there is none yet: then wake tells when
// to look again. over reports that there will never be one.
func (q *pushQueue) take() (msg *anypb.Any, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.items, q.sizes = nil, nil // a client that was busy once keeps no memory for ever
		return nil, q.closed
	}
	msg = q.items[0]
	q.bytes -= q.sizes[0]
	q.items[0] = nil
	q.items, q.sizes = q.items[1:], q.sizes[1:]
	return msg, false
}

// close lets nothing more in; what waits can still be accepted.
func (q *pushQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// abandon closes the queue and drops what waits.
func (q *pushQueue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.items, q.sizes, q.bytes = nil, nil, 0
	q.signal()
}

func (q *pushQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
