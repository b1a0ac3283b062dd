package client

import (
	"context"
	"crypto/sha256"
	"sync"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/object"
)

// secretHash is what the service keeps of a client_id.
type secretHash [sha256.Size]byte

// maxSecretBytes is more than any client_id has: longer ones need not be hashed.
const maxSecretBytes = 64

func hashSecret(clientID []byte) secretHash { return sha256.Sum256(clientID) }

// ending is how a session ends.
type ending struct {
	reason object.DisconnectReason
	err    error // what the stream ends with
	flush  bool  // send what waits before
}

// session is one client: its object, and a Register stream or a [resumable].
type session struct {
	id    string         // of the client object
	since int64          // when it was enrolled, Unix microseconds; guarded by the service's mu
	out   outbox         // where pushes go
	talk  *resumable     // nil: it is a Register stream
	ended chan struct{}  // closed by end
	calls sync.WaitGroup // running calls

	str   stream        // of a Register stream
	queue *pushQueue    // of a Register stream
	sent  chan struct{} // of a Register stream: closed when the sending goroutine has ended

	mu      sync.Mutex
	ending  ending              // guarded by mu: set when ended is closed
	deaf    bool                // guarded by mu: no new calls
	made    uint64              // guarded by mu: calls of a Register stream's client
	named   *names              // guarded by mu: by Calls; nil: there were none
	abort   error               // guarded by mu: why all work is cancelled; nil: it is not
	work    *work               // guarded by mu: the first of the running calls and hooks
	running map[uint64]*running // guarded by mu: calls of a resumable, by their numbers
	finish  func()              // guarded by mu: what follows the end, on a goroutine of its own; nil: nothing
}

// outbox is where pushes wait to be sent.
type outbox interface {
	// put queues msg, which takes size bytes. It never blocks.
	put(msg *anypb.Any, size int) verdict
	// abandon drops what waits and takes nothing any more.
	abandon()
}

// work is a call or a hook that runs for a session, and its context.
type work struct {
	callContext

	session    *session
	isCall     bool
	prev, next *work // guarded by session.mu
}

func newSession(id string, l Limits) *session {
	queue := newPushQueue(l.QueueMessages, l.QueueBytes)
	return &session{id: id, queue: queue, out: queue, ended: make(chan struct{}), sent: make(chan struct{})}
}

// end begins the session's end, unless it has begun.
func (s *session) end(e ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return
	default:
	}
	s.ending = e
	close(s.ended)
	if s.finish != nil {
		go s.finish()
	}
}

// whenEnded has f run once the session ends, or now if it has.
func (s *session) whenEnded(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		go f()
	default:
		s.finish = f
	}
}

// isOver reports whether the session has ended.
func (s *session) isOver() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// begin ties a hook to the session: its context, which it returns, ends with the
// session's abort too. The work must be released when it is over.
func (s *session) begin(ctx context.Context) (context.Context, *work) {
	w := &work{session: s, callContext: callContext{parent: ctx}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginLocked(w)
	return w, w
}

func (s *session) beginLocked(w *work) {
	if s.abort != nil {
		w.end(s.abort)
	}
	if w.next = s.work; w.next != nil {
		w.next.prev = w
	}
	s.work = w
}

// beginCall is begin for a call, which learns what it asks for; the error tells why it is refused. The
// work, which is the call's place's if it has one, is nil when the session takes none any more.
func (s *session) beginCall(ctx context.Context, at *place, in *callRequest) (context.Context, *work, error) {
	var w *work
	if at == nil {
		w = new(work)
	} else {
		w = &at.work
	}
	w.session, w.isCall, w.parent = s, true, ctx
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return ctx, nil, nil
	}
	s.beginLocked(w)
	s.made++
	s.calls.Add(1)
	if s.named == nil {
		s.named = new(names)
	}
	return w, w, in.understand(s.id, s.named)
}

// release is the end of the work, and of its context.
func (w *work) release() {
	w.end(errCallOver)
	s := w.session
	s.mu.Lock()
	if w.prev == nil {
		s.work = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	s.mu.Unlock()
	if w.isCall {
		s.calls.Done()
	}
}

// refuseCalls lets no more calls begin.
func (s *session) refuseCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = true
}

// cancelWork cancels the calls and hooks that run now.
func (s *session) cancelWork(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := s.work; w != nil; w = w.next {
		w.end(cause)
	}
	for _, c := range s.running {
		c.end(cause)
	}
}

// abortWork cancels the calls and hooks that run now or begin later.
func (s *session) abortWork(cause error) {
	s.mu.Lock()
	s.abort = cause
	s.mu.Unlock()
	s.cancelWork(cause)
}
