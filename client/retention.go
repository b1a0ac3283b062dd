package client

import "container/list"

// retention are the sessions without a stream, in the order in which they lost theirs.
// It is guarded by its owner.
type retention struct {
	silent list.List // their clients have done nothing yet
	others list.List
}

// place is where a session is among them.
type retained struct {
	in *list.List // nil: it is not
	at *list.Element
}

func (r *retention) len() int { return r.silent.Len() + r.others.Len() }

// add adds a session, unless it is there.
func (r *retention) add(t *resumable, silent bool) {
	if t.retained.in != nil {
		return
	}
	in := &r.others
	if silent {
		in = &r.silent
	}
	t.retained = retained{in, in.PushBack(t)}
}

// remove removes a session, if it is there.
func (r *retention) remove(t *resumable) {
	if t.retained.in != nil {
		t.retained.in.Remove(t.retained.at)
		t.retained = retained{}
	}
}

// evict removes the one that is to go first; nil: there is none.
func (r *retention) evict() *resumable {
	first := r.silent.Front()
	if first == nil {
		first = r.others.Front()
	}
	if first == nil {
		return nil
	}
	t, _ := first.Value.(*resumable)
	r.remove(t)
	return t
}

// countLocked counts what a session keeps while it has no stream.
func (t *resumable) countLocked() {
	keeps := 0
	if t.away {
		keeps = t.replies.bytes + t.pushes.bytes
	}
	if keeps != t.kept {
		t.service.kept.Add(int64(keeps - t.kept))
		t.kept = keeps
	}
}

// relieve ends a session that waits for its client if such ones keep too much, now that
// one of them may keep more. No lock is held.
func (s *Service) relieve(t *resumable) {
	most := s.limits.DetachedBytes
	if s.kept.Load() <= int64(most) {
		return
	}
	t.mu.Lock()
	keeps := t.kept
	t.mu.Unlock()
	victim := t
	s.mu.Lock()
	if keeps <= most/max(1, s.detached.len()) {
		victim = s.detached.evict()
	}
	s.mu.Unlock()
	if victim != nil {
		victim.giveUp("sessions that wait for their clients keep too much")
	}
}
