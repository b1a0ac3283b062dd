package routing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/internal/transport"
	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
)

// Router finds the node of each object. Its methods are safe for concurrent use.
type Router struct {
	cfg    Config
	view   atomic.Pointer[view] // never nil
	parked lot
	ledger ledger
	host   *Host
	pushes pushes

	begun    time.Time     // when it was made
	zero     time.Duration // the same on the clock's monotonic scale
	callings sync.Pool     // of those that are over
}

var _ object.Runtime = (*Router)(nil)

// New returns a router that serves as if the node were alone: what the node refuses waits until [Router.Serve] runs.
func New(cfg Config) *Router {
	r := &Router{cfg: cfg.withDefaults()}
	r.begun, r.zero = r.cfg.Clock.Now(), r.cfg.Clock.Monotonic()
	r.view.Store(&view{over: make(chan struct{})})
	r.parked.limit, r.parked.share = r.cfg.ParkedCalls, r.cfg.PeerCalls
	r.host = newHost(r)
	return r
}

// view is the cluster as a router sees it, for the time that it serves for one member.
type view struct {
	table Table // nil: there is no member
	self  string
	links *links
	over  chan struct{} // closed when the router has another view
	last  bool          // the router has been closed
}

// ErrServing is the error of a second Serve at the same time.
var ErrServing = errors.New("the router serves already")

// expire is how often Serve looks for what has expired.
const expire = 250 * time.Millisecond

