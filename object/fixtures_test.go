package object_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

type (
	str = wrapperspb.StringValue
	num = wrapperspb.Int64Value
)

// room is an ordinary object type: methods, hooks, and what is its own business.
type room struct {
	object.BaseObject

	members []string
}

func (r *room) Join(_ context.Context, req *str) (*num, error) {
	r.members = append(r.members, req.GetValue())
	return wrapperspb.Int64(int64(len(r.members))), nil
}

func (r *room) Leave(context.Context, *str) (*emptypb.Empty, error) { return nil, nil }

func (r *room) Fail(_ context.Context, req *str) (*str, error) {
	return req, object.NewError(object.CodeAborted, req.GetValue())
}

func (r *room) OnCreate(context.Context, proto.Message) error                  { return nil }
func (r *room) OnActivate(context.Context) error                               { return nil }
func (r *room) OnDeactivate(context.Context, object.DeactivateReason) error    { return nil }
func (r *room) Members() []string                                              { return r.members }
func (r *room) Add(members ...string)                                          { r.members = append(r.members, members...) }
func (r *room) LateContext(*str, context.Context) (*str, error)                { return nil, nil } //nolint:revive // the shape under test
func (r *room) hidden(ctx context.Context, req *str, more int) (string, error) { return "", nil }  //nolint:revive,unused // an unexported near miss

// chatter is an ordinary client type.
type chatter struct{ object.BaseClient }

func (*chatter) Say(_ context.Context, req *str) (*str, error)                 { return req, nil }
func (*chatter) OnConnect(context.Context) error                               { return nil }
func (*chatter) OnDisconnect(ctx context.Context, why object.DisconnectReason) {} //nolint:revive // the hook's form

// register registers prototype in a new registry and returns its type.
func register(t *testing.T, prototype object.Object, opts ...object.RegisterOption) *object.Type {
	t.Helper()
	r := object.NewRegistry()
	if err := r.RegisterObjectType(prototype, opts...); err != nil {
		t.Fatalf("register %T: %v", prototype, err)
	}
	return r.Types()[0]
}

// wantError checks that err is an *Error of that code, about work that did not run,
// and that its text has all parts.
func wantError(t *testing.T, err error, code object.Code, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want %v with %q", code, parts)
	}
	if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != code {
		t.Errorf("error %v (%T), want code %v", err, err, code)
	}
	if object.Executed(err) != object.ExecutedNo {
		t.Errorf("error %v: executed=%v, want no", err, object.Executed(err))
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// wantNot checks that err's text has none of the parts.
func wantNot(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err != nil && strings.Contains(err.Error(), part) {
			t.Errorf("error %q says %q", err, part)
		}
	}
}
