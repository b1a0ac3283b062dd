package routing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/cluster"
	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// The pace of a call that does not find its object.
const (
	// maxHops is how many wrong guesses in a row may follow the hints of other nodes, and how often a node passes a
	// one-way call on.
	maxHops    = 4
	firstPause = time.Millisecond
	maxPause   = 100 * time.Millisecond
	// After that many attempts, some 1.5 s, nobody hurries any more: a change of the route ends a pause in any case.
	hurried   = 24
	longPause = 500 * time.Millisecond
	// patience is how many attempts may fail to reach the owner before the store is asked whether it still is: some 5 s.
	patience = 32
)

// noShard stands for the shard of an object that belongs to none: a client object.
const noShard = ^uint32(0)

// trip is one call on its way to where it can run. It belongs to the caller's goroutine.
type trip struct {
	router     *Router
	op         transport.Op
	id, method string
	shard      uint32
	pinned     bool   // a client object: it is where home is, whoever owns a shard
	home       string // the incarnation of that node; empty: nobody's

	errand  errand
	once    bool
	oneWay  bool
	timeout time.Duration // where the context has no deadline; 0: none

	call   transport.Call
	packed bool // call is what is sent

	why    *object.Error // the last failure; nil: none
	mayRun bool          // an attempt may have run
	told   bool          // the last attempt ended at a node that has counted it
	wrong  uint8         // wrong guesses since the store was asked
	tries  int           // attempts that failed
}

// begin makes t a trip to an object of a type, nil if that is not known. why is what this node has said; nil: it was not
// asked.
func (t *trip) begin(r *Router, e errand, op transport.Op, id, method string, typ *object.Type, why error) {
	t.router, t.errand, t.op, t.id, t.method = r, e, op, id, method
	if why != nil {
		t.why = object.FromError(why)
	}
	if typ != nil && typ.Client {
		t.pinned, t.home, t.shard = true, homeOf(id), noShard
	} else {
		t.shard = r.cfg.Node.ShardOf(id)
	}
}

func newCallID() (id transport.CallID) {
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // G404: a name, no secret
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // G404: the same
	return id
}

// appendSteps appends a chain as it goes to another node.
func appendSteps(to []transport.Step, chain []node.Step) []transport.Step {
	to = slices.Grow(to, len(chain))
	for _, s := range chain {
		to = append(to, transport.Step{ID: s.ID, Method: s.Method, Turn: transport.CallID(s.Turn)})
	}
	return to
}

// outcome is how an attempt ended; if final, how the call did.
type outcome struct {
	final bool
	reply proto.Message
	err   error
}

// travel brings the call to its end.
func (t *trip) travel(ctx context.Context) (proto.Message, error) {
	defer t.errand.release()
	var o outcome
	v := t.router.view.Load()
	if t.timeout > 0 {
		t.call.Deadline = t.router.after(t.timeout)
	}
	p := t.find(v)
	var a attempt
	if p.kind == there && !v.last && !t.oneWay { // most calls end here, and need no timer
		if o, a = t.send(ctx, v, p.route); o.final {
			return o.reply, o.err
		}
	}
	return t.goOn(ctx, v, p.route, a)
}

// goOn brings the call to its end after an attempt that was none; the zero attempt: there was none.
func (t *trip) goOn(ctx context.Context, v *view, to cluster.Route, a attempt) (proto.Message, error) {
	if !t.call.Deadline.IsZero() {
		limited, cancel := context.WithDeadline(ctx, t.call.Deadline)
		defer cancel()
		ctx = limited
	}
	var o outcome
	if a != (attempt{}) {
		o = t.judge(ctx, v, to, a)
	}
	for !o.final {
		o = t.step(ctx)
	}
	return o.reply, o.err
}

// step makes one attempt, or waits until there is one to be made.
func (t *trip) step(ctx context.Context) outcome {
	v := t.router.view.Load()
	if v.last {
		if t.why == nil {
			t.why = object.Refuse(object.CodeUnavailable, "", t.op.String(), t.id, t.method, "the server has stopped")
		}
		return outcome{final: true, err: t.ends(t.why)}
	}
	switch p := t.find(v); p.kind {
	case here:
		return t.stay(ctx, v)
	case there:
		o, a := t.send(ctx, v, p.route)
		if !o.final {
			o = t.judge(ctx, v, p.route, a)
		}
		return o
	default:
		if t.pinned && p.kind == nowhere {
			return outcome{final: true, err: t.ends(clientGone(t.op.String(), t.id, t.method))}
		}
		if !v.await(ctx, p) {
			return outcome{final: true, err: t.expired(ctx)}
		}
		return outcome{}
	}
}

