package node

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// What an activation remembers of its keyed calls: at most so many, and so many bytes
// of keys, replies and errors, the newest always; the oldest are forgotten first.
const (
	maxOutcomes     = 1024
	maxOutcomeBytes = 4 << 20
	maxKeyBytes     = 256
)

// outcomes is what an activation remembers of its keyed calls. It lives as long as
// the activation. It is guarded by the activation's mutex.
type outcomes struct {
	byKey map[string]*outcome
	order []string // those that have come to an outcome, oldest first
	size  int      // of their keys, replies and errors, in bytes
}

// outcome is one keyed call. reply and err are written before done is closed.
type outcome struct {
	digest [sha256.Size]byte
	done   chan struct{}
	kept   bool // false after done: the call did not come to an outcome
	size   int
	reply  proto.Message
	err    *object.Error
}

// invokeOnce runs a keyed call, or answers it with the outcome of the first call
// that had its key.
func (n *Node) invokeOnce(t *turn, key string) error {
	if len(key) > maxKeyBytes {
		return t.refuse(object.CodeInvalidArgument, "", fmt.Sprintf("the idempotency key has %d bytes, at most %d are allowed", len(key), maxKeyBytes))
	}
	if d, ok := t.act.obj.(object.Deduplicator); ok {
		return n.invokeRemembered(t, d, key)
	}
	digest, err := digestOf(t)
	if err != nil {
		return err
	}
	for {
		o, first := n.claim(t, key, digest)
		if first {
			return n.invokeFirst(t, key, o)
		}
		if o.digest != digest {
			return t.refuse(object.CodeFailedPrecondition, object.KeyReused, "the idempotency key was used for another request")
		}
		if f := t.chainHasKey(key); f != nil {
			return t.deadlock(f)
		}
		select {
		case <-o.done:
		case <-t.Done():
			e := t.refuse(object.CodeOf(t.Err()), "", "it ended while another call with its key ran, whose outcome is not known yet")
			return e.WithExecuted(object.ExecutedUnknown)
		}
		if !o.kept {
			continue
		}
		if o.err != nil {
			return o.err
		}
		return n.answer(t, o.reply)
	}
}

// chainHasKey returns the turn of t's own chain that is the first with its key on this
// object: t must not wait for its outcome.
func (t *turn) chainHasKey(key string) *turn {
	for f := t.waiting(); f != nil && !f.ended.Load(); f = f.waiting() {
		if f.act == t.act && f.IdempotencyKey() == key {
			return f
		}
	}
	return nil
}

// invokeRemembered leaves the record to the object.
func (n *Node) invokeRemembered(t *turn, d object.Deduplicator, key string) error {
	if reply, ok := d.Lookup(t, key); ok {
		return n.answer(t, reply)
	}
	out, err := t.method().Invoke(t, t.act.obj, t.msg)
	if err != nil {
		return n.appError(t, err)
	}
	d.Remember(t, key, out)
	return n.answer(t, out)
}

func digestOf(t *turn) ([sha256.Size]byte, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(t.msg)
	if err != nil {
		return [sha256.Size]byte{}, t.refuse(object.CodeInvalidArgument, "", "encode the request: "+err.Error())
	}
	return sha256.Sum256(append([]byte(t.method().Name+"\x00"), body...)), nil
}

// claim returns the outcome of the turn's key, and whether this turn is to make it.
func (n *Node) claim(t *turn, key string, digest [sha256.Size]byte) (o *outcome, first bool) {
	a := t.act
	a.lock()
	defer a.unlock()
	x := n.extrasLocked(a)
	if x.seen == nil {
		x.seen = &outcomes{byKey: make(map[string]*outcome)}
	}
	if o := x.seen.byKey[key]; o != nil {
		return o, false
	}
	o = &outcome{digest: digest, done: make(chan struct{})}
	x.seen.byKey[key] = o
	return o, true
}

// invokeFirst runs the call and keeps its outcome: a reply, or an application error, or
// that its reply cannot be encoded for a caller on another node: the method has run all the
// same. A call that did not come to one, by a panic or the end of its context, is forgotten, so
// that it can be tried again.
func (n *Node) invokeFirst(t *turn, key string, o *outcome) error {
	defer func() {
		n.settle(t, key, o)
		close(o.done)
	}()
	out, err := t.method().Invoke(t, t.act.obj, t.msg)
	if err == nil {
		err = n.answer(t, out)
	} else {
		err = n.appError(t, err)
	}
	if err != nil {
		var known *object.Error
		if errors.As(err, &known) && object.Executed(known) == object.ExecutedYes {
			o.err, o.kept = known, true
		}
		return err
	}
	if !t.act.typ.Share {
		out = t.method().CloneReply(out)
	}
	o.reply, o.kept = out, true
	return nil
}

// settle keeps an outcome among the last ones, or forgets a call that did not come to
// one. A key in flight is never pushed out: it would run a second time.
func (n *Node) settle(t *turn, key string, o *outcome) {
	a := t.act
	a.lock()
	defer a.unlock()
	x := n.extrasLocked(a)
	if x == nil || x.seen == nil || x.seen.byKey[key] != o {
		return
	}
	if !o.kept {
		delete(x.seen.byKey, key)
		return
	}
	x.seen.keep(key, o)
}

// keep adds an outcome and drops the oldest ones beyond the bounds.
func (s *outcomes) keep(key string, o *outcome) {
	o.size = len(key)
	if o.reply != nil {
		o.size += proto.Size(o.reply)
	}
	if e := o.err; e != nil {
		o.size += len(e.Reason) + len(e.Message) + len(e.Op) + len(e.ID) + len(e.Method)
	}
	s.order = append(s.order, key)
	s.size += o.size
	for len(s.order) > 1 && (len(s.order) > maxOutcomes || s.size > maxOutcomeBytes) {
		oldest := s.order[0]
		s.order = s.order[1:]
		s.size -= s.byKey[oldest].size
		delete(s.byKey, oldest)
	}
}
