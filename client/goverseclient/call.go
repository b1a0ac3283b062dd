package goverseclient

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

// Call runs a method of the client's object and returns its reply, which must be of
// type Resp. A nil request is the method's empty message. Outgoing gRPC metadata in
// ctx whose key begins with "client-" reaches the method, as does the trace context.
//
// The error is an [object.Error]; [object.Executed] tells whether the method ran. It
// runs once at most: whether the call may be repeated is for the caller to say. While
// the client connects again the call waits.
func Call[Resp object.Message](ctx context.Context, c *Client, method string, req proto.Message) (Resp, error) {
	var none Resp
	body, err := c.call(ctx, method, req)
	if err != nil {
		return none, err
	}
	resp, ok := none.ProtoReflect().New().Interface().(Resp)
	if !ok {
		return none, badReply(method, fmt.Sprintf("%T cannot be made", none))
	}
	if want := resp.ProtoReflect().Descriptor().FullName(); body.name() != string(want) {
		return none, badReply(method, fmt.Sprintf("it is a %q, not a %s", body.name(), want))
	}
	if err := proto.Unmarshal(body.value, resp); err != nil {
		return none, badReply(method, err.Error())
	}
	return resp, nil
}

// Call is the function [Call] for replies whose type is known only to the server: it
// must be linked into the program.
func (c *Client) Call(ctx context.Context, method string, req proto.Message) (proto.Message, error) {
	body, err := c.call(ctx, method, req)
	if err != nil {
		return nil, err
	}
	resp, err := body.any().UnmarshalNew()
	if err != nil {
		return nil, badReply(method, err.Error())
	}
	return resp, nil
}

func (p packed) any() *anypb.Any { return &anypb.Any{TypeUrl: p.url, Value: p.value} }

// message is the pushed message, as its own type if that is known.
func (p packed) message() proto.Message {
	msg := p.any()
	if known, err := msg.UnmarshalNew(); err == nil {
		return known
	}
	msg.Value = slices.Clone(msg.GetValue()) // what it came in holds others too
	return msg
}

func (p packed) name() string { return p.url[strings.LastIndexByte(p.url, '/')+1:] }

// call is one call, from when it is made until its caller has the outcome.
type call struct {
	method  string
	request []byte    // see appendCall; nil: nobody waits for it
	size    uint64    // at most, of the SessionCall
	due     time.Time // zero: it has no deadline

	done     chan struct{} // capacity 1: has a token when it is resolved
	expected bool          // its caller is, when that has the token; written before

	// Guarded by session.mu.
	state  state
	number uint64 // 0: it has none yet
	reply  reply
	err    *object.Error // it has no reply
}

// state is how far a call has come.
type state uint8

const (
	queued    state = iota // not written
	written                // or to be written again
	resolved               // the caller may have the outcome
	abandoned              // the caller has left
)

// resolve makes the reply the caller's, who is to be told, and is expected then.
func (c *call) resolve(r reply) { c.state, c.reply, c.expected = resolved, r, true }

// fail gives the caller an error.
func (c *call) fail(err *object.Error) {
	c.state, c.err = resolved, err
	c.done <- struct{}{}
}

// append appends the call to a SessionRequest; what nobody waits for is its number alone.
func (c *call) append(b []byte, now time.Time) []byte {
	size := 1 + protowire.SizeVarint(c.number) + len(c.request)
	micros := uint64(0)
	if !c.due.IsZero() && c.request != nil {
		micros = uint64(max(1, c.due.Sub(now)/time.Microsecond))
		size += 1 + protowire.SizeVarint(micros)
	}
	b = appendHead(b, requestCalls, size)
	b = appendNumber(b, callNumber, c.number)
	if micros > 0 {
		b = appendNumber(b, callTimeout, micros)
	}
	return append(b, c.request...)
}

