package routing

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// homeOf is the incarnation of the node that a client is connected to; empty if the ID does not say.
func homeOf(id string) string {
	at := strings.LastIndexByte(id, '@')
	if at < 0 {
		return ""
	}
	return id[at+1:]
}

// isHere says whether a client object can be nowhere but here.
func (r *Router) isHere(id string) bool {
	home := homeOf(id)
	return home == "" || home == r.view.Load().self
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
