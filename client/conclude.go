package client

import (
	"context"

	"github.com/xiaonanln/goverse/object"
)

// close ends the session because its client wants it.
func (t *resumable) close(l *leg) {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.closeLocked(l)
}

func (t *resumable) closeLocked(l *leg) {
	if t.holds(l) {
		t.session.end(ending{object.DisconnectClosed, nil, false})
	}
	l.end(nil)
}

// expel ends the session because its client breaks the protocol.
func (t *resumable) expel(l *leg, err error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	if t.holds(l) {
		t.session.end(ending{object.DisconnectKicked, err, false})
	}
}

// conclude is what follows the session's end.
func (t *resumable) conclude() {
	s, ctx := t.service, context.Background() //nolint:forbidigo // a session outlives its streams
	defer s.forget(t.session)
	end := t.session.ending // written before
	s.shutOut(t.session, t.hash)
	t.reading.Lock()
	t.keep()
	t.reading.Unlock()
	if end.reason == object.DisconnectTooSlow {
		s.log.WarnContext(ctx, "client does not read", "client", t.id)
		s.slow(t.id)
	}
	if !end.flush {
		t.abandon()
		t.hangUp(end.err)
	}
	t.cancelWork(object.Refuse(object.CodeCanceled, "", "call", t.id, "", "the client has disconnected").WithExecuted(object.ExecutedUnknown))
	t.session.calls.Wait()
	if end.flush {
		t.flush()
		t.abandon()
		t.hangUp(end.err)
	}
	s.detach(ctx, t.session, end.reason)
}

// hangUp ends the session's stream, if there is one.
func (t *resumable) hangUp(err error) {
	t.mu.Lock()
	l := t.leg
	t.leg = nil
	t.mu.Unlock()
	if l != nil {
		l.end(err)
	}
}

// flush waits until what waits for the client was sent, but not long.
func (t *resumable) flush() {
	t.mu.Lock()
	l := t.leg
	if l == nil || !l.writing {
		t.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	t.idle = idle
	t.mu.Unlock()
	timer := t.service.clock.NewTimer(t.service.limits.Flush)
	defer timer.Stop()
	select {
	case <-idle:
	case <-l.over:
	case <-l.str.Context().Done():
	case <-timer.C:
	}
}
