package client

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/xiaonanln/goverse/object"
)

// crowdedRetry is after what time a client should try again that finds the server full;
// another server may have room at once.
const crowdedRetry = time.Second

// admit makes the session of a new Register stream, known by its object's ID.
func (s *Service) admit(str stream) (*session, error) {
	sess := newSession(s.newID(), s.limits)
	sess.str = str
	return sess, s.enroll(sess)
}

func (s *Service) newID() string { return s.typ + "-" + rand.Text() }

// enroll makes a session known by its object's ID. Where there are too many, one that
// waits for its client goes.
func (s *Service) enroll(sess *session) error {
	victim, err := s.enter(sess)
	if victim != nil {
		victim.giveUp("the server needs the place of a client that is connected")
	}
	return err
}

func (s *Service) enter(sess *session) (victim *resumable, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return nil, errStopping("register")
	case s.typ == "":
		return nil, object.Refuse(object.CodeFailedPrecondition, "", "register", "", "", "the server has no client type")
	case len(s.byID) >= s.limits.Clients:
		if victim = s.detached.evict(); victim == nil {
			err := object.Refuse(object.CodeResourceExhausted, object.Overloaded, "register", "", "",
				fmt.Sprintf("the server has %d clients, as many as it takes", len(s.byID)))
			err.RetryAfter = crowdedRetry
			return nil, err
		}
	}
	if s.place != nil { // under the lock: whoever loses all clients afterwards finds those of the place before
		sess.id += "@" + s.place()
	}
	sess.since = s.clock.Now().UnixMicro()
	s.byID[sess.id] = sess
	s.streams.Begin()
	return victim, nil
}

// open gives the client its secret: from now on it may call.
func (s *Service) open(sess *session) (clientID string, hash secretHash) {
	clientID = rand.Text()
	hash = hashSecret([]byte(clientID))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byHash[hash] = sess
	return clientID, hash
}

// shutOut makes the client's secret stale and lets no more calls begin.
func (s *Service) shutOut(sess *session, hash secretHash) {
	sess.refuseCalls()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byHash, hash)
}

// forget is the end of a session: nobody finds it any more.
func (s *Service) forget(sess *session) {
	s.mu.Lock()
	delete(s.byID, sess.id)
	s.mu.Unlock()
	s.streams.End()
}

func (s *Service) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// findCaller returns the session a client_id belongs to, and counts a call of it in
// calls: those that are refused must not keep [Service.Stop] waiting.
func (s *Service) findCaller(clientID []byte) (*session, error) {
	var hash secretHash // nobody's
	if len(clientID) <= maxSecretBytes {
		hash = hashSecret(clientID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.byHash[hash]
	switch {
	case s.stopping:
		return nil, errStopping("call")
	case sess == nil:
		return nil, errUnauthenticated()
	}
	s.calls.Begin()
	return sess, nil
}

// findReceiver is find for a push, which it counts.
func (s *Service) findReceiver(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.byID[id]
	if sess != nil {
		s.pushes++
	}
	return sess
}

func (s *Service) snapshot() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.byID))
	for _, sess := range s.byID {
		all = append(all, sess)
	}
	return all
}
