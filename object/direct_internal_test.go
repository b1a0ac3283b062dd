package object

import (
	"context"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestCodeOfEqualsReflection(t *testing.T) {
	captured := 1
	for name, f := range map[string]any{
		"function":          TestCodeOfEqualsReflection,
		"method expression": (*BaseObject).ID,
		"method value":      new(BaseObject).ID,
		"closure":           func() int { return captured },
		"builtin shape":     func(context.Context) error { return nil },
	} {
		if got, want := codeOf(f).entry, reflect.ValueOf(f).Pointer(); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	if got := codeOf((func())(nil)).entry; got != 0 {
		t.Errorf("nil function: %#x", got)
	}
}

func TestAcceptsOnlyTheOwnRequest(t *testing.T) {
	m := &MethodInfo{request: messageTypeOf(reflect.TypeFor[*wrapperspb.StringValue]())}
	for name, c := range map[string]struct {
		req             proto.Message
		accepted, isNil bool
	}{
		"its own":      {wrapperspb.String("x"), true, false},
		"its own, nil": {(*wrapperspb.StringValue)(nil), true, true},
		"another":      {wrapperspb.Int64(1), false, false},
		"another, nil": {(*wrapperspb.Int64Value)(nil), false, true},
		"none":         {nil, false, true},
	} {
		if m.Accepts(c.req) != c.accepted || m.IsNil(c.req) != c.isNil {
			t.Errorf("%s: accepted %v, nil %v", name, m.Accepts(c.req), m.IsNil(c.req))
		}
	}
}
