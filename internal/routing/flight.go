package routing

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// flight is the first attempt of a call without options, on its way to the node that has its object. Nearly all such
// calls end with it. It is on the stack of the caller, who waits on a short one and finds little that is far from the
// processor when the reply is there: all else that it took to send the call has been given back by then. Where the
// attempt was not the end, that is made anew; what tells the call from others and what waits for it stay. Its request
// is encoded again, to other bytes perhaps if it has maps, which nobody compares without an idempotency key.
type flight struct {
	callID   transport.CallID
	deadline time.Time     // the call's own; zero: none
	to       cluster.Route // with its epoch begins what is looked at when the reply is there
	view     *view
	method   *object.MethodInfo
	stay     node.Stay        // of the turn that calls, if one does
	kept     *calling         // of a call that was not sent; else nil
	way      transport.Flight // nil: it was not sent, because of got.err
	got      attempt
}

// fly brings a call to its end that the node has found to be another's. It is false where something has to be looked at
// before, this node first of all: then nothing has happened.
func (r *Router) fly(ctx context.Context, id string, expr object.Expr, req proto.Message, e *node.Elsewhere) (reply proto.Message, flew bool, err error) {
	var f flight
	if !r.takeOff(ctx, &f, id, expr, req, e) {
		return nil, false, nil
	}
	if f.way != nil {
		f.got.reply, f.got.err = f.way.Wait(ctx) // here, as every function between would have to be come back to
	}
	if f.got.err == nil && f.got.reply.Err == nil {
		reply, err = r.land(ctx, &f, id)
	} else {
		f.got.landed(f.way)
		reply, err = r.goOn(ctx, &f, id, expr, req)
	}
	return reply, true, err
}

// takeOff sends a call to the node that has its object, or is false.
func (r *Router) takeOff(ctx context.Context, f *flight, id string, expr object.Expr, req proto.Message, e *node.Elsewhere) bool {
	f.view, f.method = r.view.Load(), e.Method
	if !f.find(e.Shard) || !r.mayAct(ctx, f.view) {
		return false
	}
	c := r.calling()
	c.leaves(r, id, expr, req, e.Method, e.Shard)
	if _, has := ctx.Deadline(); !has {
		if d := r.timeoutOf(e.Type, e.Method); d > 0 {
			c.call.Deadline = r.after(d)
		}
	}
	if err := c.trip.pack(ctx); err != nil {
		r.dismiss(c)
		return false
	}
	f.send(ctx, c)
	if f.got.err != nil {
		f.kept = c
		return true
	}
	f.stay = c.away.Take()
	r.recycle(c)
	return true
}

// find looks for the other member that owns a shard, which this node does not; false: there is more to look at.
func (f *flight) find(shard uint32) (known bool) {
	v := f.view
	if v.table == nil {
		return false
	}
	f.to, known = v.table.Route(shard)
	return known && f.to.Epoch != 0 && f.to.Incarnation != v.self
}

// send sends the call.
func (f *flight) send(ctx context.Context, c *calling) {
	c.addressed(&f.to)
	f.callID, f.deadline = c.call.CallID, c.call.Deadline
	f.way, f.got.err = f.view.links.to(f.to).Start(ctx, &c.call)
}

// land is the end of a call that has been answered.
func (r *Router) land(ctx context.Context, f *flight, id string) (proto.Message, error) {
	if f.stay.Any() {
		return r.landAtTurn(ctx, f, id)
	}
	if f.got.reply.Epoch > f.to.Epoch {
		f.view.learn(r.cfg.Node.ShardOf(id), &f.to, f.got.reply)
	}
	msg, err := node.DecodeReply(f.method, id, f.got.reply.Reply) // a copy
	f.way.Land()
	if err != nil {
		r.cfg.Node.Unanswered(ctx, id, f.method.Name, err)
	}
	return msg, err
}

// landAtTurn is land where a turn waits. It does not any more when the message's own code panics either.
func (r *Router) landAtTurn(ctx context.Context, f *flight, id string) (proto.Message, error) {
	stay := f.stay
	defer stay.End()
	f.stay = node.Stay{}
	return r.land(ctx, f, id)
}

// goOn brings a call to its end whose first attempt was not.
func (r *Router) goOn(ctx context.Context, f *flight, id string, expr object.Expr, req proto.Message) (proto.Message, error) {
	c := f.kept
	if c == nil {
		c = r.calling()
		c.leaves(r, id, expr, req, f.method, r.cfg.Node.ShardOf(id))
		c.call.CallID, c.call.Deadline = f.callID, f.deadline
		c.away.Keep(f.stay)
	}
	reply, err := c.resume(ctx, f)
	return r.finish(ctx, c, reply, err)
}

// resume is goOn of the trip.
func (c *calling) resume(ctx context.Context, f *flight) (proto.Message, error) {
	defer c.release()
	return c.goOn(ctx, f.view, f.to, f.got)
}
