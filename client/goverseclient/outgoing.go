package goverseclient

import (
	"runtime"

	"google.golang.org/grpc/mem"

	"github.com/xiaonanln/goverse/util/company"
)

const (
	batchBytes = 256 << 10 // how large a message with many calls may become
	callExtra  = 2 * (1 + 10)
	callFrame  = callExtra + 1 + 10 // at most around what a call asks for
	sendExtra  = 4 * 11             // at most what else is in a message
	ackReplies = 16                 // worth a message of their own when no call is under way
	ackBytes   = 64 << 10           // worth a message of their own
	ackPushes  = 32                 // worth a message of their own
	ackShare   = 4                  // part of what the server allows that is
	mostCalls  = uint64(1)<<32 - 1  // where the server names no limit
)

// next waits for something to write, which it returns with where to. There is nothing
// more when l is nil; after the last message the stream is to be closed.
func (s *session) next() (l *leg, out mem.BufferSlice, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for s.why == nil && (s.leg == nil || !s.hasWork() || s.held != 0 && !s.look) {
			s.work.Wait()
		}
		if s.why != nil {
			return nil, nil, true
		}
		s.mu.Unlock()
		runtime.Gosched() // company may be about to come
		s.mu.Lock()
		s.look = false
		works := s.why == nil && s.leg != nil && s.hasWork()
		if works && s.hold() {
			continue
		}
		if s.held = 0; works {
			return s.leg, mem.BufferSlice{s.message()}, s.closing
		}
	}
}

// hold reports whether what there is to write waits for callers who are about to have more.
func (s *session) hold() bool {
	if len(s.queue) >= company.Crowd || s.closing || s.company.Expected() <= 0 {
		return false
	}
	switch now := max(s.clock.Monotonic(), 1); {
	case s.held == 0:
		s.held = now
	case now-s.held >= company.Patience:
		return false
	}
	return s.company.Wait(s)
}

// Look implements [company.Sender]. It is late where what there is to write has waited for long.
func (s *session) Look(bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != 0 {
		s.look = true
		s.work.Signal()
	}
}

// hasWork reports whether a message would say something.
func (s *session) hasWork() bool {
	return s.closing || s.due || len(s.cancels) > 0 || s.written < len(s.sent) || len(s.queue) > 0 && s.mayCall(s.queue[0], 0, s.bytes)
}

// mayCall reports whether the server allows one more call, behind those under way and
// others that are to have numbers.
func (s *session) mayCall(c *call, others, bytes uint64) bool {
	if s.last+others+1-s.replies > uint64(s.limits.GetMaxCalls()) {
		return false
	}
	most := s.limits.GetMaxCallBytes()
	return bytes == 0 || most == 0 || bytes+c.size <= most
}

// message takes what there is to say.
func (s *session) message() mem.Buffer {
	again, calls, size := s.pick()
	pool := mem.DefaultBufferPool()
	buf := pool.Get(size + sendExtra + 11*len(s.cancels))
	b := (*buf)[:0]
	now := s.clock.Now()
	for _, c := range again {
		b = c.append(b, now)
	}
	for _, c := range calls {
		s.last++
		c.number, c.state = s.last, written
		s.calls[c.number] = c
		s.bytes += c.size
		b = c.append(b, now)
	}
	s.sent = append(s.sent, calls...)
	s.written += len(again) + len(calls)
	clear(calls)
	if s.queue = s.queue[len(calls):]; len(s.queue) == 0 {
		s.queue = calls[:0]
	}
	for _, number := range s.cancels {
		b = appendNumber(b, requestCancels, number)
	}
	s.cancels = nil
	if s.replies > s.repliesAcked {
		b = appendNumber(b, requestReplies, s.replies)
		s.repliesAcked, s.replyBytes = s.replies, 0
	}
	if s.taken > s.takenAcked {
		b = appendNumber(b, requestPushes, s.taken)
		s.takenAcked, s.takenBytes = s.taken, 0
	}
	s.due = false
	if s.closing {
		b = appendNumber(b, requestClose, 1)
	}
	*buf = b
	return mem.NewBuffer(buf, pool)
}

// pick picks the calls for a message: those that are written again, and new ones.
func (s *session) pick() (again, calls []*call, size int) {
	for _, c := range s.sent[s.written:] {
		if size > 0 && size+int(c.size) > batchBytes { //nolint:gosec // G115: the size of a message
			return s.sent[s.written : s.written+len(again)], nil, size
		}
		size += int(c.size) + callFrame //nolint:gosec // G115: the size of a message
		again = s.sent[s.written : s.written+len(again)+1]
	}
	n, bytes := 0, s.bytes
	for _, c := range s.queue {
		if size > 0 && size+int(c.size) > batchBytes || !s.mayCall(c, uint64(n), bytes) { //nolint:gosec // G115: the size of a message
			break
		}
		size += int(c.size) + callFrame //nolint:gosec // G115: the size of a message
		bytes += c.size
		n++
	}
	return again, s.queue[:n], size
}
