package routing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// handler answers other nodes.
type handler struct{ router *Router }

// AcceptCall implements [transport.Handler]. It gives a call its place at its object where the gate is open, and else in
// the line of those who wait for it.
func (h *handler) AcceptCall(ctx context.Context, c *transport.Call) (run func() *transport.Reply) {
	if c.OneWay && (c.Op == transport.OpPush || c.Op == opGone) {
		h.router.take(ctx, c)
		return taken
	}
	a := h.router.arrival(c)
	checked := a.checked
	a.checked = nil
	a.view, a.ctx, a.call = h.router.view.Load(), w3c.With(ctx, c.TraceParent, c.TraceState), c
	if a.view.table == nil {
		return a.refuse(object.CodeUnavailable, misrouted, "the node is no member of the cluster")
	}
	if remembered(c) {
		if run = a.enroll(); run != nil {
			return run
		}
	}
	return a.accept(checked == a.view)
}

// arrival is a call that has arrived. One that runs at once, and that nobody else has come to know, is used again for
// others.
type arrival struct {
	router  *Router
	begun   func() *transport.Reply // runFirst
	spent   func()                  // recycle
	view    *view
	ctx     context.Context //nolint:containedctx // of the one call
	call    *transport.Call
	checked *view  // what could answer when the call was foreseen; nil: nobody has looked
	epoch   uint64 // of the shard, when the call began last

	refusals int // how often the node refused although the gate was open
	tries    int // how often the call was not passed on

	steps []node.Step     // memory for the call's chain
	first node.Arrival    // the first beginning, if that was at once
	out   transport.Reply // the last reply

	withheld *transport.Reply // what it has come to, if that must not leave

	column     *column       // where it is noted; nil: nowhere
	prev, next *arrival      // guarded by column.mu: others that run
	left       time.Duration // guarded by column.mu: when its context was found ended; 0: it was not
	over       chan struct{} // guarded by column.mu: closed when it is over; nil: nobody waits
}

// Foresee implements [transport.Foreseer]. It looks once for all calls whether this node may answer, which a look at the
// clock decides. Nothing waits between that and the acceptance of the last one, so this is a look before each, by a
// goroutine that was not stopped after it: that none has been nobody can know. What counts is the look before the reply
// leaves, which every call has for itself.
func (h *handler) Foresee(calls []*transport.Call) {
	v := h.router.view.Load()
	if v.table == nil {
		return
	}
	var checked *view
	if v.table.Valid() {
		checked = v
	}
	var memory [16]node.Foreseen
	expected := memory[:0]
	for _, c := range calls {
		if c.Op != transport.OpCall || c.Shard == noShard || len(expected) == cap(expected) {
			continue
		}
		a := h.router.arrival(c)
		a.checked = checked
		v.table.Route(c.Shard) // fetches what the acceptance looks at
		expected = append(expected, node.Foreseen{ID: c.ID, Arrival: &a.first})
	}
	h.router.cfg.Node.Foresee(expected)
}

// arrival returns the one of a call: it stays with the call's memory.
func (r *Router) arrival(c *transport.Call) *arrival {
	if a, ok := c.Local.(*arrival); ok && a.router == r {
		return a
	}
	a := &arrival{router: r}
	a.begun, a.spent = a.runFirst, a.recycle // once, for all calls
	c.Local = a
	return a
}

// recycle leaves an arrival to another call, if the node lets go of it too.
func (a *arrival) recycle() {
	kept := a.column != nil && len(a.out.Body) > copiedBytes // by the ledger
	if !a.first.Spent() {
		a.call.Local = nil
		return
	}
	if kept {
		a.first = node.Arrival{}
	}
	if clear(a.steps); cap(a.steps) > keptSteps {
		a.steps = nil
	}
	a.column = nil
	a.view, a.ctx, a.call, a.epoch, a.out = nil, nil, nil, 0, transport.Reply{}
}