// find says where the object is.
func (t *trip) find(v *view) place {
	if !t.pinned {
		return v.find(t.router.cfg.Node, t.shard)
	}
	switch {
	case t.home == "":
		return place{}
	case v.table == nil:
		return place{kind: soon}
	case t.home == v.self: // this node has said that it is not here
		return place{}
	}
	if rt, ok := v.table.Node(t.home); ok {
		return place{kind: there, route: rt}
	}
	return place{}
}

// stay runs the call on this node, if anything may begin here. What the node refuses is final if the shard's gate has
// been open all the time: then it means it.
func (t *trip) stay(ctx context.Context, v *view) outcome {
	if !t.router.mayLeave(ctx, nil) {
		t.why = fenced(t.op.String(), t.id, t.method)
		return t.holdOut(ctx, v)
	}
	_, open, before := t.router.cfg.Node.Gate(t.shard)
	reply, err := t.errand.local(ctx)
	t.told = !refused(err)
	if t.told {
		if t.oneWay || t.router.mayLeave(ctx, err) && !lost(err) {
			return outcome{true, reply, t.ends(err)}
		}
		t.why, t.mayRun, t.told = object.FromError(withheld(t.op.String(), t.id, t.method)), true, false
		if t.once || t.pinned || t.op != transport.OpCall {
			return outcome{final: true, err: t.ends(t.why)}
		}
		return t.holdOut(ctx, v)
	}
	t.why = object.FromError(err)
	if _, _, after := t.router.cfg.Node.Gate(t.shard); open && after == before {
		return outcome{final: true, err: t.ends(t.why)}
	}
	return outcome{}
}

// holdOut lets some time pass in which the node learns that it is fenced, or is not any more.
func (t *trip) holdOut(ctx context.Context, v *view) outcome {
	t.router.pause(ctx, v, t.tries)
	t.tries++
	if ctx.Err() != nil {
		return outcome{final: true, err: t.expired(ctx)}
	}
	return outcome{}
}

// attempt is one that was not the call's end yet: it got no reply because of err, or a reply that is an error.
type attempt struct {
	err   error
	reply *transport.Reply
}

// landed gives back what the attempt came on, and keeps what its reply says.
func (a *attempt) landed(way transport.Flight) {
	if a.err == nil {
		kept := *a.reply
		kept.Reply = object.Reply{}
		a.reply = &kept
		way.Land()
	}
}

// send lets another member run the call.
func (t *trip) send(ctx context.Context, v *view, to cluster.Route) (outcome, attempt) {
	if err := t.pack(ctx); err != nil {
		return outcome{final: true, err: t.ends(err)}, attempt{}
	}
	if t.oneWay && !v.table.Valid() || !t.router.mayAct(ctx, v) { // what a turn does must not leave
		return outcome{final: true, err: t.ends(fenced(t.op.String(), t.id, t.method))}, attempt{}
	}
	c := &t.call
	t.addressed(&to)
	link := v.links.to(to)
	if t.pinned { // behind what the caller has pushed to the client
		link.flush(ctx, c.Deadline)
	}
	if t.oneWay {
		if err := link.Send(ctx, c); err != nil {
			return outcome{}, attempt{err: err}
		}
		return outcome{final: true}, attempt{}
	}
	way, err := link.Start(ctx, c)
	if err != nil {
		return outcome{}, attempt{err: err}
	}
	reply, err := way.Wait(ctx)
	if err != nil || reply.Err != nil {
		a := attempt{err, reply}
		a.landed(way)
		return outcome{}, a
	}
	if !t.pinned {
		v.learn(t.shard, &to, reply)
	}
	msg, err := t.errand.unpack(reply.Reply) // a copy
	way.Land()
	if err != nil {
		err = object.FromError(err).At(t.op.String(), t.id, t.method).WithExecuted(object.ExecutedYes)
	}
	return outcome{true, msg, err}, attempt{}
}

// addressed makes the call that is sent one to a node.
func (t *trip) addressed(to *cluster.Route) {
	c := &t.call
	c.Shard, c.Epoch, c.Revision, c.Hops = t.shard, to.Epoch, to.Revision, t.wrong
	c.Resent = t.mayRun
}

