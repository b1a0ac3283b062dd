package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/xiaonanln/goverse/object"
)

// host is an activation as its object sees it; it implements [object.Host].
type host activation

// parts returns the activation and the node that hosts it.
func (h *host) parts() (*Node, *activation) { return h.shard.node, (*activation)(h) }

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

func (h *host) ID() string { return h.id }

func (h *host) Logger() *slog.Logger { return h.shard.node.cfg.Logger.With("object", h.id) }

func (h *host) Context() context.Context {
	n, a := h.parts()
	a.lock()
	defer a.unlock()
	if x := n.extrasLocked(a); x != nil {
		return x.ctx
	}
	ctx, cancel := context.WithCancel(object.NewContext(n.killed, n.cfg.Runtime))
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

// timerRetry is when a timer that is due on a suspended node looks again.
const timerRetry = 100 * time.Millisecond

// timer calls a method of its activation. Its fields are written once, before it
// starts, but for stopped and done, which the activation's lock guards.
type timer struct {
	host    *host
	method  *object.MethodInfo
	req     proto.Message
	period  time.Duration // zero: once
	t       *time.Timer
	stopped bool
	done    bool // its last call has begun
}

func (h *host) schedule(d, period time.Duration, method string, req proto.Message) func() bool {
	n, a := h.parts()
	m, err := (&wanted{name: method}).of(a.typ, a.id)
	if err == nil && req != nil && !m.Accepts(req) {
		err = object.Refuse(object.CodeInvalidArgument, "", "schedule", a.id, method, "the method takes "+m.RequestName())
	}
	if err != nil {
		h.Logger().Error("timer refused", "method", method, "error", err.Error())
		return func() bool { return false }
	}
	if req != nil {
		req = proto.Clone(req)
	}
	tm := &timer{host: h, method: m, req: req, period: period}
	a.lock()
	defer a.unlock()
	x := n.extrasLocked(a)
	if x == nil {
		return func() bool { return false }
	}
	if x.timers == nil {
		x.timers = make(map[*timer]struct{})
	}
	x.timers[tm] = struct{}{}
	tm.t = n.cfg.Clock.AfterFunc(d, tm.fire)
	return tm.stop
}

// stop reports whether it prevented a call, be it one that waits for its turn.
func (tm *timer) stop() bool {
	_, a := tm.host.parts()
	a.lock()
	defer a.unlock()
	if tm.stopped || tm.done || a.phase == dead {
		return false
	}
	tm.stopped = true
	tm.t.Stop()
	delete(a.extras.timers, tm)
	return true
}

// begins reports whether the timer's call may begin, now that its turn has come.
func (tm *timer) begins() bool {
	_, a := tm.host.parts()
	a.lock()
	defer a.unlock()
	if tm.stopped {
		return false
	}
	if tm.period == 0 {
		tm.done = true
		delete(a.extras.timers, tm)
	}
	return true
}

// fire runs the timer's call on its activation, unless that has ended.
func (tm *timer) fire() {
	n, a := tm.host.parts()
	a.lock()
	over := tm.stopped || a.phase == dead
	switch {
	case over:
	case n.suspended(): // later
		over = true
		tm.t.Reset(timerRetry)
	default:
		n.tasks.Begin()
	}
	a.unlock()
	if over {
		return
	}
	defer n.tasks.End()
	refused := n.runTimer(tm, a)
	a.lock()
	defer a.unlock()
	switch {
	case tm.stopped || tm.done || a.phase == dead:
	case refused:
		tm.t.Reset(timerRetry)
	case tm.period > 0:
		tm.t.Reset(tm.period)
	default: // run, or refused for good
		tm.done = true
		delete(a.extras.timers, tm)
	}
}

// runTimer runs the timer's call; true: it was refused, as the node is suspended.
func (n *Node) runTimer(tm *timer, a *activation) (refused bool) {
	t := &turn{parent: n.killed, act: a, msg: tm.req, flags: bound}
	t.runs(tm.method)
	t.extra().timer = tm
	t.limit(tm.method.CallTimeout)
	err := n.prepare(t, a.typ, tm.method)
	if err == nil {
		n.look(t)
		var w *waiter
		var ok bool
		if w, ok, err = n.enter(t, a); !ok && err == nil {
			t.fail(errEnded)
			return false
		}
		if err == nil {
			err = n.carryOut(t, w)
		} else {
			t.fail(err)
		}
	}
	if errors.Is(err, object.ErrFenced) && object.Executed(err) == object.ExecutedNo {
		return true
	}
	if err != nil && err != errEnded { //nolint:errorlint // internal, never wrapped
		n.cfg.Logger.Warn("timer's call failed", "object", a.id, "method", tm.method.Name, "error", err.Error())
	}
	return false
}
