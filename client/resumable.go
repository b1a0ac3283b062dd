package client

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/company"
)

// resumable is a session that outlives its stream: what is to be sent waits in its
// logs until the client has acknowledged it.
type resumable struct {
	*session

	service *Service
	hash    secretHash
	resume  time.Duration // how long it waits for its client; 0: not at all

	// reading is held while a message of the client is taken in, and while the leg is
	// changed: before mu, and before the service's.
	reading  sync.Mutex
	retained retained    // guarded by the service's mu
	timer    *time.Timer // guarded by reading: ends the session while it has no leg
	waits    uint64      // guarded by reading: how often it has waited for its client

	// Guarded by session.mu.
	leg       *leg // nil: there is none
	received  uint64
	replies   outlog
	pushes    outlog
	callBytes int           // of running calls
	idle      chan struct{} // closed when a writer finds nothing to send; nil: nobody waits
	full      bool          // abandoned
	away      bool          // without a leg, and waiting for its client
	kept      int           // while it is away: what the service counts for it
}

var errSuperseded = object.NewError(object.CodeAborted, "another stream has resumed the session")

func (s *Service) newResumable() *resumable {
	t := &resumable{session: &session{id: s.newID(), ended: make(chan struct{})}, service: s}
	t.session.talk, t.out = t, t
	t.replies.most, t.pushes.most = s.limits.MessageBytes, s.limits.MessageBytes
	return t
}

// take takes in a message. An error that is no [object.Error] is the client's fault.
func (t *resumable) take(l *leg, in *sessionRequest) error {
	t.reading.Lock()
	defer t.reading.Unlock()
	calls, cancelled, err := t.note(l, in)
	if err != nil {
		return err
	}
	node, accepted := t.service.node, 0
	for _, c := range calls {
		if r, ok := c.(*running); ok {
			r.accept(node, &in.calls[r.number-in.calls[0].number])
			accepted++
		}
	}
	for _, c := range cancelled {
		c.end(object.Refuse(object.CodeCanceled, "", "call", t.id, c.method, "the client does not wait for the call").WithExecuted(object.ExecutedUnknown))
	}
	t.service.company.Expect(accepted)
	t.service.start(calls...)
	if in.close {
		t.closeLocked(l)
	}
	return nil
}

// note does what a message says to the session's state. It returns the calls to run
// and to cancel, and with the former the writer for those that were refused.
func (t *resumable) note(l *leg, in *sessionRequest) (tasks []task, cancelled []*running, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.isOver(): // its stream ends by itself
		return nil, nil, nil
	case t.leg != l:
		return nil, nil, errSuperseded
	}
	if in.pushes != 0 && !t.pushes.ack(in.pushes) || in.replies != 0 && !t.replies.ack(in.replies) {
		return nil, nil, errors.New("an acknowledgement of what was not sent, or below an earlier one")
	}
	if err := t.checkLocked(in); err != nil {
		return nil, nil, err
	}
	if n := len(in.calls); n > 0 {
		tasks = make([]task, 0, n+1)
	}
	for i := range in.calls {
		if r := t.beginLocked(&in.calls[i]); r != nil {
			tasks = append(tasks, r)
		}
	}
	for _, number := range in.cancels {
		if r := t.running[number]; r != nil {
			cancelled = append(cancelled, r)
		}
	}
	if w := t.writerLocked(); w != nil {
		tasks = append(tasks, w)
	}
	return tasks, cancelled, nil
}

// checkLocked checks the numbers of calls and cancels.
func (t *resumable) checkLocked(in *sessionRequest) error {
	last := t.received
	for i := range in.calls {
		if in.calls[i].number != last+1 {
			return fmt.Errorf("call %d after call %d", in.calls[i].number, last)
		}
		last++
	}
	if last-t.replies.acked > uint64(t.service.limits.Calls) { //nolint:gosec // G115: positive
		return fmt.Errorf("more than %d calls whose replies are not acknowledged", t.service.limits.Calls)
	}
	for _, number := range in.cancels {
		if number > last || number == 0 {
			return errors.New("a cancel of a call that was not made")
		}
	}
	return nil
}

// beginLocked notes a call, or answers it and returns nil.
func (t *resumable) beginLocked(c *sessionCall) *running {
	t.received = c.number
	r, err := t.newRunning(c)
	switch {
	case t.deaf:
		err = errStopping("call")
	case err == nil && t.callBytes > 0 && t.callBytes+c.size > t.service.limits.CallBytes:
		err = object.Refuse(object.CodeResourceExhausted, object.Overloaded, "call", t.id, c.method,
			fmt.Sprintf("calls of %d bytes are running, at most %d are allowed", t.callBytes, t.service.limits.CallBytes))
	}
	if err != nil {
		appendFailure(&t.replies, c.number, err)
		return nil
	}
	if t.abort != nil {
		r.end(t.abort)
	}
	if len(t.running) == 0 {
		t.running = make(map[uint64]*running)
		t.service.calls.Begin()
	}
	t.running[r.number] = r
	t.callBytes += r.size
	t.session.calls.Add(1)
	return r
}

