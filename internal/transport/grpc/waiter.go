package grpc

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/ends"
)

// outcome is how a call ends for its caller without a reply.
type outcome struct {
	why      error
	executed object.Execution
}

const (
	// smallBody is how large the body of a reply may be that lies within its waiter.
	smallBody = 64
	// keptBody is how large the memory of a body may be that is kept for the next.
	keptBody = 16 << 10
)

// waiter is a call that waits for its outcome, and the memory of its reply. It implements transport.Flight, and is used
// again for others.
//
// What is read and written when the outcome comes stands in front and together: with many callers none of it is near
// the processor any more. The rest is written when the call begins, and read where it does not end with a reply.
type waiter struct {
	done     chan struct{}   // capacity 1: the outcome is there
	conn     *caller         // whose the call is
	end      outcome         // written before done is told; without a why there is a reply
	expected bool            // who waits may have another call when told; written before, too
	follows  bool            // the follower has to leave
	calls    uint32          // how many it has been; written before it is one
	waits    atomic.Uint32   // the last of them that somebody waited for: only who does runs when told
	reply    transport.Reply // written before done is told
	small    [smallBody]byte // its body, if that fits

	body   []byte          // memory for bodies that do not fit
	ended  <-chan struct{} // of its context; nil: others look out for that, or it does not end
	number uint64
	due    time.Duration // when it is given up, on the scale of sent_at; 0: never
	bulk   *bulk         // holds the call's frame in the lane; nil: it is not there
	sent   *segment      // holds the call's frame; valid until it is handed over
	at     int           // where in there

	follower ends.Follower // of its context, where that is a source; tells who waits
}

// tell gives the call its outcome, which stands in the waiter. It does not go over the channel, which would write it to
// the stack of who waits.
func (w *waiter) tell() { w.done <- struct{}{} }

// giveUp is tell for a call that gets no reply.
func (w *waiter) giveUp(o outcome) {
	w.end = o
	w.tell()
}

// errEnded stands for what has ended a call's context.
var errEnded = errors.New("the context has ended")

// Wait implements transport.Flight.
func (w *waiter) Wait(ctx context.Context) (*transport.Reply, error) {
	w.waits.Store(w.calls)
	if w.ended == nil {
		<-w.done
	} else {
		w.waitOrAbandon(ctx)
	}
	if w.expected {
		w.expected = false
		w.conn.company.Came()
	}
	if w.follows || w.end.why != nil {
		if err := w.without(ctx); err != nil {
			return nil, err
		}
	}
	return &w.reply, nil
}

// waitOrAbandon waits for the outcome or the end of the context, which is one.
//
//go:noinline // what select needs of the stack, Wait should not
func (w *waiter) waitOrAbandon(ctx context.Context) {
	select {
	case <-w.done:
	case <-w.ended:
		w.conn.abandon(ctx, w)
	}
}

// without is why there is no reply, if there is none, and takes the waiter back then.
func (w *waiter) without(ctx context.Context) error {
	if w.follows {
		w.follower.Leave()
		w.follows = false
	}
	if w.end.why == nil {
		return nil
	}
	o, to := w.end, w.conn.to
	if o.why == errEnded { //nolint:errorlint // internal, never wrapped
		o.why = transport.Ended(ctx)
	}
	w.Land()
	return transport.Fail(o.why, o.executed, to, nil)
}

// Land implements transport.Flight: the waiter, whose outcome has been taken, is ready for another call.
func (w *waiter) Land() {
	if b := w.reply.Body; cap(b) > max(cap(w.body), smallBody) && cap(b) <= keptBody {
		w.body = b
	}
	w.reply, w.end, w.ended = transport.Reply{}, outcome{}, nil
	if w.bulk != nil { // it may hold a large call
		w.bulk = nil
	}
	w.conn.waiters.Put(w)
}

// keep copies the body of a reply to memory of the waiter's, if it fits; nil if it is empty.
func (w *waiter) keep(body []byte) []byte {
	switch n := len(body); {
	case n == 0:
		return nil
	case n <= smallBody:
		return append(w.small[:0], body...)
	case n <= cap(w.body):
		return append(w.body[:0], body...)
	}
	return slices.Clone(body)
}

// follow has a call given up when its context ends.
func (w *waiter) follow(ctx ends.Source) {
	w.follows, w.follower.Told = true, w
	if !ctx.Follow(&w.follower) {
		w.ended = ctx.Done()
	}
}

// Ended implements [ends.Told]: it gives the call up.
func (w *waiter) Ended(*ends.Follower) {
	c := w.conn
	c.mu.Lock()
	o, left := outcome{why: errEnded}, c.leaveLocked(w.number) != nil
	if left {
		o.executed = c.giveUpLocked(w)
	}
	c.mu.Unlock()
	if left {
		w.giveUp(o)
	}
}
