package object_test

import (
	"context"
	"errors"
	"go/token"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
)

func TestMethodInfo(t *testing.T) {
	m := register(t, (*room)(nil)).Method("Join")
	if m.RequestName() != "google.protobuf.StringValue" || m.ReplyName() != "google.protobuf.Int64Value" {
		t.Errorf("request %s, reply %s", m.RequestName(), m.ReplyName())
	}
	req, isStr := m.NewRequest().(*str)
	reply, isNum := m.NewReply().(*num)
	if !isStr || !isNum || req == nil || reply == nil || req == m.NewRequest() || reply == m.NewReply() {
		t.Errorf("NewRequest %T, NewReply %T: want new values each time", m.NewRequest(), m.NewReply())
	}
	if err := proto.Unmarshal([]byte{0x0a, 1, 'x'}, req); err != nil || req.GetValue() != "x" {
		t.Errorf("decode into NewRequest: %v, %q", err, req.GetValue())
	}
	for _, req := range []proto.Message{nil, wrapperspb.Int64(1), &emptypb.Empty{}, (*num)(nil)} {
		if m.Accepts(req) {
			t.Errorf("Accepts(%T)", req)
		}
	}
	for _, req := range []proto.Message{wrapperspb.String("x"), (*str)(nil), m.NewRequest()} {
		if !m.Accepts(req) {
			t.Errorf("does not accept %T", req)
		}
	}
}

// TestInvoke runs the methods of a type found by reflection and of one with thunks:
// a caller must not be able to tell them apart.
func TestInvoke(t *testing.T) {
	thunks := object.Methods(object.Method((*room).Join), object.Method((*room).Leave), object.Method((*room).Fail))
	for way, opts := range map[string][]object.RegisterOption{"direct": nil, "thunk": {thunks}} {
		t.Run(way, func(t *testing.T) {
			typ := register(t, (*room)(nil), opts...)
			obj := typ.New().(*room)
			for i, name := range []string{"alice", "bob"} {
				resp, err := typ.Method("Join").Invoke(t.Context(), obj, wrapperspb.String(name))
				if err != nil || resp.(*num).GetValue() != int64(i+1) {
					t.Errorf("Join = %v, %v; want %d", resp, err, i+1)
				}
			}
			if len(obj.members) != 2 || obj.members[1] != "bob" {
				t.Errorf("members %q", obj.members)
			}
			if _, err := typ.Method("Join").Invoke(t.Context(), obj, (*str)(nil)); err != nil {
				t.Errorf("a nil request of the right type: %v", err)
			}

			resp, err := typ.Method("Leave").Invoke(t.Context(), obj, wrapperspb.String("bob"))
			if e, isEmpty := resp.(*emptypb.Empty); err != nil || !isEmpty || e == nil {
				t.Errorf("nil reply without an error = %#v, %v; want the empty reply", resp, err)
			}

			resp, err = typ.Method("Fail").Invoke(t.Context(), obj, wrapperspb.String("why"))
			if resp != nil || !errors.Is(err, object.ErrAborted) {
				t.Errorf("reply beside an error = %#v, %v; want nil and the error", resp, err)
			}

			for _, req := range []proto.Message{nil, wrapperspb.Int64(1)} {
				if resp, err := typ.Method("Join").Invoke(t.Context(), obj, req); resp != nil || !errors.Is(err, object.ErrInternal) {
					t.Errorf("Invoke with %T = %v, %v; want ErrInternal", req, resp, err)
				}
			}
			if resp, err := typ.Method("Join").Invoke(t.Context(), &ledger{}, wrapperspb.String("x")); resp != nil || !errors.Is(err, object.ErrInternal) {
				t.Errorf("Invoke on another type = %v, %v; want ErrInternal", resp, err)
			}
		})
	}
}

// plainJoin has the shape of a method expression and is none.
func plainJoin(r *room, ctx context.Context, req *str) (*num, error) { return r.Join(ctx, req) } //nolint:revive // the order of a method expression

func (r *room) closure() func(*room, context.Context, *str) (*num, error) {
	return func(o *room, ctx context.Context, req *str) (*num, error) {
		r.members = nil
		return o.Join(ctx, req)
	}
}

