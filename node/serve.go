package node

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// decodeDepth limits the nesting of messages that arrive encoded.
const decodeDepth = 200

// Serve runs a call that arrived encoded; the reply is encoded within the turn.
func (n *Node) Serve(ctx context.Context, req object.Request) (object.Reply, error) {
	return n.Accept(ctx, req)()
}

// Accept gives a call that arrived encoded its place at its object, and returns the
// function that runs it, which must be called. Calls of an object that are accepted
// one after the other run in that order where its methods take turns. Accept decodes
// the request; it neither waits nor runs anything of the object.
func (n *Node) Accept(ctx context.Context, req object.Request) (run func() (object.Reply, error)) {
	return n.Arrive(ctx, Departure{Request: req})
}

// Arrive is [Node.Accept] for a call of another node's. A one-way call ends with ctx's
// deadline, its method's call timeout if there is none, or the node, not with ctx. A call
// whose time is over when it comes, or when it would begin, does not run.
func (n *Node) Arrive(ctx context.Context, d Departure) (run func() (object.Reply, error)) {
	a := new(Arrival)
	a.Begin(ctx, n, &d)
	return a.Run
}

// Arrival is a call of another node's on its way through this one. What a method may keep, the
// context, is not part of it: it may be used again for another call, see [Arrival.Spent].
// It must not be copied.
type Arrival struct {
	node   *Node
	turn   *turn
	waiter *waiter
	seen   *activation // the object's, as [Node.Foresee] has found it; nil: it has not
	err    error       // why it has no place
	brisk  bool        // who brings it does not wait for its place, see errOccupied
	body   []byte      // the encoded reply; before: the memory for it
}

// visit is a turn that another node asked for, in one allocation with its parent: they are what a
// method may keep.
type visit struct {
	turn  turn
	guest guest
}

// guest is the context that such a turn comes with.
type guest struct {
	context.Context //nolint:containedctx // a context wrapper

	node    *Node    // the turn's: the shard, which knows it too, is farther from the processor
	arrival *Arrival // takes the reply; nobody's business once the turn has ended
}

// keptReply is how much memory of an encoded reply an arrival keeps for the next.
const keptReply = 16 << 10

// arrival is where the reply of a turn from another node goes.
func (t *turn) arrival() *Arrival {
	if !t.flags.has(visiting) {
		return nil
	}
	return t.parent.(*guest).arrival //nolint:forcetypeassert // that is what the flag says
}

// Begin is [Node.Arrive]. Nothing of d is kept but its strings and maps.
func (a *Arrival) Begin(ctx context.Context, n *Node, d *Departure) {
	v := &visit{guest: guest{ctx, n, a}}
	t := &v.turn
	t.parent, t.flags = &v.guest, owned|visiting
	if d.OneWay {
		v.guest.Context = traced(n.killed, ctx)
		if at, limited := ctx.Deadline(); limited {
			t.deadline = max(int64(at.Sub(n.base)), 1)
		}
	}
	t.setMetadata(d.Metadata)
	t.setKey(d.Key)
	seen := a.seen
	*a = Arrival{node: n, turn: t, brisk: true, body: a.body[:0]}
	a.waiter, a.err = n.accept(t, d, seen)
}

// Run brings the call to its end. The body of the reply is the arrival's, until that is used again.
func (a *Arrival) Run() (object.Reply, error) {
	n, t := a.node, a.turn
	if a.err == errOccupied { //nolint:errorlint // internal, never wrapped
		a.brisk = false
		a.waiter, a.err = n.seat(t, n.target(t, t.id(), t.act.typ), t.act.typ)
	}
	if a.err == nil && a.waiter == nil {
		a.err = n.giveUpLate(t)
	}
	if a.err != nil {
		return object.Reply{}, a.err
	}
	if err := n.see(t, a.waiter); err != nil {
		return object.Reply{}, err
	}
	return object.Reply{Message: t.method().ReplyName(), Body: a.body}, nil
}

// Spent reports whether the arrival may be used again, by another Begin, after a Run that has
// succeeded and when its reply is not needed any more: nobody else knows it then. A call that
// had to wait, or may have been left by who waited for it, is not looked into.
func (a *Arrival) Spent() bool {
	if a.err != nil || a.waiter != nil || a.turn.flags.has(detached) {
		return false
	}
	body := a.body
	if *a = (Arrival{}); cap(body) <= keptReply {
		a.body = body[:0]
	}
	return true
}

// giveUpLate gives back the admission of a turn whose time has run out since: who runs
// calls may have had many to run, or the process stood still.
func (n *Node) giveUpLate(t *turn) error {
	err := t.late()
	if err == nil || t.flags.has(nested) { // the place inside another turn is not one to give back
		return nil
	}
	_ = n.giveBack(t)
	err = n.refuseExpired(t, err, "before it began")
	t.fail(err)
	return err
}

// accept gives a call its place at its object, whose activation may have been seen.
func (n *Node) accept(t *turn, d *Departure, seen *activation) (*waiter, error) {
	a, m, err := n.resolve(t, d.ID, seen, &wanted{name: d.Method})
	if err != nil {
		return nil, n.turnedAway(err)
	}
	if t.msg, err = decode(m, &d.Request); err != nil {
		return nil, n.turnedAway(object.Refuse(object.CodeInvalidArgument, "", "call", d.ID, d.Method, err.Error()))
	}
	t.runs(m)
	if err := n.follow(t, d.Chain); err != nil {
		return nil, n.turnedAway(err)
	}
	return n.settleIn(t, a, m)
}

func decode(m *object.MethodInfo, req *object.Request) (proto.Message, error) {
	if req.Message != m.RequestName() && (req.Message != "" || len(req.Body) > 0) {
		return nil, fmt.Errorf("the request is a %q, the method takes %s", req.Message, m.RequestName())
	}
	msg := m.NewRequest()
	if err := (proto.UnmarshalOptions{Merge: true, RecursionLimit: decodeDepth}).Unmarshal(req.Body, msg); err != nil {
		return nil, fmt.Errorf("decode %s: %w", m.RequestName(), err)
	}
	return msg, nil
}
