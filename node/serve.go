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

// Arrive is [Node.Accept] for a call of another node's. A one-way call ends with its
// own deadline or the node, not with ctx.
func (n *Node) Arrive(ctx context.Context, d Departure) (run func() (object.Reply, error)) {
	t := &turn{parent: ctx, flags: owned}
	if d.OneWay {
		t.parent = traced(n.killed, ctx)
	}
	t.extra().encode, t.extra().brisk = true, true
	t.setKey(d.Key)
	t.setMetadata(d.Metadata)
	w, err := n.accept(t, d)
	return func() (object.Reply, error) {
		if err == errOccupied { //nolint:errorlint // internal, never wrapped
			t.extra().brisk = false
			w, err = n.seat(t, n.target(t, d.ID, t.act.typ), t.act.typ)
		}
		if err != nil {
			return object.Reply{}, err
		}
		if err := n.see(t, w); err != nil {
			return object.Reply{}, err
		}
		return object.Reply{Message: t.method().ReplyName(), Body: t.extra().body}, nil
	}
}

func (n *Node) accept(t *turn, d Departure) (*waiter, error) {
	a, m, err := n.resolve(t, d.ID, &wanted{name: d.Method})
	if err != nil {
		return nil, err
	}
	if t.msg, err = decode(m, d.Request); err != nil {
		return nil, object.Refuse(object.CodeInvalidArgument, "", "call", d.ID, d.Method, err.Error())
	}
	t.runs(m)
	if err := n.follow(t, d.Chain); err != nil {
		return nil, err
	}
	return n.settleIn(t, a, m)
}

func decode(m *object.MethodInfo, req object.Request) (proto.Message, error) {
	if req.Message != m.RequestName() && (req.Message != "" || len(req.Body) > 0) {
		return nil, fmt.Errorf("the request is a %q, the method takes %s", req.Message, m.RequestName())
	}
	msg := m.NewRequest()
	if err := (proto.UnmarshalOptions{RecursionLimit: decodeDepth}).Unmarshal(req.Body, msg); err != nil {
		return nil, fmt.Errorf("decode %s: %w", m.RequestName(), err)
	}
	return msg, nil
}
