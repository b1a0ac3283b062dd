package object

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The shapes of methods that both ways of calling must serve alike. Every type
// logs what its methods saw, so that two objects can be compared after the call.

type (
	str = wrapperspb.StringValue
	num = wrapperspb.Int64Value
)

type ctxKey struct{}

var errShape = errors.New("shape error")

// plain has pointer receivers.
type plain struct {
	BaseObject

	Log  []string
	Kept *str
}

func (p *plain) Echo(_ context.Context, req *str) (*str, error) {
	p.Log = append(p.Log, "Echo "+req.GetValue())
	return req, nil
}

func (p *plain) Leaf(_ context.Context, req *str) (*str, error) { return req, nil }

func (p *plain) CtxValue(ctx context.Context, _ *str) (*str, error) {
	v, _ := ctx.Value(ctxKey{}).(string)
	return wrapperspb.String(v), nil
}

func (p *plain) NilReply(context.Context, *str) (*str, error) { return nil, nil }

func (p *plain) NilReplyError(context.Context, *str) (*str, error) { return nil, errShape }

func (p *plain) ReplyAndError(_ context.Context, req *str) (*str, error) { return req, errShape }

func (p *plain) NilCodedError(context.Context, *str) (*str, error) {
	var none *Error
	return nil, none
}

func (p *plain) Panics(_ context.Context, req *str) (*str, error) {
	panic(fmt.Sprintf("panic about %q", req.GetValue()))
}

func (p *plain) PanicsAtNil(context.Context, *str) (*str, error) {
	var none *plain
	return none.Kept, nil
}

func (p *plain) Recovers(_ context.Context, req *str) (resp *str, err error) {
	defer func() { err = fmt.Errorf("recovered %v", recover()) }()
	panic(req.GetValue())
}

func (p *plain) Keeps(_ context.Context, req *str) (*str, error) {
	old := p.Kept
	p.Kept = req
	return old, nil
}

func (p *plain) Empty(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (p *plain) Number(_ context.Context, req *str) (*num, error) {
	return wrapperspb.Int64(int64(len(req.GetValue()))), nil
}

func (p *plain) Struct(_ context.Context, req *structpb.Struct) (*structpb.Value, error) {
	return structpb.NewStructValue(req), nil
}

func (p *plain) Time(_ context.Context, req *timestamppb.Timestamp) (*durationpb.Duration, error) {
	return &durationpb.Duration{Seconds: req.GetSeconds(), Nanos: req.GetNanos()}, nil
}

func (p *plain) Any(_ context.Context, req *anypb.Any) (*anypb.Any, error) {
	return &anypb.Any{TypeUrl: req.GetTypeUrl(), Value: append([]byte("x"), req.GetValue()...)}, nil
}

func (p *plain) Mask(_ context.Context, req *fieldmaskpb.FieldMask) (*structpb.ListValue, error) {
	out := &structpb.ListValue{}
	for _, path := range req.GetPaths() {
		out.Values = append(out.Values, structpb.NewStringValue(path))
	}
	return out, nil
}

func (p *plain) Large(_ context.Context, req *descriptorpb.FileDescriptorProto) (*descriptorpb.FileDescriptorProto, error) {
	req.Name = new(req.GetName() + "!")
	return req, nil
}

func (p *plain) Goroutine(_ context.Context, req *str) (*str, error) {
	done := make(chan *str)
	go func() { done <- wrapperspb.String(req.GetValue() + " elsewhere") }()
	return <-done, nil
}

// valued has value receivers, behind which the compiler puts a copy of the object.
type valued struct {
	*logged
	BaseObject

	A, B, C, D, E, F int64
	Text             string
}

type logged struct{ Log []string }

func (v valued) Sum(_ context.Context, req *num) (*num, error) {
	v.logged.Log = append(v.logged.Log, v.Text)
	v.A++ // the copy's
	return wrapperspb.Int64(v.A + v.B + v.C + v.D + v.E + v.F + req.GetValue()), nil
}

func (v valued) Itself(_ context.Context, req *num) (*num, error) { return req, nil }

// big is copied for each call of its value receiver, on the stack.
type big struct {
	BaseObject

	Block [4096]int64
}

func (b big) Last(_ context.Context, req *num) (*num, error) {
	b.Block[0] = req.GetValue()
	return wrapperspb.Int64(b.Block[0] + b.Block[4095]), nil
}

// first and later embed plain at offset zero and elsewhere; deep goes through a
// pointer, and through an interface.
type first struct{ plain }

type later struct {
	pad
	plain
}

type pad struct{ P [3]int64 }

type service interface {
	Serve(ctx context.Context, req *str) (*str, error)
}

type server struct{ Served int }

func (s *server) Serve(_ context.Context, req *str) (*str, error) {
	s.Served++
	return wrapperspb.String(fmt.Sprint(s.Served, req.GetValue())), nil
}

type deep struct {
	service
	*middle
	BaseObject
}

type middle struct {
	inner
	peeker
}

type inner struct{ Count int64 }

func (i *inner) Inc(_ context.Context, req *num) (*num, error) {
	i.Count += req.GetValue()
	return wrapperspb.Int64(i.Count), nil
}

type peeker struct{ Seen int64 }

func (p peeker) Peek(context.Context, *num) (*num, error) { return wrapperspb.Int64(p.Seen), nil }

// boxed is generic: its methods take a hidden dictionary.
type boxed[T any] struct {
	BaseObject

	V T
}

func (b *boxed[T]) Show(_ context.Context, req *str) (*str, error) {
	return wrapperspb.String(fmt.Sprintf("%T %v %s", b.V, b.V, req.GetValue())), nil
}

type boxedInt struct{ boxed[int64] }
