package node

import (
	"context"
	"crypto/rand"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// An errand is what somebody asks of an object as a whole, by no method of its: to be made, to
// be deleted, to be let go. It is a turn with a place among the object's calls, which belongs
// to the chain of the turn that asks for it and has the time of a call of the type.

// errand returns the turn of an errand, which has no place yet. chain are the turns that wait
// for one that has arrived from another node.
func (n *Node) errand(ctx context.Context, chain []Step, what hook, mode object.Mode, id string, typ *object.Type) (*turn, error) {
	t := &turn{parent: ctx, act: n.newActivation(id, typ), entry: entry(what), mode: mode}
	if err := n.follow(t, chain); err != nil {
		return nil, err
	}
	if err := n.inherit(t, typ.CallTimeout); err != nil {
		return nil, err
	}
	return t, nil
}

// runErrand waits until the turn of an errand has come on the object's activation, and calls
// run then, which must give its admission back. Where the object is not in memory it calls
// absent: the errand is over, or the object is looked for again.
func (n *Node) runErrand(t *turn, absent func() (over bool, err error), run func() error) error {
	for {
		a := n.objects.find(t.id())
		if a == nil {
			if over, err := absent(); over {
				return err
			}
			continue
		}
		w, ok, err := n.enter(t, a)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if w != nil {
			if _, err := n.wait(t, w); err != nil {
				return err
			}
		}
		return run()
	}
}

// Create activates a new object with OnCreate and OnActivate; an empty id asks for
// a generated one. An object that is active already is [object.ErrAlreadyExists].
func (n *Node) Create(ctx context.Context, typ, id string, init proto.Message) (string, error) {
	return n.CreateFor(ctx, nil, typ, id, init)
}

// CreateFor is [Node.Create] for a creation that has arrived from another node, where the
// chain waits for it.
func (n *Node) CreateFor(ctx context.Context, chain []Step, typ, id string, init proto.Message) (string, error) {
	id, ty, err := n.newID(typ, id)
	if err != nil {
		return "", err
	}
	if init != nil && !ty.Hooks.Create {
		return "", object.Refuse(object.CodeInvalidArgument, "", "create", id, "", fmt.Sprintf("type %s has no OnCreate to take a %T", ty.Name, init))
	}
	if init != nil && !ty.Share {
		init = proto.Clone(init)
	}
	t, err := n.errand(ctx, chain, onCreate, object.Sequential, id, ty)
	if err != nil {
		return "", err
	}
	put := func() (over bool, err error) {
		_, err = n.put(t, n.newActivation(id, ty))
		return err != nil, err
	}
	if err := n.runErrand(t, put, func() error { return n.create(t, init) }); err != nil {
		return "", err
	}
	return id, nil
}

// create brings the object of a creation up, whose turn has come, unless there is one.
func (n *Node) create(t *turn, init proto.Message) error {
	a := t.act
	if !t.flags.has(activates) || a.shard.keptOf(a.id) != nil {
		_ = n.giveBack(t)
		return t.exists()
	}
	created := func() *object.Error { return n.runOnCreate(a, t, init) }
	if err := n.bringUp(a, created, func() *object.Error { return n.runOnActivate(a, t) }); err != nil {
		return err.At("create", a.id, "")
	}
	n.becomeLive(a, nil)
	if a.lost.Load() {
		return t.fenced().WithExecuted(object.ExecutedUnknown)
	}
	return nil
}

// exists is the error of a creation that came too late.
func (t *turn) exists() error { return t.refuse(object.CodeAlreadyExists, "", "the object exists") }

// Delete ends an object after the turns that came before: OnDeactivate, then it is
// gone, with all that is kept of it. Deleting what is not there is no error.
func (n *Node) Delete(ctx context.Context, id string) error { return n.DeleteFor(ctx, nil, id) }

// DeleteFor is [Node.Delete] for a deletion that has arrived from another node, where the
// chain waits for it.
func (n *Node) DeleteFor(ctx context.Context, chain []Step, id string) error {
	typ, err := n.typeOf("delete", id)
	if err != nil {
		return err
	}
	if typ.Client {
		return object.Refuse(object.CodeInvalidArgument, "", "delete", id, "", "a client object ends with its connection")
	}
	t, err := n.errand(ctx, chain, deletion, alone, id, typ)
	if err != nil {
		return err
	}
	return n.runErrand(t, func() (bool, error) { return n.deleteKept(t) }, func() error {
		t.act.shard.forget(t.act.id)
		n.end(t.act, t, ending{reason: object.ReasonDeleted}) // a fresh activation has no object yet: no hook runs
		if t.act.lost.Load() {
			return t.fenced().WithExecuted(object.ExecutedUnknown)
		}
		return nil
	})
}

// Deactivate lets an object go from memory as if it had been idle for its time: with its
// hooks, after the turns that came before. It returns when the object is gone, or with the
// error of ctx's end, and then the object stays. What is not in memory is
// [object.ErrNotFound], a client's object [object.ErrFailedPrecondition].
func (n *Node) Deactivate(ctx context.Context, id string) error {
	typ, err := n.typeOf("deactivate", id)
	if err != nil {
		return err
	}
	if typ.Client {
		return object.Refuse(object.CodeFailedPrecondition, "", "deactivate", id, "", "a client object ends with its connection")
	}
	t, err := n.errand(ctx, nil, onDeactivate, alone, id, typ)
	if err != nil {
		return err
	}
	absent := func() (bool, error) {
		return true, object.Refuse(object.CodeNotFound, "", "deactivate", id, "", "the object is not in memory on this node")
	}
	return n.runErrand(t, absent, func() error {
		n.end(t.act, t, ending{reason: object.ReasonIdle})
		return nil
	})
}

// newID checks the type and the ID of an object to be created, making the ID up
// where it is empty.
func (n *Node) newID(typ, id string) (string, *object.Type, error) {
	if id == "" {
		id = typ + "-" + rand.Text()
	}
	ty, err := n.typeOf("create", id)
	if err != nil {
		return "", nil, err
	}
	switch {
	case ty.Name != typ:
		return "", nil, object.Refuse(object.CodeInvalidArgument, "", "create", id, "", fmt.Sprintf("the ID is not of type %q", typ))
	case ty.Client:
		return "", nil, object.Refuse(object.CodeInvalidArgument, "", "create", id, "", "client objects come with their connection")
	}
	return id, ty, nil
}
