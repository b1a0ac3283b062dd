package client

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	client_pb "github.com/xiaonanln/goverse/client/proto"
	"github.com/xiaonanln/goverse/internal/grpcerr"
	"github.com/xiaonanln/goverse/object"
)

// Call's messages are read and written by hand, as those of Session are: the generated code allocates
// for every part of a request, though its method has been named before, its client_id is only looked
// up, and its body is decoded by the node. The numbers are those of client.proto.
const (
	unaryClientID = 1
	unaryMethod   = 2
	unaryRequest  = 3
	unaryResponse = 1
)

// callRequest is what a CallRequest says. It is used again for other calls: see requests.
type callRequest struct {
	endpoint *endpoint
	data     mem.Buffer // what the parts are parts of; nil: nothing, or nothing to give back

	clientID, method, url, body []byte
	damaged                     bool // it did not decode: what came before the damage is here

	means object.Request // of its client's object, once the call begins
}

// String says nothing of what is in the request, which has its client's secret, to whoever prints it.
func (r *callRequest) String() string { return "a call's request" }

// read takes a CallRequest as it came, which stays until the request is done with.
func (r *callRequest) read(data mem.BufferSlice) {
	r.data = data.MaterializeToBuffer(mem.DefaultBufferPool())
	r.parse(r.data.ReadOnlyData())
}

func (r *callRequest) parse(b []byte) {
	r.damaged = fields(b, func(num protowire.Number, v value) error {
		switch {
		case num == unaryClientID && v.isBytes:
			return takeText(&r.clientID, v.bytes)
		case num == unaryMethod && v.isBytes:
			return takeText(&r.method, v.bytes)
		case num == unaryRequest && v.isBytes:
			return fields(v.bytes, r.takeBody)
		}
		return nil
	}) != nil
}

func (r *callRequest) takeBody(num protowire.Number, v value) error {
	switch {
	case num == anyTypeURL && v.isBytes:
		return takeText(&r.url, v.bytes)
	case num == anyValue && v.isBytes:
		r.body = v.bytes
	}
	return nil
}

// takeText takes a string; what is none leaves the one before.
func takeText(to *[]byte, b []byte) error {
	err := isText(b)
	if err == nil {
		*to = b
	}
	return err
}

// understand sets what the request means for an object.
func (r *callRequest) understand(id string, known *names) error {
	r.means = object.Request{ID: id}
	if r.damaged {
		return refuseCall(r.means, "the request is not a CallRequest")
	}
	r.means.Method = known.of(r.method)
	if len(r.url) > 0 || len(r.body) > 0 {
		r.means.Message, r.means.Body = messageName(known.of(r.url)), r.body
		if r.means.Message == "" {
			return refuseCall(r.means, "the request's type URL names no message")
		}
	}
	return nil
}

// requests are the requests of calls that are over.
type requests struct{ sync.Pool }

func (p *requests) get() *callRequest {
	if r, ok := p.Get().(*callRequest); ok {
		return r
	}
	return new(callRequest)
}

// put takes a request that nobody looks at any more.
func (p *requests) put(r *callRequest) {
	r.letGo()
	*r = callRequest{}
	p.Put(r)
}

// letGo gives back the memory that the request came in.
func (r *callRequest) letGo() {
	if r.data != nil {
		r.data.Free()
		r.data = nil
	}
}

// handleCall is Call's handler on a gRPC server that was made with [Service.ServerOptions]; on others it
// is the generated one.
func handleCall(generated grpc.MethodHandler) grpc.MethodHandler {
	return func(service any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		makeRoom()
		place := placeOf(ctx)
		if place == nil {
			return generated(service, ctx, decode, interceptor)
		}
		e := service.(*endpoint) //nolint:forcetypeassert // Register says so
		in := e.requests.get()
		in.endpoint = e
		if err := decode(in); err != nil {
			place.leave()
			return nil, err
		}
		if interceptor == nil {
			return answerCall(ctx, in)
		}
		return interceptor(ctx, in, &e.callInfo, answerCall)
	}
}

// answerCall is a [grpc.UnaryHandler].
func answerCall(ctx context.Context, request any) (any, error) {
	in := request.(*callRequest) //nolint:forcetypeassert // no interceptor makes another
	e := in.endpoint
	reply, call, err := e.service.call(ctx, in)
	e.requests.put(in)
	if err != nil {
		return nil, grpcerr.ToStatus(err).Err()
	}
	out := newAnswer(reply)
	call.Spent() // the answer has a copy
	return &out.outbound, nil
}

// answer is a CallResponse that is written, in one allocation with what gRPC wants around it.
type answer struct {
	outbound

	piece  mem.SliceBuffer
	pieces [1]mem.Buffer
}

// newAnswer writes a reply.
func newAnswer(reply object.Reply) *answer {
	inner, size := responseSize(reply)
	out := new(answer)
	if mem.IsBelowBufferPoolingThreshold(size) {
		out.piece = appendResponse(make([]byte, 0, size), reply, inner)
		out.pieces[0] = &out.piece
	} else {
		pool := mem.DefaultBufferPool()
		buf := pool.Get(size)
		*buf = appendResponse((*buf)[:0], reply, inner)
		out.pieces[0] = mem.NewBuffer(buf, pool)
	}
	out.data = out.pieces[:]
	return out
}

// responseSize is the size of a CallResponse and of the Any in it.
func responseSize(reply object.Reply) (inner, size int) {
	inner = anySize(typeURLPrefix, reply.Message, reply.Body)
	return inner, tagBytes + protowire.SizeBytes(inner)
}

func appendResponse(b []byte, reply object.Reply, inner int) []byte {
	b = protowire.AppendTag(b, unaryResponse, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner)) //nolint:gosec // G115: a length
	return appendAny(b, typeURLPrefix, reply.Message, reply.Body)
}

// Call implements the rpc where gRPC has other options than the service's, and so another codec.
func (e *endpoint) Call(ctx context.Context, in *client_pb.CallRequest) (*client_pb.CallResponse, error) {
	var r callRequest
	raw, err := proto.Marshal(in)
	if err != nil { // not reached: it has been decoded
		return nil, err
	}
	r.parse(raw)
	reply, _, err := e.service.call(ctx, &r)
	if err != nil {
		return nil, grpcerr.ToStatus(err).Err()
	}
	inner, size := responseSize(reply)
	out := new(client_pb.CallResponse)
	return out, proto.Unmarshal(appendResponse(make([]byte, 0, size), reply, inner), out)
}
