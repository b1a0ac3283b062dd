package node

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// host implements [object.Host] for one activation.
type host struct {
	node *Node
	act  *activation
}

// extras is what few activations have: a context of their own, timers, remembered
// calls. It is guarded by the activation's mutex.
type extras struct {
	ctx    context.Context //nolint:containedctx // the life of the activation, not a caller's
	cancel context.CancelFunc
	timers map[*timer]struct{}
	seen   *outcomes
}

// end stops all that an activation's extras run. It is called once, after the
// activation is out of the map.
func (x *extras) end() {
	if x == nil {
		return
	}
	x.cancel()
	for tm := range x.timers {
		tm.t.Stop()
	}
}

// extrasLocked returns the activation's extras, made on first use; nil for one
// that has ended.
func (n *Node) extrasLocked(a *activation) *extras {
	if a.phase == dead {
		return nil
	}
	if a.extras == nil {
		ctx, cancel := context.WithCancel(object.NewContext(n.killed, n.cfg.Runtime))
		a.extras = &extras{ctx: ctx, cancel: cancel}
	}
	return a.extras
}

func (h *host) ID() string { return h.act.id }

func (h *host) Logger() *slog.Logger { return h.node.cfg.Logger.With("object", h.act.id) }

func (h *host) Context() context.Context {
	h.act.lock()
	defer h.act.unlock()
	if x := h.node.extrasLocked(h.act); x != nil {
		return x.ctx
	}
	ctx, cancel := context.WithCancel(object.NewContext(h.node.killed, h.node.cfg.Runtime))
	cancel()
	return ctx
}

func (h *host) AfterFunc(d time.Duration, method string, req proto.Message) func() bool {
	return h.schedule(d, 0, method, req)
}

func (h *host) Every(d time.Duration, method string, req proto.Message) func() bool {
	if d <= 0 {
		h.Logger().Error("timer refused: the period is not positive", "method", method, "period", d)
		return func() bool { return false }
	}
	return h.schedule(d, d, method, req)
}

// timer calls a method of its activation. Its fields are written once, before it
// starts, but for stopped, which the activation's mutex guards.
type timer struct {
	host    *host
	method  *object.MethodInfo
	req     proto.Message
	period  time.Duration // zero: once
	t       *time.Timer
	stopped bool
}

func (h *host) schedule(d, period time.Duration, method string, req proto.Message) func() bool {
	m, err := wanted{name: method}.of(h.act.typ, h.act.id)
	if err == nil && req != nil && !m.Accepts(req) {
		err = object.Refuse(object.CodeInvalidArgument, "", "schedule", h.act.id, method, "the method takes "+m.RequestName())
	}
	if err != nil {
		h.Logger().Error("timer refused", "method", method, "error", err.Error())
		return func() bool { return false }
	}
	if req != nil {
		req = proto.Clone(req)
	}
	tm := &timer{host: h, method: m, req: req, period: period}
	h.act.lock()
	defer h.act.unlock()
	x := h.node.extrasLocked(h.act)
	if x == nil {
		return func() bool { return false }
	}
	if x.timers == nil {
		x.timers = make(map[*timer]struct{})
	}
	x.timers[tm] = struct{}{}
	tm.t = h.node.cfg.Clock.AfterFunc(d, tm.fire)
	return tm.stop
}

// stop reports whether it prevented a call.
func (tm *timer) stop() bool {
	a := tm.host.act
	a.lock()
	defer a.unlock()
	if tm.stopped {
		return false
	}
	tm.stopped = true
	if a.extras != nil {
		delete(a.extras.timers, tm)
	}
	return tm.t.Stop() || tm.period > 0
}

// fire runs the timer's call on its activation, unless that has ended.
func (tm *timer) fire() {
	n, a := tm.host.node, tm.host.act
	a.lock()
	over := tm.stopped || a.phase == dead
	if !over {
		n.tasks.begin()
		if tm.period == 0 {
			tm.stopped = true
			delete(a.extras.timers, tm)
		}
	}
	a.unlock()
	if over {
		return
	}
	defer n.tasks.end()
	n.runTimer(tm, a)
	if tm.period == 0 {
		return
	}
	a.lock()
	defer a.unlock()
	if !tm.stopped && a.phase != dead {
		tm.t.Reset(tm.period)
	}
}

func (n *Node) runTimer(tm *timer, a *activation) {
	t := &turn{parent: n.killed, node: n, id: a.id, method: tm.method, mode: tm.method.Mode, req: tm.req, flags: flags{bound: true}}
	t.limit(tm.method.CallTimeout)
	err := n.prepare(t, a.typ)
	if err == nil {
		var w *waiter
		var ok bool
		if w, ok, err = n.enter(t, a); !ok && err == nil {
			return
		}
		if err == nil {
			err = n.carryOut(t, w)
		}
	}
	if err != nil && err != errEnded { //nolint:errorlint // internal, never wrapped
		n.cfg.Logger.Warn("timer's call failed", "object", a.id, "method", tm.method.Name, "error", err.Error())
	}
}
