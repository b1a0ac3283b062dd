package node

import (
	"context"

	"github.com/xiaonanln/goverse/object"
)

// AttachClient makes the object of a client that has connected to this node and
// runs its OnConnect; a failure of that hook refuses the client and leaves nothing
// behind. The object is never idle and ends with DetachClient.
func (n *Node) AttachClient(ctx context.Context, id string) error {
	typ, err := n.typeOf("connect", id)
	if err != nil {
		return err
	}
	switch {
	case !typ.Client:
		return object.Refuse(object.CodeInvalidArgument, "", "connect", id, "", "type "+typ.Name+" is not a client type")
	case n.suspended():
		return object.Refuse(object.CodeUnavailable, object.Fenced, "connect", id, "", fencedMessage)
	case n.stopping():
		return stopping("connect", id, "")
	case ctx.Err() != nil:
		return object.Refuse(object.CodeOf(ctx.Err()), "", "connect", id, "", "the client is gone already")
	}
	a, added := n.add(nil, &activation{id: id, typ: typ, shard: &n.clients, pinned: true, phase: activating, writer: true}, int64(never))
	switch {
	case a == nil:
		return stopping("connect", id, "")
	case !added:
		return object.Refuse(object.CodeAlreadyExists, "", "connect", id, "", "a client has this object")
	}
	if failure := n.bringUp(a, nil, func() *object.Error { return n.runOnConnect(a) }); failure != nil {
		return failure.At("connect", id, "")
	}
	n.becomeLive(a, nil)
	return nil
}

func (n *Node) runOnConnect(a *activation) *object.Error {
	if !a.typ.Hooks.Connect {
		return nil
	}
	c, _ := a.obj.(object.Connector)
	return n.runHook(a, nil, onConnect, c.OnConnect)
}

// DetachClient ends a client's object after the turns that came before, with
// OnDisconnect. It returns when the object is gone, or with ctx's error; the object
// ends all the same.
func (n *Node) DetachClient(ctx context.Context, id string, reason object.DisconnectReason) error {
	done := make(chan error, 1)
	n.run(func() {
		defer close(done) // also where OnDisconnect ends its goroutine
		t := &turn{parent: n.killed, act: &activation{id: id, shard: n.shardOf(id)}, entry: entry(onDisconnect), mode: alone, flags: inner}
		gone := func() (bool, error) { return true, nil }
		err := n.runErrand(t, gone, func() error {
			n.end(t.act, t, ending{disconnect: reason})
			return nil
		})
		if object.CodeOf(err) == object.CodeNotFound { // it ended in another way meanwhile
			err = nil
		}
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return object.Refuse(object.CodeOf(ctx.Err()), "", "disconnect", id, "", "the client's object still runs a turn")
	}
}

func clientGone(op, id, method string) *object.Error {
	return object.Refuse(object.CodeNotFound, "", op, id, method, "the client is not connected")
}
