package client

import (
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/object"
)

// greet answers the hello of a stream: it begins a session or resumes one.
func (s *Service) greet(l *leg, hello *client_pb.SessionHello) (*resumable, error) {
	switch {
	case hello == nil:
		return nil, errors.New("the first message has no hello")
	case hello.GetClientId() != "":
		return s.resume(l, hello)
	case hello.GetPushes() != 0 || hello.GetReplies() != 0:
		return nil, errors.New("a new session that has taken something")
	}
	return s.begin(l, hello)
}

// begin begins a session.
func (s *Service) begin(l *leg, hello *client_pb.SessionHello) (*resumable, error) {
	t := s.newResumable()
	t.resume = s.limits.Resume
	if micros := hello.GetResumeMicros(); micros > 0 && micros < uint64(t.resume/time.Microsecond) { //nolint:gosec // G115: not negative
		t.resume = time.Duration(micros) * time.Microsecond //nolint:gosec // G115: it is less than another
	}
	if err := s.enroll(t.session); err != nil {
		return nil, err
	}
	ctx := l.str.Context()
	if err := s.attach(ctx, t.session); err != nil {
		s.log.DebugContext(ctx, "client refused", "client", t.id, "error", err)
		s.forget(t.session)
		return nil, object.FromError(err)
	}
	s.log.DebugContext(ctx, "client connected", "client", t.id)
	clientID, hash := s.open(t.session)
	t.hash = hash
	t.reading.Lock()
	w := t.connectLocked(l, clientID, false)
	t.reading.Unlock()
	t.whenEnded(t.conclude)
	s.start(w...)
	return t, nil
}

// connectLocked makes a leg the session's: what is not acknowledged will be sent there.
// It returns its writer. The caller holds reading.
func (t *resumable) connectLocked(l *leg, clientID string, resumed bool) []task {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.talk = t
	lim := &t.service.limits
	welcome := &client_pb.SessionWelcome{
		ClientId: clientID, Resumed: resumed, CallsReceived: t.received,
		MaxCalls: uint32(lim.Calls), MaxCallBytes: uint64(lim.CallBytes), MaxReplyBytes: uint64(lim.ReplyBytes), //nolint:gosec // G115: positive
		MaxPushes: uint32(lim.QueueMessages), MaxPushBytes: uint64(lim.QueueBytes), //nolint:gosec // G115: positive
		MaxMessageBytes: uint64(lim.MessageBytes), ResumeMicros: uint64(t.resume / time.Microsecond), //nolint:gosec // G115: positive
	}
	l.welcome, _ = proto.Marshal(&client_pb.SessionResponse{Welcome: welcome}) // its only text is ASCII
	l.told = t.received
	t.leg, t.away = l, false
	t.countLocked()
	t.replies.rewind()
	t.pushes.rewind()
	if w := t.writerLocked(); w != nil {
		return []task{w}
	}
	return nil
}

// resume gives a session another stream.
func (s *Service) resume(l *leg, hello *client_pb.SessionHello) (*resumable, error) {
	t := s.findResumable(hello.GetClientId())
	if t == nil {
		return nil, errUnauthenticated()
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	old, err := t.handOver(hello)
	if err != nil {
		return nil, err
	}
	t.keep()
	w := t.connectLocked(l, hello.GetClientId(), true)
	if old != nil {
		old.end(errSuperseded)
	}
	s.log.DebugContext(l.str.Context(), "client resumed", "client", t.id)
	s.start(w...)
	return t, nil
}

// findResumable is the session of that client_id; nil: there is none that can be resumed.
func (s *Service) findResumable(clientID string) *resumable {
	if len(clientID) > maxSecretBytes {
		return nil
	}
	hash := hashSecret([]byte(clientID))
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.byHash[hash]; sess != nil {
		return sess.talk
	}
	return nil
}

// handOver takes the session's leg away from it for another stream, which says what the
// client has. A hello that cannot be ends the session.
func (t *resumable) handOver(hello *client_pb.SessionHello) (old *leg, err error) {
	t.mu.Lock()
	over, honest := t.isOver(), false
	if !over {
		honest = t.pushes.ack(hello.GetPushes()) && t.replies.ack(hello.GetReplies())
	}
	if honest {
		old, t.leg = t.leg, nil
	}
	t.mu.Unlock()
	switch {
	case over:
		return nil, errUnauthenticated()
	case !honest:
		err := errProtocol("its hello has what was not sent, or less than it said")
		t.session.end(ending{object.DisconnectKicked, err, false})
		return nil, err
	}
	return old, nil
}

func errProtocol(what string) *object.Error {
	return object.Refuse(object.CodeInvalidArgument, "", "register", "", "", "the client breaks the protocol: "+what)
}

// keep ends the time in which the session waits for its client. The caller holds
// reading.
func (t *resumable) keep() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.service.mu.Lock()
	defer t.service.mu.Unlock()
	t.service.detached.remove(t)
}

// lose is told that a stream has ended and its client has not said that it goes.
func (t *resumable) lose(l *leg) {
	if victim := t.wait(l); victim != nil {
		victim.giveUp("too many sessions wait for their clients")
	}
	t.service.relieve(t)
}

// wait lets the session wait for its client. It returns one that has to go for it.
func (t *resumable) wait(l *leg) (victim *resumable) {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.mu.Lock()
	if t.leg != l || t.isOver() {
		t.mu.Unlock()
		return nil
	}
	t.leg, t.away = nil, t.resume > 0
	t.countLocked()
	silent := t.received == 0 && t.pushes.acked == 0
	t.mu.Unlock()
	s := t.service
	if t.resume <= 0 {
		t.session.end(lost("its stream has broken"))
		return nil
	}
	t.waits++
	this := t.waits
	t.timer = s.clock.AfterFunc(t.resume, func() { t.expire(this) })
	victim = s.retain(t, silent)
	s.log.DebugContext(l.str.Context(), "client lost its stream", "client", t.id)
	return victim
}

func lost(why string) ending {
	return ending{object.DisconnectLost, object.NewError(object.CodeUnavailable, "the session is over: "+why), false}
}

// retain notes a session without a stream, and returns the one that has to go for it.
func (s *Service) retain(t *resumable, silent bool) (victim *resumable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detached.add(t, silent)
	if s.detached.len() > s.limits.Detached {
		return s.detached.evict()
	}
	return nil
}

// expire ends the session if it has waited all the time.
func (t *resumable) expire(since uint64) {
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.waits == since && t.holds(nil) {
		t.session.end(lost("it was not resumed in time"))
	}
}

// giveUp ends the session if it still waits for its client.
func (t *resumable) giveUp(why string) {
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.holds(nil) {
		t.session.end(lost(why))
		t.abandon()
	}
}

// holds reports whether the leg is the session's.
func (t *resumable) holds(l *leg) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leg == l
}
