package goverseclient

import (
	"fmt"
	"slices"
	"sync"
	"time"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
	"github.com/xiaonanln/goverse/util/company"
)

// session is what a client and its server know of each other, whatever connection
// they have.
type session struct {
	clock   clock.Clock
	company *company.Company // the callers
	resume  time.Duration    // how long to try; 0: as long as the server says; negative: not at all
	arrived []*call          // the reader's memory

	mu      sync.Mutex // guards the fields below
	work    sync.Cond  // the writer waits for something to write
	arrival sync.Cond  // the deliverer waits for pushes

	id      string // the client_id: a secret
	limits  *client_pb.SessionWelcome
	leg     *leg          // nil: there is no connection
	why     *object.Error // the session is over; nil: it is not
	err     error         // what Err says of it
	closing bool          // by Close

	queue   []*call          // that have no number
	sent    []*call          // that have, and of which it is not known that they were received
	written int              // how many of sent were given to the leg
	calls   map[uint64]*call // that have a number and no reply
	last    uint64           // the last number
	bytes   uint64           // of calls
	cancels []uint64         // to be sent

	replies      uint64 // how many have arrived
	repliesAcked uint64
	replyBytes   int // of those not acknowledged
	lastPush     uint64
	inbox        []push
	taken        uint64 // the last push that was delivered
	takenAcked   uint64
	takenBytes   int  // of those not acknowledged
	due          bool // acknowledgements are to be sent

	held time.Duration // since when what there is to write waits for callers, on the monotonic scale; 0: it does not
	look bool          // the writer is to look whether it still does
}

func (s *session) init(resume time.Duration) {
	s.resume = resume
	s.clock = clock.System()
	s.company = company.New(s.clock)
	s.work.L, s.arrival.L = &s.mu, &s.mu
	s.calls = make(map[uint64]*call)
}

// hello is how a stream begins.
func (s *session) hello() *client_pb.SessionHello {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &client_pb.SessionHello{ClientId: s.id, Pushes: s.taken, Replies: s.replies}
	switch {
	case s.id != "" || s.resume == 0:
	case s.resume < time.Microsecond:
		h.ResumeMicros = 1
	default:
		h.ResumeMicros = uint64(s.resume / time.Microsecond)
	}
	return h
}

// connect takes a stream that the server has welcomed: what it has not received is
// written again.
func (s *session) connect(l *leg, w *client_pb.SessionWelcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != "" && !w.GetResumed() || w.GetCallsReceived() > s.last {
		return errOdd("it welcomes another session")
	}
	if w.GetMaxCalls() == 0 {
		w.MaxCalls = uint32(mostCalls)
	}
	s.id, s.limits, s.leg = w.GetClientId(), w, l
	s.confirm(w.GetCallsReceived())
	s.written = 0
	s.cancels = nil
	for number, c := range s.calls {
		if c.state == abandoned && number <= w.GetCallsReceived() {
			s.cancels = append(s.cancels, number)
		}
	}
	s.repliesAcked, s.replyBytes = s.replies, 0
	s.takenAcked, s.takenBytes = s.taken, 0
	s.due = false
	s.work.Signal()
	return nil
}

// window is for how long the session can be resumed, if the client wants so.
func (s *session) window() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.resume < 0 {
		return 0
	}
	d := time.Duration(min(s.limits.GetResumeMicros(), mostMicros)) * time.Microsecond
	if s.resume > 0 {
		d = min(d, s.resume)
	}
	return d
}

const mostMicros = uint64(1<<63-1) / uint64(time.Microsecond)

// disconnect is told that a stream is over.
func (s *session) disconnect(l *leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leg == l {
		s.leg = nil
	}
}

// confirm forgets how to send the calls that were received.
func (s *session) confirm(number uint64) {
	n := 0
	for n < len(s.sent) && s.sent[n].number <= number {
		n++
	}
	clear(s.sent[:n])
	if s.sent = s.sent[n:]; len(s.sent) == 0 {
		s.sent = s.sent[:0:cap(s.sent)]
	}
	s.written = max(0, s.written-n)
}

// ask queues a call. The error tells why the session is over.
func (s *session) ask(c *call) *object.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return object.Refuse(object.CodeUnavailable, "", "call", "", c.method, "the client is closed")
	case s.why != nil:
		return object.Refuse(object.CodeUnavailable, "", "call", "", c.method, "the client is not connected: "+s.why.Error())
	}
	c.state = queued
	s.queue = append(s.queue, c)
	if len(s.queue) >= company.Crowd {
		s.held = 0
	}
	if s.held == 0 || s.look {
		s.work.Signal()
	}
	return nil
}

