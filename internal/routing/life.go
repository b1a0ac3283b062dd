package routing

import (
	"context"
	"crypto/rand"
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// Create implements [object.Runtime]. It is tried again when a link or a node was lost on the way. A node that does not
// know any more that it has carried it out already says [object.ErrAlreadyExists]: if the answer to whether the call ran
// is "unknown", that may mean the object that this very call has created.
func (r *Router) Create(ctx context.Context, typ, id string, init proto.Message) (string, error) {
	if id == "" { // not the node's to choose: it would choose itself as often as not
		id = typ + "-" + rand.Text()
	}
	if !r.mayAct(ctx, r.view.Load()) {
		return "", fenced("create", id, "")
	}
	_, err := r.cfg.Node.Create(ctx, typ, id, init)
	if !refused(err) {
		switch {
		case !r.mayLeave(ctx, err):
			return "", withheld("create", id, "")
		case err != nil:
			return "", object.FromError(err)
		}
		return id, nil
	}
	ctx, cancel := r.limit(ctx, id, "")
	defer cancel()
	var t trip
	t.begin(r, &lifeErrand{
		run:    func(ctx context.Context) error { _, err := r.cfg.Node.Create(ctx, typ, id, init); return err },
		encode: func() (object.Request, error) { return encode("create", id, init) },
		chain:  func(ctx context.Context) (node.Stay, error) { return r.cfg.Node.Chain(ctx, "create", id, "") },
	}, transport.OpCreate, id, "", r.typeOf(id), err)
	if _, err := t.travel(ctx); err != nil {
		return "", err
	}
	return id, nil
}

// Delete implements [object.Runtime]. Deleting a client object disconnects the client.
func (r *Router) Delete(ctx context.Context, id string) error {
	if _, _, err := object.ParseID(id); err != nil {
		return err
	}
	if !r.mayAct(ctx, r.view.Load()) {
		return fenced("delete", id, "")
	}
	if r.isClient(id) {
		return r.deleteClient(ctx, id)
	}
	err := r.cfg.Node.Delete(ctx, id)
	switch {
	case refused(err):
		return r.deleteThere(ctx, id, err)
	case r.mayLeave(ctx, err):
		return err
	}
	return withheld("delete", id, "")
}

// deleteThere deletes an object that is not here, or was not.
func (r *Router) deleteThere(ctx context.Context, id string, why error) error {
	ctx, cancel := r.limit(ctx, id, "")
	defer cancel()
	var t trip
	t.begin(r, &lifeErrand{
		run:    func(ctx context.Context) error { return r.cfg.Node.Delete(ctx, id) },
		encode: func() (object.Request, error) { return object.Request{ID: id}, nil },
		chain:  func(ctx context.Context) (node.Stay, error) { return r.cfg.Node.Chain(ctx, "delete", id, "") },
	}, transport.OpDelete, id, "", r.typeOf(id), why)
	_, err := t.travel(ctx)
	return err
}

// create carries out a creation that has arrived, for which the chain waits.
func (r *Router) create(ctx context.Context, req object.Request, chain []node.Step) error {
	typ := r.typeOf(req.ID)
	if typ == nil {
		return object.Refuse(object.CodeNotFound, object.NotRegistered, "create", req.ID, "", "its type is not registered")
	}
	init, err := decodeInit(req)
	if err != nil {
		return object.Refuse(object.CodeInvalidArgument, "", "create", req.ID, "", err.Error())
	}
	_, err = r.cfg.Node.CreateFor(ctx, chain, typ.Name, req.ID, init)
	return err
}

// decodeDepth limits the nesting of messages that arrive encoded.
const decodeDepth = 200

// decodeInit is what OnCreate receives.
func decodeInit(req object.Request) (proto.Message, error) {
	if req.Message == "" && len(req.Body) == 0 {
		return nil, nil //nolint:nilnil // no message is a message
	}
	typ, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(req.Message))
	if err != nil {
		return nil, errors.New("no message " + printable(req.Message) + " is known here")
	}
	msg := typ.New().Interface()
	if err := (proto.UnmarshalOptions{RecursionLimit: decodeDepth}).Unmarshal(req.Body, msg); err != nil {
		return nil, errors.New("decode " + printable(req.Message) + ": " + err.Error())
	}
	return msg, nil
}