// learn notes that a shard is where a call was sent, but under a later epoch, if a reply says so.
//
//go:noinline // rarely needed by who calls it on a short stack
func (v *view) learn(shard uint32, to *cluster.Route, reply *transport.Reply) {
	if reply.Epoch > to.Epoch && reply.Revision > to.Revision {
		newer := *to
		newer.Epoch, newer.Revision = reply.Epoch, reply.Revision
		v.table.Learn(shard, newer)
	}
}

// pack makes the call that is sent, once.
func (t *trip) pack(ctx context.Context) error {
	if t.packed {
		return nil
	}
	if t.call.Op = t.op; t.call.CallID == (transport.CallID{}) {
		t.call.CallID = newCallID()
	}
	if err := t.errand.pack(ctx, &t.call); err != nil {
		return err
	}
	t.call.TraceParent, t.call.TraceState = w3c.Of(ctx)
	t.packed = true
	return nil
}

// judge says what becomes of a call after an attempt.
func (t *trip) judge(ctx context.Context, v *view, to cluster.Route, a attempt) outcome {
	if a.err != nil {
		return t.failed(ctx, v, to, object.FromError(a.err))
	}
	return t.answered(ctx, v, to, a.reply)
}

// failed judges an attempt that got no reply.
func (t *trip) failed(ctx context.Context, v *view, to cluster.Route, err *object.Error) outcome {
	t.why, t.told = err, false
	executed := object.Executed(err)
	t.mayRun = t.mayRun || executed != object.ExecutedNo
	if err.Code != object.CodeUnavailable || t.once && executed != object.ExecutedNo {
		return outcome{final: true, err: t.ends(err)}
	}
	if t.tries%patience == patience-1 && !t.pinned && !t.askStore(ctx, v) { // for when the table is not told what happens
		return outcome{final: true, err: t.expired(ctx)}
	}
	return t.pause(ctx, v, to)
}

// answered judges an attempt that another node answered with an error.
func (t *trip) answered(ctx context.Context, v *view, to cluster.Route, reply *transport.Reply) outcome {
	err := reply.Err
	t.why, t.told = err, err.Code != object.CodeUnavailable || object.Executed(err) != object.ExecutedNo
	if err.Code != object.CodeUnavailable {
		return outcome{final: true, err: t.ends(err)}
	}
	switch object.Executed(err) {
	case object.ExecutedYes:
		return outcome{final: true, err: t.ends(err)}
	case object.ExecutedUnknown:
		t.mayRun = true
		if t.once {
			return outcome{final: true, err: t.ends(err)}
		}
	case object.ExecutedNo:
		if err.Reason != misrouted && err.Reason != object.Fenced {
			return outcome{final: true, err: t.ends(err)}
		}
	}
	if o := reply.Owner; o != nil && !t.pinned && o.Cluster == t.router.cfg.Cluster {
		v.table.Learn(t.shard, cluster.Route{Incarnation: o.Incarnation, Address: o.Address, Epoch: reply.Epoch, Revision: reply.Revision})
		t.wrong++
	}
	if t.wrong > maxHops {
		t.wrong = 0
		if !t.askStore(ctx, v) {
			return outcome{final: true, err: t.expired(ctx)}
		}
	}
	return t.pause(ctx, v, to)
}

// ends is the error that the call ends with: it tells whether any attempt may have run.
func (t *trip) ends(err error) error {
	if err == nil {
		return nil
	}
	e := object.FromError(err).At(t.op.String(), t.id, t.method)
	if t.mayRun && object.Executed(e) == object.ExecutedNo {
		e = e.WithExecuted(object.ExecutedUnknown)
	}
	return e
}

// expired is the error of a call whose context has ended before it got anywhere.
func (t *trip) expired(ctx context.Context) error {
	t.told = false
	code := endOf(ctx)
	what := "cancelled"
	if code == object.CodeDeadlineExceeded {
		what = "deadline exceeded"
	}
	text := "the call was not run: " + what + " while no node could answer for the object"
	if t.mayRun {
		text = "the call may have run: " + what + " before any node answered"
	}
	if t.why != nil && t.why.Message != "" {
		text += "; the last said: " + t.why.Message
	}
	return t.ends(object.Refuse(code, "", t.op.String(), t.id, t.method, text))
}