// answer is the end of a call.
func (t *resumable) answer(r *running, reply object.Reply, err error) {
	r.end(errCallOver)
	t.mu.Lock()
	delete(t.running, r.number)
	t.callBytes -= r.size
	if !t.full {
		t.replyLocked(r, reply, err)
	}
	w := t.writerLocked()
	if len(t.running) == 0 {
		t.running = nil
		t.service.calls.End()
	}
	t.countLocked()
	t.mu.Unlock()
	t.service.relieve(t)
	t.session.calls.Done()
	if w != nil {
		t.service.start(w)
	}
}

var errCallOver = errors.New("the call is over")

// replyLocked keeps the outcome of a call for the client.
func (t *resumable) replyLocked(r *running, reply object.Reply, err error) {
	l := &t.service.limits
	if err == nil {
		most, why := l.MessageBytes, "the reply is larger than the %d bytes that are allowed"
		if left := l.ReplyBytes - t.replies.bytes; left < most && t.replies.waiting() > 0 {
			most, why = left, "the reply was dropped: the client does not acknowledge replies, of which it may leave %d bytes"
		}
		if appendAnswer(&t.replies, r.number, reply, most) {
			return
		}
		limit := l.MessageBytes
		if most != limit {
			limit = l.ReplyBytes
		}
		err = object.Refuse(object.CodeResourceExhausted, "", "call", t.id, r.method, fmt.Sprintf(why, limit)).WithExecuted(object.ExecutedYes)
	}
	appendFailure(&t.replies, r.number, err)
}

// put implements [outbox]. What the client has not taken waits, behind the first of it.
func (t *resumable) put(msg *anypb.Any, _ int) verdict {
	size := anySize("", msg.GetTypeUrl(), msg.GetValue())
	t.mu.Lock()
	l := &t.service.limits
	inner, total := nestedSize(t.pushes.appended+1, size)
	behind, bytes := t.pushes.waiting()-1, t.pushes.bytes-t.pushes.front
	var w *leg
	v := queued
	switch {
	case t.full || t.isOver() && !t.ending.flush:
		v = shut
	case total > l.MessageBytes || !utf8.ValidString(msg.GetTypeUrl()):
		v = tooLarge
	case behind > 0 && (behind >= l.QueueMessages || bytes+total > l.QueueBytes):
		v = overflow
	default:
		b := t.pushes.room(total)
		b = appendNested(b, respPushes, inner, pushOffset, t.pushes.appended+1, pushMessage, size)
		t.pushes.add(appendAny(b, "", msg.GetTypeUrl(), msg.GetValue()))
		w = t.writerLocked()
	}
	t.countLocked()
	t.mu.Unlock()
	t.service.relieve(t)
	if w != nil {
		t.service.start(w)
	}
	return v
}

// abandon implements [outbox].
func (t *resumable) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full = true
	t.pushes.drop()
	t.replies.drop()
	t.countLocked()
}

// writerLocked returns what is to send what waits, if there is something and nobody
// does. A writer that waits for company it tells that there is enough.
func (t *resumable) writerLocked() *leg {
	l := t.leg
	if l != nil && l.held && t.replies.unsent()+t.pushes.unsent() >= company.Crowd {
		l.lookLocked(true)
	}
	if l == nil || l.writing || l.welcome == nil && t.replies.peek() == 0 && t.pushes.peek() == 0 || !l.use() {
		return nil
	}
	l.writing = true
	return l
}

// collect takes what is to be sent over a leg as one message; nil: there is nothing,
// and the writer's work is done.
func (t *resumable) collect(l *leg) mem.BufferSlice {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leg == l {
		if welcome := l.welcome; welcome != nil {
			l.welcome = nil
			return mem.BufferSlice{mem.SliceBuffer(welcome)}
		}
		most := t.service.limits.MessageBytes
		out, size := gather(nil, 0, &t.replies, most)
		out, size = gather(out, size, &t.pushes, most)
		if size > 0 {
			if t.received > l.told && size+appendedBytes <= most {
				l.told = t.received
				out = append(out, mem.SliceBuffer(appendReceived(nil, t.received)))
			}
			return out
		}
	}
	l.writing = false
	if t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
	return nil
}

// appendedBytes is more than what appendReceived appends.
const appendedBytes = 16
