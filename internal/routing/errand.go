package routing

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// errand is what a trip is for.
type errand interface {
	// local runs it on this node.
	local(ctx context.Context) (proto.Message, error)
	// pack makes it a call to another node, before it is sent first.
	pack(ctx context.Context, to *transport.Call) error
	// unpack makes the reply of the other node a message.
	unpack(r object.Reply) (proto.Message, error)
	// release is called when it is over.
	release()
}

// call is what a program or an object asks for.
type call struct {
	id, method string
	expr       object.Expr // instead of the method's name, if there is one
	req        proto.Message
	opts       []object.CallOption
	known      *object.MethodInfo // the method, if it and the ID have been found good
}

// calling is the errand of a call of a method, and its trip: all that a call to another node needs. It is used again
// for other calls.
type calling struct {
	trip

	what  call
	away  node.Departure
	steps []transport.Step // memory for those of the call
}

// What is kept of a call's memory for the next: the body of its request, and its chain.
const (
	keptBody  = 16 << 10
	keptSteps = 8
)

// calling returns one to begin with.
func (r *Router) calling() *calling {
	if c, ok := r.callings.Get().(*calling); ok {
		return c
	}
	return new(calling)
}

// recycle keeps one that is over for the next call. Nobody else knows it any more.
func (r *Router) recycle(c *calling) {
	body, steps := c.away.Body, c.steps
	*c = calling{}
	if cap(body) <= keptBody {
		c.away.Body = body[:0]
	}
	if cap(steps) <= keptSteps {
		clear(steps)
		c.steps = steps[:0]
	}
	r.callings.Put(c)
}

// dismiss is the end of one that nobody needs any more.
func (r *Router) dismiss(c *calling) {
	c.release()
	r.recycle(c)
}

// leaves makes c, which is empty, a call of an object of a shard that is not this node's, as that has said already.
func (c *calling) leaves(r *Router, id string, expr object.Expr, req proto.Message, m *object.MethodInfo, shard uint32) {
	w, t := &c.what, &c.trip
	w.id, w.method, w.expr, w.req, w.known = id, m.Name, expr, req, m
	t.router, t.errand, t.op, t.id, t.method, t.shard = r, c, transport.OpCall, id, m.Name, shard
	t.why = object.FromError(node.ErrElsewhere)
}

func (c *calling) local(ctx context.Context) (proto.Message, error) {
	n, w := c.router.cfg.Node, &c.what
	if !w.expr.IsZero() {
		return n.Invoke(ctx, w.id, w.expr, w.req, w.opts...)
	}
	return n.Call(ctx, w.id, w.method, w.req, w.opts...)
}

func (c *calling) pack(ctx context.Context, to *transport.Call) (err error) {
	d, w := &c.away, &c.what
	if w.known != nil && len(w.opts) == 0 { // as most are
		err = c.router.cfg.Node.DepartTo(ctx, d, w.id, w.known, w.req, object.CallSettings{})
	} else {
		err = c.depart(ctx)
	}
	if err != nil {
		return err
	}
	to.Request = d.Request
	to.OneWay, to.AtMostOnce = d.OneWay, d.AtMostOnce
	if len(d.Chain) > 0 {
		c.steps = appendSteps(c.steps[:0], d.Chain)
		to.Chain = c.steps
	}
	return nil
}

// depart makes the call one that leaves.
func (c *calling) depart(ctx context.Context) error {
	n, w := c.router.cfg.Node, &c.what
	if w.known != nil {
		return n.DepartTo(ctx, &c.away, w.id, w.known, w.req, object.Resolve(w.opts))
	}
	return n.Depart(ctx, &c.away, w.id, w.method, w.req, w.opts)
}

func (c *calling) unpack(r object.Reply) (proto.Message, error) { return c.away.Decode(r) }

func (c *calling) release() { c.away.Release() }

// lifeErrand is the creation or deletion of an object. It has no reply.
type lifeErrand struct {
	run    func(ctx context.Context) error // on this node
	encode func() (object.Request, error)
	chain  func(ctx context.Context) (node.Stay, error) // who waits for it

	stay node.Stay
}

func (e *lifeErrand) local(ctx context.Context) (proto.Message, error) { return nil, e.run(ctx) }

func (e *lifeErrand) pack(ctx context.Context, to *transport.Call) (err error) {
	if to.Request, err = e.encode(); err != nil {
		return err
	}
	e.stay, err = e.chain(ctx)
	to.Chain = appendSteps(nil, e.stay.Chain())
	return err
}

func (*lifeErrand) unpack(object.Reply) (proto.Message, error) { return nil, nil }

func (e *lifeErrand) release() { e.stay.End() }
