package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/xiaonanln/goverse/object"
)

// Foreseer is a [Handler] that profits from seeing calls together which have come together: what each needs of memory may
// be far from the processor, and comes from there for many in the time that it takes for one.
type Foreseer interface {
	// Foresee is told of calls in the order in which AcceptCall comes next for those of them that are accepted, on the same
	// goroutine. Where that has to wait in between, it is told again of those that are left. It must not change calls, but for their Local.
	// An implementation need not call it: it decides nothing.
	Foresee(calls []*Call)
}

// Foresee tells h of calls that it is about to be given, if it wants to know. A panic is logged: nothing depends on what
// it did.
func Foresee(h Handler, calls []*Call, logger *slog.Logger) {
	f, ok := h.(Foreseer)
	if !ok {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			logger.Error("handler panicked", "op", "foresee", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	f.Foresee(calls)
}

// Guard is a call in the hands of a handler, for implementations: whatever the handler does wrong is the error of that
// call, and logged. [Guard.Accept] is called once, then [Guard.Run], on whatever goroutine may be ended by it.
type Guard struct {
	ctx        context.Context //nolint:containedctx // of the one call, for its log
	op         Op
	id, method string
	logger     *slog.Logger
	accepted   func() *Reply
	failed     *Reply // instead of accepted
}

// Accept has h accept a call. Nothing holds back an AcceptCall that exits its goroutine: an implementation lets that
// break the link.
func (g *Guard) Accept(ctx context.Context, h Handler, c *Call, logger *slog.Logger) {
	*g = Guard{ctx: ctx, op: c.Op, id: c.ID, method: c.Method, logger: logger} // the call is the handler's now
	defer func() {
		if p := recover(); p != nil {
			g.accepted, g.failed = nil, g.panicked(p)
		}
	}()
	if g.accepted = h.AcceptCall(ctx, c); g.accepted == nil {
		g.failed = g.broken("the handler accepted the call without a way to run it")
	}
}

// Run runs the call. It calls done once, with a reply that can be sent: after a panic and on a goroutine that exits too.
func (g *Guard) Run(done func(*Reply)) {
	if g.accepted == nil {
		done(g.failed)
		return
	}
	var reply *Reply
	returned := false
	defer func() {
		if !returned {
			if p := recover(); p != nil {
				reply = g.panicked(p)
			} else {
				reply = g.broken("the goroutine of the call exited")
			}
		}
		done(g.fit(reply))
	}()
	reply = g.accepted()
	returned = true
	if reply == nil {
		reply = g.broken("the handler gave no reply")
	}
}

func (g *Guard) panicked(value any) *Reply {
	g.logger.ErrorContext(g.ctx, "handler panicked", "op", g.op.String(), "object", g.id, "method", g.method,
		"panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	return g.reply(object.CodeInternal, "the node panicked; see its log", object.ExecutedUnknown)
}

func (g *Guard) broken(message string) *Reply {
	return g.reply(object.CodeInternal, message, object.ExecutedUnknown)
}

// fit returns the reply, or an error in place of one that is too large.
func (g *Guard) fit(r *Reply) *Reply {
	size := r.Size()
	if size <= MaxBytes {
		return r
	}
	executed := object.ExecutedYes
	if r.Err != nil {
		executed = object.Executed(r.Err)
	}
	text := fmt.Sprintf("%v: the reply has %d bytes, %d are allowed", ErrTooLarge, size, MaxBytes)
	small := g.reply(object.CodeResourceExhausted, text, executed)
	small.Epoch, small.Revision = r.Epoch, r.Revision
	return small
}

func (g *Guard) reply(code object.Code, message string, executed object.Execution) *Reply {
	return &Reply{Err: object.Refuse(code, "", g.op.String(), g.id, g.method, message).WithExecuted(executed)}
}