// leave is told that nobody waits for a call any more. It returns false if its outcome
// is there.
func (s *session) leave(c *call) (executed object.Execution, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.state {
	case queued:
		if i := slices.Index(s.queue, c); i >= 0 {
			s.queue = slices.Delete(s.queue, i, i+1)
		}
		c.state = resolved
		return object.ExecutedNo, true
	case written:
		c.state, c.request = abandoned, nil
		if s.leg != nil && !slices.Contains(s.sent[s.written:], c) {
			s.cancels = append(s.cancels, c.number)
			s.work.Signal()
		}
		return object.ExecutedUnknown, true
	case resolved, abandoned:
	}
	return object.ExecutedUnknown, false
}

// take takes in what came. An error means that the server is to blame.
func (s *session) take(in *response) error {
	err := s.takeIn(in)
	s.company.Expect(len(s.arrived))
	for _, c := range s.arrived {
		c.done <- struct{}{} // behind the lock, which its caller may want at once
	}
	clear(s.arrived)
	s.arrived = s.arrived[:0]
	return err
}

// takeIn is take but for the callers who have got their replies, which it leaves in arrived.
func (s *session) takeIn(in *response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range in.replies {
		r := &in.replies[i]
		c := s.calls[r.call]
		if c == nil {
			return errOdd("it answers a call that does not wait")
		}
		delete(s.calls, r.call)
		s.confirm(r.call)
		s.bytes -= c.size
		s.replies++
		s.replyBytes += r.size
		if c.state == written {
			c.resolve(*r)
			s.arrived = append(s.arrived, c)
		}
	}
	s.confirm(in.received)
	for _, p := range in.pushes {
		switch {
		case p.offset == s.lastPush+1:
			s.lastPush++
			s.inbox = append(s.inbox, p)
		case p.offset > s.lastPush || p.offset == 0:
			return errOdd(fmt.Sprintf("it pushes message %d after %d", p.offset, s.lastPush))
		}
	}
	if len(in.pushes) > 0 {
		s.arrival.Signal()
	}
	news := s.replies - s.repliesAcked
	if news >= max(1, uint64(s.limits.GetMaxCalls())/ackShare) || s.replyBytes >= ackBytes || len(s.calls) == 0 && news >= ackReplies {
		s.due = true
	}
	if s.due || len(s.queue) > 0 {
		s.work.Signal()
	}
	return nil
}

// nextPushes waits for pushed messages; nil: there will be none.
func (s *session) nextPushes() []push {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.inbox) == 0 && s.why == nil {
		s.arrival.Wait()
	}
	batch := s.inbox
	s.inbox = nil
	return batch
}

// delivered is told that the application has a pushed message.
func (s *session) delivered(p push) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = p.offset
	s.takenBytes += p.size
	many := min(ackPushes, max(1, uint64(s.limits.GetMaxPushes())/ackShare))
	large := min(ackBytes, max(1, s.limits.GetMaxPushBytes()/ackShare))
	if s.taken-s.takenAcked >= many || uint64(s.takenBytes) >= large { //nolint:gosec // G115: not negative
		s.due = true
		s.work.Signal()
	}
}

// close begins the end. It reports whether the server can be told.
func (s *session) close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing && s.why == nil {
		s.failCalls(object.CodeCanceled, "the client was closed")
	}
	s.closing = true
	s.held = 0
	s.work.Signal()
	return s.leg != nil
}

// finish ends the session.
func (s *session) finish(why *object.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why, s.leg = why, nil
	if !s.closing {
		s.err = why
	}
	s.failCalls(object.CodeUnavailable, "the client is not connected: "+why.Error())
	s.work.Broadcast()
	s.arrival.Broadcast()
}

// failCalls ends the calls that wait.
func (s *session) failCalls(code object.Code, text string) {
	for _, c := range s.queue {
		c.fail(object.Refuse(code, "", "call", "", c.method, text))
	}
	s.queue = nil
	for _, c := range s.calls {
		if c.state == written {
			c.fail(object.Refuse(code, "", "call", "", c.method, text).WithExecuted(object.ExecutedUnknown))
			c.state = abandoned
			c.request = nil
		}
	}
}

func errOdd(what string) *object.Error {
	return object.NewError(object.CodeInternal, "the server does not keep to the protocol: "+what)
}