// accept finds the call's place at its object, on a node that may be known to be able to answer.
func (a *arrival) accept(valid bool) (run func() *transport.Reply) {
	r, c := a.router, a.call
	switch {
	case c.Op == opHandover:
		return func() *transport.Reply { return a.reply(object.Reply{}, r.host.receive(c)) }
	case c.Op > transport.OpPush:
		return a.refuse(object.CodeUnimplemented, "", "the node does not know the operation")
	case c.Hops > maxHops:
		return a.refuse(object.CodeUnavailable, misrouted, fmt.Sprintf("the call has been passed on %d times", c.Hops))
	case c.Shard == noShard:
		return a.pinned()
	case c.Op == transport.OpPush:
		return a.refuse(object.CodeInvalidArgument, "", "it is not addressed to a client")
	case c.Shard != r.cfg.Node.ShardOf(c.ID):
		return a.refuse(object.CodeInvalidArgument, "", fmt.Sprintf("the object is not in shard %d", c.Shard))
	case !valid && !c.OneWay && !a.view.table.Valid(): // nobody would try that again
		return a.fenced
	}
	return a.sharded()
}

// sharded finds the place of a call to an object that belongs to a shard.
func (a *arrival) sharded() (run func() *transport.Reply) {
	shard, lot := a.call.Shard, &a.router.parked
	p := a.view.find(a.router.cfg.Node, shard)
	if a.router.cfg.Flaws.IgnoreRequestEpoch {
		a.call.Epoch = 0
	}
	open := p.kind == here && (!a.call.OneWay || a.view.table.Valid())
	switch {
	case open && a.call.Epoch <= p.epoch && !lot.occupied(shard), a.mayPass(p):
		return a.atOnce(p.epoch)
	case open && a.call.Epoch > p.epoch: // whoever says so must not hold up others
		spot := lot.enter(shard, a.call.From, false)
		return func() *transport.Reply { return a.wait(spot) }
	}
	spot := lot.enter(shard, a.call.From, true)
	return func() *transport.Reply { return a.wait(spot) }
}

// atOnce begins the call. If the node refuses, it waits.
func (a *arrival) atOnce(epoch uint64) (run func() *transport.Reply) {
	if a.call.Op == transport.OpCall {
		a.epoch = epoch
		d := a.departure()
		a.first.Begin(a.ctx, a.router.cfg.Node, &d)
		return a.begun
	}
	begun := a.begin(epoch)
	return func() *transport.Reply { return a.runOrWait(begun()) }
}

func (a *arrival) runFirst() (reply *transport.Reply) {
	defer a.exited(&reply)
	r, err := a.first.Run()
	reply = a.runOrWait(r, err)
	if err == nil && reply.Err == nil {
		reply.Spent = a.spent
	}
	return reply
}

// runOrWait is the reply to a call that has run, unless the node refused.
func (a *arrival) runOrWait(reply object.Reply, err error) *transport.Reply {
	if !refused(err) {
		return a.leaves(reply, err)
	}
	return a.wait(a.router.parked.enter(a.call.Shard, a.call.From, false))
}

// mayPass says whether a closed gate may let the call pass: it belongs to a chain that the drain may be waiting for. The
// node decides.
func (a *arrival) mayPass(p place) bool {
	return p.kind == soon && p.epoch != 0 && p.route.Epoch <= p.epoch && len(a.call.Chain) > 0
}

// begin gives the call its place at its object. What it returns runs it.
func (a *arrival) begin(epoch uint64) func() (object.Reply, error) {
	a.epoch = epoch
	c := a.call
	switch c.Op {
	case transport.OpCreate:
		return func() (object.Reply, error) { return object.Reply{}, a.router.create(a.ctx, c.Request, a.chain()) }
	case transport.OpDelete:
		return func() (object.Reply, error) {
			return object.Reply{}, a.router.cfg.Node.DeleteFor(a.ctx, a.chain(), c.ID)
		}
	default:
		return a.router.cfg.Node.Arrive(a.ctx, a.departure())
	}
}

func (a *arrival) departure() node.Departure {
	c := a.call
	return node.Departure{Request: c.Request, Chain: a.chain(), OneWay: c.OneWay, AtMostOnce: c.AtMostOnce}
}

// chain is the turns that wait for the call, as the node knows them, which keeps a copy.
func (a *arrival) chain() []node.Step {
	a.steps = slices.Grow(a.steps[:0], len(a.call.Chain))
	for _, s := range a.call.Chain {
		a.steps = append(a.steps, node.Step{ID: s.ID, Method: s.Method, Turn: node.TurnID(s.Turn)})
	}
	return a.steps
}

