package client

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/xiaonanln/goverse/object"
)

// secretHash is what the service keeps of a client_id.
type secretHash [sha256.Size]byte

// maxSecretBytes is more than any client_id has: longer ones need not be hashed.
const maxSecretBytes = 64

func hashSecret(clientID string) secretHash { return sha256.Sum256([]byte(clientID)) }

// ending is how a session ends.
type ending struct {
	reason object.DisconnectReason
	err    error // what the stream ends with
	flush  bool  // send what waits before
}

// session is one client: a Register stream and its object.
type session struct {
	id    string // of the client object
	queue *pushQueue
	ended chan struct{}  // closed by end
	sent  chan struct{}  // closed when the sending goroutine has ended
	calls sync.WaitGroup // running calls

	mu     sync.Mutex
	ending ending             // guarded by mu: set when ended is closed
	deaf   bool               // guarded by mu: no new calls
	abort  error              // guarded by mu: why all work is cancelled; nil: it is not
	work   map[*work]struct{} // guarded by mu: running calls and hooks
}

// work is a call or a hook that runs for a session.
type work struct{ cancel context.CancelCauseFunc }

func newSession(id string, l Limits) *session {
	return &session{
		id:    id,
		queue: newPushQueue(l.QueueMessages, l.QueueBytes),
		ended: make(chan struct{}),
		sent:  make(chan struct{}),
		work:  make(map[*work]struct{}),
	}
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
}

// begin ties work to the session: its context ends with the session's abort too.
// release must be called when the work is over.
func (s *session) begin(ctx context.Context) (_ context.Context, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beginLocked(ctx)
}

func (s *session) beginLocked(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &work{cancel}
	if s.abort != nil {
		cancel(s.abort)
	}
	s.work[w] = struct{}{}
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.work, w)
	}
}

// beginCall is begin for a call; not ok when the session takes none any more.
func (s *session) beginCall(ctx context.Context) (_ context.Context, release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return ctx, nil, false
	}
	ctx, done := s.beginLocked(ctx)
	s.calls.Add(1)
	return ctx, func() { done(); s.calls.Done() }, true
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
	for w := range s.work {
		w.cancel(cause)
	}
}

// abortWork cancels the calls and hooks that run now or begin later.
func (s *session) abortWork(cause error) {
	s.mu.Lock()
	s.abort = cause
	s.mu.Unlock()
	s.cancelWork(cause)
}