// call makes a call and waits for its outcome.
func (c *Client) call(ctx context.Context, method string, req proto.Message) (packed, error) {
	if err := ctx.Err(); err != nil {
		return packed{}, object.Refuse(object.CodeOf(err), "", "call", "", method, "the call was not made: "+err.Error())
	}
	one := c.pool.get()
	if err := one.fill(ctx, method, req); err != nil {
		return packed{}, err
	}
	if err := c.session.ask(one); err != nil {
		return packed{}, err
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		if executed, left := c.session.leave(one); left {
			err := ctx.Err()
			return packed{}, object.Refuse(object.CodeOf(err), "", "call", "", method, err.Error()).WithExecuted(executed)
		}
		<-one.done
	}
	if one.expected {
		c.session.company.Came()
	}
	return one.outcome(&c.pool)
}

// fill sets what a call asks for.
func (c *call) fill(ctx context.Context, method string, req proto.Message) *object.Error {
	pairs := picked(ctx)
	for _, s := range append(pairs, method) {
		if !utf8.ValidString(s) {
			return object.Refuse(object.CodeInvalidArgument, "", "call", "", method, "the method's name or its metadata is not valid UTF-8")
		}
	}
	body, err := appendCall(c.request[:0], method, req, pairs)
	if err != nil {
		return object.Refuse(object.CodeInvalidArgument, "", "call", "", method, "encode request: "+err.Error())
	}
	if size := len(body) + callFrame + sendExtra; size > maxMessageBytes {
		return object.Refuse(object.CodeResourceExhausted, "", "call", "", method,
			fmt.Sprintf("the request takes %d bytes, at most %d are allowed", size, maxMessageBytes))
	}
	c.method, c.request, c.size = method, body, uint64(len(body)+callExtra)
	c.due, _ = ctx.Deadline()
	return nil
}

// outcome is the reply or error of a call that is resolved.
func (c *call) outcome(idle *pool) (packed, error) {
	r, err, method := c.reply, c.err, c.method
	if err != nil {
		return packed{}, err
	}
	idle.put(c)
	switch {
	case r.ok:
		return r.body, nil
	case r.error == nil:
		return packed{}, badReply(method, "there is none")
	}
	return packed{}, failure(r.error).At("call", "", method)
}

// failure is what a SessionError says.
func failure(b []byte) *object.Error {
	var e client_pb.SessionError
	if err := proto.Unmarshal(b, &e); err != nil {
		return errOdd("an error does not decode: " + err.Error()).WithExecuted(object.ExecutedUnknown)
	}
	st := status.FromProto(&spb.Status{Code: e.GetCode(), Message: e.GetMessage(), Details: e.GetDetails()})
	if err := grpcerr.FromStatus(st); err != nil {
		return err
	}
	return errOdd("an error without a code").WithExecuted(object.ExecutedUnknown)
}

// picked is the metadata that goes with a call: keys and values. As a call is no rpc, an
// instrumentation of gRPC does not add the trace context.
func picked(ctx context.Context) (pairs []string) {
	if parent, state := w3c.Of(ctx); parent != "" {
		pairs = append(pairs, w3c.TraceParent, parent, w3c.TraceState, state)
	}
	outgoing, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		return pairs
	}
	for key, values := range outgoing {
		if strings.HasPrefix(key, metadataPrefix) && len(values) > 0 {
			pairs = append(pairs, key, values[len(values)-1])
		}
	}
	return pairs
}

const metadataPrefix = "client-"

// pool keeps calls that are over, for the next ones.
type pool struct{ sync.Pool }

func (p *pool) get() *call {
	if c, ok := p.Get().(*call); ok {
		return c
	}
	return &call{done: make(chan struct{}, 1)}
}

// mostKept is the largest buffer that a call keeps for the next.
const mostKept = 4 << 10

func (p *pool) put(c *call) {
	if cap(c.request) > mostKept {
		c.request = nil
	}
	*c = call{request: c.request[:0], done: c.done}
	p.Put(c)
}

// badReply is the error of a call that succeeded and whose reply is of no use.
func badReply(method, why string) error {
	return object.Refuse(object.CodeInternal, "", "call", "", method, "decode reply: "+why).WithExecuted(object.ExecutedYes)
}
