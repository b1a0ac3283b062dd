package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

// task is what the service's crew does.
type task interface{ do() }

// start has tasks done, of which the session that they are of is not forgotten before. The company has been told of the
// calls among them.
func (s *Service) start(tasks ...task) {
	if len(tasks) > 0 {
		s.trimmer.note()
		s.crew.Go(tasks...)
	}
}

// running is a call of a session. Its method may keep it, as its context: what else it asks for
// stays in its message.
type running struct {
	callContext

	talk     *resumable
	number   uint64
	size     int // of its request
	method   string
	metadata map[string]string
	trace    *traceContext // nil: it came without one

	accepted Accepted
}

// traceContext is the trace context that a call came with.
type traceContext struct{ parent, state string }

// failed is a call that was not accepted.
type failed struct{ err error }

func (f failed) Run() (object.Reply, error) { return object.Reply{}, f.err }

func (failed) Spent() {}

// newRunning makes what a SessionCall means. The error is the call's.
func (t *resumable) newRunning(c *sessionCall) (*running, error) {
	r := &running{talk: t, number: c.number, size: c.size, method: c.method}
	r.clock = t.service.clock
	if c.micros > 0 {
		const most = uint64(1<<63-1) / uint64(time.Microsecond)
		r.deadline = r.clock.Now().Add(time.Duration(min(c.micros, most)) * time.Microsecond)
	}
	req := object.Request{ID: t.id, Method: c.method}
	if c.hasBody() && messageName(c.url) == "" {
		return r, refuseCall(req, "the request's type URL names no message")
	}
	var trace traceContext
	picked := picker{req: &req}
	for _, p := range c.metadata {
		switch p.key {
		case w3c.TraceParent:
			trace.parent = p.value
		case w3c.TraceState:
			trace.state = p.value
		default:
			if err := picked.add(p.key, p.value); err != nil {
				return r, err
			}
		}
	}
	if trace.parent != "" {
		r.trace = &traceContext{trace.parent, trace.state}
	}
	r.metadata = req.Metadata
	return r, nil
}

// accept gives the call, which came so, its place at its object.
func (r *running) accept(node Node, c *sessionCall) {
	defer func() {
		if reason := recover(); reason != nil {
			r.accepted = failed{r.crashed(reason)}
		}
	}()
	ctx := context.Context(r)
	if r.trace != nil {
		ctx = w3c.With(ctx, r.trace.parent, r.trace.state)
	}
	req := object.Request{ID: r.talk.id, Method: r.method, Metadata: r.metadata}
	if c.hasBody() {
		req.Message, req.Body = messageName(c.url), c.body
	}
	r.accepted = node.Accept(ctx, req)
}

func (r *running) crashed(reason any) error {
	return r.talk.service.crashed(r, client_pb.ClientService_Session_FullMethodName, reason)
}

// do implements [task]: it runs the call.
func (r *running) do() {
	r.talk.service.company.Came()
	var reply object.Reply
	var err error
	returned := false
	defer func() {
		if reason := recover(); reason != nil {
			err = r.crashed(reason)
		} else if !returned {
			err = object.Refuse(object.CodeInternal, "", "call", r.talk.id, r.method, "the goroutine of the method exited").WithExecuted(object.ExecutedYes)
		}
		r.talk.answer(r, reply, err)
		if returned {
			r.accepted.Spent() // the answer has a copy
		}
	}()
	reply, err = r.accepted.Run()
	returned = true
}

// appendAnswer appends the outcome of a call to a log. A reply must not take more than
// most bytes.
func appendAnswer(log *outlog, number uint64, reply object.Reply, most int) (fits bool) {
	size := anySize(typeURLPrefix, reply.Message, reply.Body)
	inner, total := nestedSize(number, size)
	if total > most {
		return false
	}
	b := log.room(total)
	b = appendNested(b, respReplies, inner, replyCall, number, replyBody, size)
	log.add(appendAny(b, typeURLPrefix, reply.Message, reply.Body))
	return true
}

// appendFailure appends the error of a call to a log.
func appendFailure(log *outlog, number uint64, err error) {
	st := grpcerr.ToStatus(err).Proto()
	b, merr := proto.Marshal(&client_pb.SessionError{Code: st.GetCode(), Message: st.GetMessage(), Details: st.GetDetails()})
	if merr != nil { // not reached: ToStatus makes valid text
		b = nil
	}
	inner, total := nestedSize(number, len(b))
	out := log.room(total)
	out = appendNested(out, respReplies, inner, replyCall, number, replyError, len(b))
	log.add(append(out, b...))
}

// appendReceived appends the number of the last call that was received.
func appendReceived(b []byte, number uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, respReceived, protowire.VarintType), number)
}