// run runs a call that has begun; nil: the node refused, as it does not answer for the object now.
func (a *arrival) run(begun func() (object.Reply, error)) *transport.Reply {
	reply, err := begun()
	if refused(err) {
		return nil
	}
	return a.leaves(reply, err)
}

// leaves is the reply to a call that the node has taken on, if it may still leave. A turn may outlive the lease under
// which it began: it is the member of that time who is asked, which is never valid again. If the shard was handed over
// since, the turn ended before, when the lease was valid.
func (a *arrival) leaves(reply object.Reply, err error) *transport.Reply {
	if !a.view.table.Valid() && !a.router.host.hasMoved(a.call.Shard, a.epoch) {
		e := fenced(a.call.Op.String(), a.call.ID, a.call.Method)
		if err == nil || object.Executed(err) != object.ExecutedNo {
			e = e.WithExecuted(object.ExecutedUnknown)
			a.withheld = &transport.Reply{Reply: reply, Err: told(err), Epoch: a.epoch}
		}
		return a.reply(object.Reply{}, e)
	}
	if object.CodeOf(err) == object.CodeCanceled && object.Executed(err) == object.ExecutedUnknown && a.ctx.Err() == nil {
		err = object.Refuse(object.CodeUnavailable, "", a.call.Op.String(), a.call.ID, a.call.Method,
			"the node has ended the turn").WithExecuted(object.ExecutedUnknown) // not the caller
	}
	return a.reply(reply, err)
}

// reply is what the caller gets, with what this node knows of the shard.
func (a *arrival) reply(reply object.Reply, err error) *transport.Reply {
	if a.call.OneWay && err != nil {
		a.router.cfg.Logger.WarnContext(a.ctx, "one-way call failed", "from", a.call.From, "object", a.call.ID,
			"method", a.call.Method, "error", err.Error())
	}
	out := &a.out
	*out = transport.Reply{Reply: reply, Epoch: a.epoch}
	if err != nil {
		out.Reply, out.Err = object.Reply{}, told(err)
	}
	if a.epoch != 0 {
		if rt, ok := a.view.table.Route(a.call.Shard); ok && rt.Incarnation == a.view.self && rt.Epoch == a.epoch {
			out.Revision = rt.Revision
		}
	}
	if a.column != nil {
		a.column.finish(a, out)
	}
	return out
}

// refuse answers a call without looking further.
func (a *arrival) refuse(code object.Code, reason object.Reason, message string) func() *transport.Reply {
	err := object.Refuse(code, reason, a.call.Op.String(), a.call.ID, a.call.Method, message)
	return func() *transport.Reply { return a.reply(object.Reply{}, err) }
}

// pinned runs what is asked of a client object.
func (a *arrival) pinned() (run func() *transport.Reply) {
	r, c := a.router, a.call
	var begun func() error
	switch {
	case !r.isClient(c.ID):
		return a.refuse(object.CodeInvalidArgument, "", "it belongs to a shard")
	case !a.view.table.Valid() && (!c.OneWay || c.Op != transport.OpCall):
		return a.fenced
	case c.Op == transport.OpCall:
		return a.atClient()
	case c.Op == transport.OpPush:
		return a.refuse(object.CodeInvalidArgument, "", "nobody waits for a push")
	case c.Op == transport.OpDelete:
		begun = func() error { return r.kick(a.ctx, c.ID) }
	default:
		return a.refuse(object.CodeInvalidArgument, "", "client objects come with their connection")
	}
	return func() *transport.Reply { return a.leaves(object.Reply{}, begun()) }
}

// atClient calls a client object. A one-way call, which nobody would send again, waits until the node may answer.
func (a *arrival) atClient() (run func() *transport.Reply) {
	var begun func() (object.Reply, error)
	begin := func() {
		begun = nil
		if !a.call.OneWay || a.view.table.Valid() {
			begun = a.router.cfg.Node.Arrive(a.ctx, a.departure())
		}
	}
	begin()
	return func() *transport.Reply {
		for ; ; begin() {
			if begun != nil {
				if reply, err := begun(); !a.call.OneWay || !refused(err) {
					return a.leaves(reply, err)
				}
			}
			if reply := a.tryAgain(); reply != nil {
				return reply
			}
		}
	}
}
