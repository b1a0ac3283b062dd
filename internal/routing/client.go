package routing

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/object"
)

// pushPatience is how long a push to a client elsewhere takes at most: who pushes does not wait for a node that does
// not answer.
const pushPatience = time.Second

// typeURL precedes the name of a message's type in an Any.
const typeURL = "type.googleapis.com/"

// homeOf is the incarnation of the node that a client is connected to; empty if the ID does not say.
func homeOf(id string) string {
	at := strings.LastIndexByte(id, '@')
	if at < 0 {
		return ""
	}
	return id[at+1:]
}

// Push implements [object.Runtime]. A message for a client of another node is there when Push returns without an error;
// it is never sent twice, so where it may have arrived the error's answer is "unknown". Push waits for that node for
// one second at most.
func (r *Router) Push(ctx context.Context, clientID string, msg proto.Message) error {
	if _, _, err := object.ParseID(clientID); err != nil {
		return err
	}
	typ := r.typeOf(clientID)
	switch {
	case typ == nil:
		return object.Refuse(object.CodeNotFound, object.NotRegistered, "push", clientID, "", "its type is not registered")
	case !typ.Client:
		return object.Refuse(object.CodeInvalidArgument, "", "push", clientID, "", "type "+typ.Name+" is not a client type")
	case msg == nil || !msg.ProtoReflect().IsValid():
		return object.Refuse(object.CodeInvalidArgument, "", "push", clientID, "", "the message is nil")
	}
	if !r.mayAct(ctx, r.view.Load()) {
		return fenced("push", clientID, "")
	}
	if err := r.pushHere(ctx, clientID, msg); !errors.Is(err, object.ErrNotFound) || r.isHere(clientID) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pushPatience)
	defer cancel()
	var t trip
	t.begin(r, &lifeErrand{
		encode: func() (object.Request, error) { return encode("push", clientID, msg) },
	}, transport.OpPush, clientID, "", typ, nil)
	t.once, t.call.AtMostOnce = true, true
	_, err := t.travel(ctx)
	return err
}

// isHere says whether a client object can be nowhere but here.
func (r *Router) isHere(id string) bool {
	home := homeOf(id)
	return home == "" || home == r.view.Load().self
}

func (r *Router) pushHere(ctx context.Context, id string, msg proto.Message) error {
	if r.cfg.Clients == nil {
		return clientGone("push", id, "")
	}
	return r.cfg.Clients.Push(ctx, id, msg)
}

// pushed carries out a push that has arrived.
func (r *Router) pushed(ctx context.Context, req object.Request) error {
	if r.cfg.Clients == nil {
		return clientGone("push", req.ID, "")
	}
	return r.cfg.Clients.PushAny(ctx, req.ID, &anypb.Any{TypeUrl: typeURL + req.Message, Value: req.Body})
}

// kick disconnects a client of this node.
func (r *Router) kick(ctx context.Context, id string) error {
	if r.cfg.Clients == nil {
		return clientGone("delete", id, "")
	}
	return r.cfg.Clients.Kick(ctx, id)
}

// deleteClient disconnects a client, wherever it is; one that is gone already is no error.
func (r *Router) deleteClient(ctx context.Context, id string) error {
	err := r.kick(ctx, id)
	if errors.Is(err, object.ErrNotFound) && !r.isHere(id) {
		err = r.deleteThere(ctx, id, nil)
	}
	if errors.Is(err, object.ErrNotFound) {
		return nil
	}
	return err
}

// encode makes the request of an operation that takes a message, or none.
func encode(op, id string, msg proto.Message) (object.Request, error) {
	if msg == nil {
		return object.Request{ID: id}, nil
	}
	body, err := proto.Marshal(msg)
	if err != nil {
		return object.Request{}, object.Refuse(object.CodeInvalidArgument, "", op, id, "", "encode message: "+err.Error())
	}
	return object.Request{ID: id, Message: string(msg.ProtoReflect().Descriptor().FullName()), Body: body}, nil
}