func TestMethodsReported(t *testing.T) {
	var none func(*room, context.Context, *str) (*num, error)
	tests := map[string]struct {
		prototype object.Object
		thunk     object.MethodThunk
		part      string
	}{
		"another type's":      {(*room)(nil), object.Method((*ledger).Book), "Methods: Book is a method of *object_test.ledger"},
		"an embedded type's":  {(*promoted)(nil), object.Method((*room).Join), "Methods: Join is a method of *object_test.room"},
		"an embedding type's": {(*room)(nil), object.Method((*promoted).Join), "Methods: Join is a method of *object_test.promoted"},
		"an interface's":      {(*room)(nil), object.Method(joiner.Join), "is a method of object_test.joiner"},
		"a plain function":    {(*room)(nil), object.Method(plainJoin), "Methods: no callable method (github.com/xiaonanln/goverse/object_test.plainJoin)"},
		"a closure":           {(*room)(nil), object.Method((&room{}).closure()), "Methods: no callable method closure.func"},
		"a nil function":      {(*room)(nil), object.Method(none), "Methods: no callable method"},
		"a near miss":         {(*nearMisses)(nil), object.Method((*nearMisses).AnyMessage), "Methods: no callable method AnyMessage"},
		"not made by Method":  {(*room)(nil), object.MethodThunk{}, "Methods: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := object.NewRegistry()
			wantError(t, r.RegisterObjectType(tt.prototype, object.Methods(tt.thunk)), object.CodeInvalidArgument, tt.part)
		})
	}
	r := object.NewRegistry()
	both := object.Methods(object.Method((*promoted).Join), object.Method((*room).Join))
	wantError(t, r.RegisterObjectType((*room)(nil), both), object.CodeInvalidArgument,
		"Methods: Join is given for *object_test.promoted and for *object_test.room")
	if err := r.RegisterObjectType((*promoted)(nil), object.Methods(object.Method((*promoted).Join), object.Method((*promoted).Ask), object.Method((*promoted).List))); err != nil {
		t.Errorf("thunks of promoted methods, named by the type: %v", err)
	}
}

type joiner interface {
	object.Object
	Join(ctx context.Context, req *str) (*num, error)
}

// small has methods so short that the compiler puts other functions' code at their
// first instruction: the name must still be the method's.
type small struct {
	object.BaseObject
	counter
	valuer
}

type (
	counter struct{ last *str }
	valuer  struct{}
)

func (c *counter) Next() *str { c.last = &str{}; return c.last }

func (s *small) Inlined(context.Context, *str) (*str, error)        { return s.Next(), nil }
func (c *counter) Below(context.Context, *str) (*str, error)        { return c.Next(), nil }
func (valuer) Value(_ context.Context, req *str) (*str, error)      { return req, nil }
func (s *small) ÜberName(_ context.Context, req *str) (*str, error) { return req, nil }

type typed[T any] struct {
	object.BaseObject

	v T //nolint:unused // makes instances differ
}

func (t *typed[T]) Do(_ context.Context, req *str) (*str, error) { return req, nil }

func TestMethodName(t *testing.T) {
	tests := map[string]struct {
		method any
		want   string
	}{
		"method":              {(*room).Join, "Join"},
		"hook":                {(*room).OnActivate, "OnActivate"},
		"promoted":            {(*promoted).Join, "Join"},
		"promoted by pointer": {(*promoted).Ask, "Ask"},
		"promoted base":       {(*room).Logger, "Logger"},
		"from an interface":   {(*promoted).List, "List"},
		"inlined body":        {(*small).Inlined, "Inlined"},
		"inlined below":       {(*small).Below, "Below"},
		"value receiver":      {(*small).Value, "Value"},
		"unicode":             {(*small).ÜberName, "ÜberName"},
		"generic type":        {(*typed[int]).Do, "Do"},
		"generic over ours":   {(*typed[func(*room) int]).Do, "Do"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := object.MethodName(tt.method); got != tt.want {
				t.Errorf("MethodName = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMethodNameOfOthers: what is no method expression has a name that no method has.
func TestMethodNameOfOthers(t *testing.T) {
	var none func()
	for name, f := range map[string]any{
		"plain function": plainJoin, "generic function": object.Method[*room, *str, *num], "closure": (&room{}).closure(),
		"method value": (&room{}).Join, "interface method": joiner.Join, "literal": func() {},
		"no function": 42, "nil function": none, "nothing": nil, "a pointer": &none,
	} {
		t.Run(name, func(t *testing.T) {
			if got := object.MethodName(f); token.IsIdentifier(got) {
				t.Errorf("MethodName = %q, which a method can be called", got)
			}
		})
	}
}