// Serve lets the router find objects by a member's table, over links that network makes, until ctx ends. It should
// begin before the member runs and end after it: the member's own hand-overs need it. Calls under way then wait for the
// next Serve. The links are closed when it returns.
func (r *Router) Serve(ctx context.Context, table Table, network Dialer) error {
	idle := r.view.Load()
	v := &view{table: table, self: table.Incarnation(), links: newLinks(ctx, r.cfg, network, &r.pushes.lost), over: make(chan struct{})}
	if idle.table != nil || idle.last || !r.view.CompareAndSwap(idle, v) {
		return ErrServing
	}
	close(idle.over)
	defer func() {
		if r.view.CompareAndSwap(v, &view{over: make(chan struct{})}) {
			close(v.over)
		}
		v.links.close()
	}()
	for {
		timer := r.cfg.Clock.NewTimer(expire)
		changed := table.Changed()
		v.links.sweep(table)
		r.host.limbo.expire()
		r.pushes.report(ctx, r.cfg.Logger)
		r.ledger.sweep(r.cfg.Clock.Monotonic(), func(node string) bool { _, lives := table.Node(node); return lives })
		select {
		case <-changed:
			timer.Stop()
			if !r.rest(ctx) {
				return nil
			}
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// Close refuses what the node refuses, from now on and where it waits already, instead of looking for other nodes: the
// server has stopped. It may be called again.
func (r *Router) Close() {
	if v := r.view.Swap(&view{over: make(chan struct{}), last: true}); !v.last {
		close(v.over)
	}
}

// rest lets a storm of changes pass; false: ctx ended.
func (r *Router) rest(ctx context.Context) bool {
	timer := r.cfg.Clock.NewTimer(expire / 10)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Host is what the cluster's member drives.
func (r *Router) Host() *Host { return r.host }

// Handler is what the endpoint hands calls of other nodes to.
func (r *Router) Handler() transport.Handler { return &handler{router: r} }

// Call implements [object.Runtime].
func (r *Router) Call(ctx context.Context, id, method string, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	if len(opts) == 0 {
		if e, ok := r.cfg.Node.Elsewhere(id, method, object.Expr{}); ok {
			if reply, flew, err := r.fly(ctx, id, object.Expr{}, req, &e); flew {
				return reply, err
			}
		}
	}
	reply, err := r.cfg.Node.Call(ctx, id, method, req, opts...)
	switch {
	case err != nil && r.leads(err, id):
		return r.call(ctx, call{id: id, method: method, req: req}, opts, err)
	case err != nil && isMissing(err) && r.isClient(id): // nor can it be anywhere else
		r.cfg.Node.Unanswered(ctx, id, method, err)
		return nil, err
	case r.mayLeave(ctx, err) && !lost(err):
		return reply, err
	}
	return r.again(ctx, call{id: id, method: method, req: req}, opts, err)
}

// Invoke implements [object.Runtime].
func (r *Router) Invoke(ctx context.Context, id string, method object.Expr, req proto.Message, opts ...object.CallOption) (proto.Message, error) {
	if len(opts) == 0 {
		if e, ok := r.cfg.Node.Elsewhere(id, "", method); ok {
			if reply, flew, err := r.fly(ctx, id, method, req, &e); flew {
				return reply, err
			}
		}
	}
	reply, err := r.cfg.Node.Invoke(ctx, id, method, req, opts...)
	switch {
	case err != nil && r.leads(err, id):
		return r.call(ctx, call{id: id, method: method.Name(), expr: method, req: req}, opts, err)
	case err != nil && isMissing(err) && r.isClient(id):
		r.cfg.Node.Unanswered(ctx, id, method.Name(), err)
		return nil, err
	case r.mayLeave(ctx, err) && !lost(err):
		return reply, err
	}
	return r.again(ctx, call{id: id, method: method.Name(), expr: method, req: req}, opts, err)
}

// again has a call run whose outcome on this node, err, must not be told, or is lost. A one-way call has none: it was
// accepted.
func (r *Router) again(ctx context.Context, c call, opts []object.CallOption, err error) (proto.Message, error) {
	settings, why := object.Resolve(opts), withheld("call", c.id, c.method)
	switch {
	case settings.OneWay:
		return nil, err
	case settings.AtMostOnce, r.isClient(c.id):
		r.cfg.Node.Unanswered(ctx, c.id, c.method, why)
		return nil, why
	}
	return r.call(ctx, c, opts, why)
}

// leads says whether the refusal of a call means that its object may be elsewhere.
func (r *Router) leads(err error, id string) bool {
	if r.isClient(id) {
		return (isMissing(err) || refused(err)) && !r.isHere(id)
	}
	return refused(err)
}

// mayLeave says whether the outcome of a turn on this node may be told. A turn of this node that runs may know it:
// nothing of it leaves unchecked.
func (r *Router) mayLeave(ctx context.Context, err error) bool {
	return r.cfg.Valid == nil || r.isActing(ctx) || err != nil && object.Executed(err) == object.ExecutedNo || r.cfg.Valid()
}

// isActing says whether ctx belongs to a turn of this node that runs.
func (r *Router) isActing(ctx context.Context) bool {
	runs, _ := r.cfg.Node.Acting(ctx)
	return runs
}

// mayAct says whether what is asked for may have effects outside of the node. On behalf of a turn, it may not without a
// lease: that of the member in whose time the turn began, so it may not either if the turn's shard was lost since. That
// is looked at last: when there is another member, all that the one before had is lost.
func (r *Router) mayAct(ctx context.Context, v *view) bool {
	if object.CallFrom(ctx) == nil {
		return true
	}
	if !r.valid(v) {
		return false
	}
	_, lost := r.cfg.Node.Acting(ctx)
	return !lost
}

// valid says whether the node may answer, as the view's member knows, or the last one.
func (r *Router) valid(v *view) bool {
	if v.table != nil {
		return v.table.Valid()
	}
	return r.cfg.Valid == nil || r.cfg.Valid()
}

// call has a call run that the node refused.
func (r *Router) call(ctx context.Context, what call, opts []object.CallOption, why error) (proto.Message, error) {
	what.opts = slices.Clone(opts) // the caller's stay on its stack
	settings := object.Resolve(what.opts)
	c := r.calling()
	c.what = what
	t := &c.trip
	typ := r.typeOf(what.id)
	t.begin(r, c, transport.OpCall, what.id, what.method, typ, why)
	t.once, t.oneWay, t.mayRun = settings.AtMostOnce, settings.OneWay, lost(why)
	var m *object.MethodInfo
	if typ != nil {
		m = typ.Method(what.method)
	}
	if why == node.ErrElsewhere { //nolint:errorlint // as the node returns it, which has looked at the call
		c.what.known = m
	}
	if t.oneWay {
		t.call.Timeout = max(r.timeoutOf(typ, m), 0)
	}
	return r.sendOff(ctx, c, typ, m)
}

// sendOff brings a call to its end.
func (r *Router) sendOff(ctx context.Context, c *calling, typ *object.Type, m *object.MethodInfo) (proto.Message, error) {
	if _, has := ctx.Deadline(); !has {
		c.timeout = max(r.timeoutOf(typ, m), 0)
	}
	reply, err := c.travel(ctx)
	return r.finish(ctx, c, reply, err)
}

// finish is what is left to do for a call that has ended.
func (r *Router) finish(ctx context.Context, c *calling, reply proto.Message, err error) (proto.Message, error) {
	if err != nil && (!c.told || c.pinned && isGone(err)) {
		r.cfg.Node.Unanswered(ctx, c.what.id, c.what.method, err)
	}
	r.recycle(c)
	return reply, err
}

// after is the time in a while, as the monotonic clock measures it: to read that of the day too costs as much again. Where
// that has been set since the start, such a time shows another one of the day; when it comes does not change.
func (r *Router) after(d time.Duration) time.Time {
	return r.begun.Add(r.cfg.Clock.Monotonic() - r.zero + d)
}

// limit gives a call its time, where its caller has not.
func (r *Router) limit(ctx context.Context, id, method string) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	d := r.timeout(id, method)
	if d <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

// timeout is how long a call takes at most; not positive: there is no limit.
func (r *Router) timeout(id, method string) time.Duration {
	typ := r.typeOf(id)
	if typ == nil {
		return r.timeoutOf(nil, nil)
	}
	return r.timeoutOf(typ, typ.Method(method))
}

// timeoutOf is timeout for a type and a method; nil: unknown.
func (r *Router) timeoutOf(typ *object.Type, m *object.MethodInfo) time.Duration {
	d := time.Duration(0)
	switch {
	case m != nil:
		d = m.CallTimeout
	case typ != nil:
		d = typ.CallTimeout
	}
	if d == 0 {
		d = r.cfg.CallTimeout
	}
	return d
}

// typeOf is the registered type of an object, or nil.
func (r *Router) typeOf(id string) *object.Type {
	name, _, _ := strings.Cut(id, "-")
	return r.cfg.Registry.Lookup(name)
}

func (r *Router) isClient(id string) bool {
	typ := r.typeOf(id)
	return typ != nil && typ.Client
}
