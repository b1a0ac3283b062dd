package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/xiaonanln/goverse/object"
)

// Accept has h accept a call, for implementations: whatever h does wrong is the error of that call, and logged. The
// function it returns is called once, on a goroutine of its own, and calls done once, with a reply that can be sent:
// after a panic and on a goroutine that exits too.
//
// Nothing holds back an AcceptCall that exits its goroutine: an implementation lets that break the link.
func Accept(ctx context.Context, h Handler, c *Call, logger *slog.Logger) (run func(done func(*Reply))) {
	g := guard{ctx: ctx, op: c.Op.String(), id: c.ID, method: c.Method, logger: logger} // the call is the handler's now
	accepted, failed := g.accept(h, c)
	return func(done func(*Reply)) {
		reply := failed
		if accepted == nil {
			done(reply)
			return
		}
		reply = g.broken("the goroutine of the call exited")
		defer func() {
			if p := recover(); p != nil {
				reply = g.panicked(p)
			}
			done(g.fit(reply))
		}()
		if got := accepted(); got != nil {
			reply = got
		} else {
			reply = g.broken("the handler gave no reply")
		}
	}
}

// guard turns what a handler does wrong into replies.
type guard struct {
	ctx            context.Context //nolint:containedctx // of the one call, for its log
	op, id, method string
	logger         *slog.Logger
}

func (g *guard) accept(h Handler, c *Call) (run func() *Reply, failed *Reply) {
	defer func() {
		if p := recover(); p != nil {
			run, failed = nil, g.panicked(p)
		}
	}()
	if run = h.AcceptCall(g.ctx, c); run == nil {
		failed = g.broken("the handler accepted the call without a way to run it")
	}
	return run, failed
}

func (g *guard) panicked(value any) *Reply {
	g.logger.ErrorContext(g.ctx, "handler panicked", "op", g.op, "object", g.id, "method", g.method,
		"panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	return g.reply(object.CodeInternal, "the node panicked; see its log", object.ExecutedUnknown)
}

func (g *guard) broken(message string) *Reply {
	return g.reply(object.CodeInternal, message, object.ExecutedUnknown)
}

// fit returns the reply, or an error in place of one that is too large.
func (g *guard) fit(r *Reply) *Reply {
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

func (g *guard) reply(code object.Code, message string, executed object.Execution) *Reply {
	return &Reply{Err: object.Refuse(code, "", g.op, g.id, g.method, message).WithExecuted(executed)}
}
