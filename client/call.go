package client

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/xiaonanln/goverse/internal/w3c"
	"github.com/xiaonanln/goverse/object"
)

// typeURLPrefix is what replies' type URLs begin with, as anypb makes them.
const typeURLPrefix = "type.googleapis.com/"

// call runs one method of the caller's object, behind the earlier calls of its
// connection. The reply is the call's until that is told that it is spent; a call that
// failed never is. Nobody needs in's body when it returns.
func (s *Service) call(ctx context.Context, in *callRequest) (object.Reply, Accepted, error) {
	place := placeOf(ctx)
	defer place.leave()
	sess, err := s.findCaller(in.clientID)
	if err != nil {
		return object.Reply{}, nil, err
	}
	defer s.calls.End()
	ctx, work, err := sess.beginCall(ctx, place, in)
	if work == nil { // it ended just now, or the server began to stop
		_, err := s.findCaller(nil)
		return object.Reply{}, nil, err
	}
	defer work.release()
	if err != nil {
		return object.Reply{}, nil, err
	}
	req := &in.means
	if place == nil || !place.plain {
		if req.Metadata, err = callMetadata(ctx, *req); err != nil {
			return object.Reply{}, nil, err
		}
		ctx = traced(ctx)
	}
	place.wait(ctx, s.clock, s.limits.Body)
	accepted := s.node.Accept(ctx, *req)
	in.letGo()
	place.leave()
	reply, err := accepted.Run()
	if err == nil {
		err = s.fits(req, reply)
	}
	return reply, accepted, err
}

// isPlain reports that the metadata with which an rpc came say nothing to its method.
// Most do not, and to look is less than gRPC's copy of them costs.
func isPlain(header metadata.MD) bool {
	for key := range header {
		if strings.HasPrefix(key, MetadataPrefix) || key == w3c.TraceParent {
			return false
		}
	}
	return true
}

// callMetadata picks what of the rpc's metadata is meant for the method. Of several
// values of a key the last counts; binary values (-bin) stay behind. The prefix stays
// on the keys, so that no method takes what a client says for what its caller says.
func callMetadata(ctx context.Context, req object.Request) (map[string]string, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	p := picker{req: &req}
	for key, values := range incoming {
		if len(values) == 0 {
			continue
		}
		if err := p.add(key, values[len(values)-1]); err != nil {
			return nil, err
		}
	}
	return req.Metadata, nil
}

// picker puts into the metadata of a request what a client may add to it.
type picker struct {
	req  *object.Request
	size int
}

func (p *picker) add(key, value string) error {
	if !strings.HasPrefix(key, MetadataPrefix) || strings.HasSuffix(key, "-bin") {
		return nil
	}
	if p.req.Metadata == nil {
		p.req.Metadata = make(map[string]string)
	}
	p.req.Metadata[key] = value
	p.size += len(key) + len(value)
	switch {
	case !utf8.ValidString(value):
		return refuseCall(*p.req, fmt.Sprintf("metadata %q is not valid UTF-8", key))
	case len(p.req.Metadata) > MaxMetadataEntries || p.size > MaxMetadataBytes:
		return refuseCall(*p.req, fmt.Sprintf("more than %d entries or %d bytes of metadata", MaxMetadataEntries, MaxMetadataBytes))
	}
	return nil
}

// traced returns the context of an rpc with the span that its metadata name as the
// W3C's Trace Context says; one that is there, of the server's own tracing, stays. More
// than one traceparent is none.
func traced(ctx context.Context) context.Context {
	parent := metadata.ValueFromIncomingContext(ctx, w3c.TraceParent)
	if len(parent) != 1 || trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return w3c.With(ctx, parent[0], strings.Join(metadata.ValueFromIncomingContext(ctx, w3c.TraceState), ","))
}

// fits refuses a reply that is larger than a message may be.
func (s *Service) fits(req *object.Request, reply object.Reply) error {
	if _, size := responseSize(reply); size > s.limits.MessageBytes {
		text := fmt.Sprintf("the reply takes %d bytes, at most %d are allowed", size, s.limits.MessageBytes)
		return object.Refuse(object.CodeResourceExhausted, "", "call", req.ID, req.Method, text).WithExecuted(object.ExecutedYes)
	}
	return nil
}

// errUnauthenticated is the one answer to all ids that are not good.
func errUnauthenticated() error {
	return object.Refuse(object.CodeUnauthenticated, "", "call", "", "", "client_id is not that of a connected client")
}

func refuseCall(req object.Request, message string) error {
	return object.Refuse(object.CodeInvalidArgument, "", "call", req.ID, req.Method, message)
}
