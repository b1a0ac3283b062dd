package object

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// TestMethodOf finds methods by their expressions: those of the type itself, those that it embeds,
// and those of generic types, whose code several types may share.
func TestMethodOf(t *testing.T) {
	typeOf := func(obj Object) *Type {
		methods, problems := discover(reflect.TypeOf(obj), false)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		typ := &Type{goType: reflect.TypeOf(obj), methods: methods}
		for _, m := range methods {
			typ.list = append(typ.list, m)
		}
		return typ
	}
	types := []*Type{
		typeOf(&plain{}), typeOf(&first{}), typeOf(&boxed[string]{}), typeOf(&boxed[*plain]{}), typeOf(&boxed[*first]{}), typeOf(&boxedInt{}),
	}
	for i, c := range []struct {
		expr Expr
		of   int // the index of the type whose method it is
		name string
	}{
		{ExprOf((*plain).Echo), 0, "Echo"},
		{ExprOf((*plain).Leaf), 0, "Leaf"},
		{ExprOf((*plain).Number), 0, "Number"},
		{ExprOf((*first).Leaf), 1, "Leaf"},
		{ExprOf((*boxed[string]).Show), 2, "Show"},
		{ExprOf((*boxed[*plain]).Show), 3, "Show"},
		{ExprOf((*boxed[*first]).Show), 4, "Show"},
		{ExprOf((*boxedInt).Show), 5, "Show"},
		{ExprOf(func(*plain, context.Context, *str) (*str, error) { return nil, nil }), 0, ""},
		{ExprOf[*plain, *str, *str](nil), 0, ""},
	} {
		if c.expr.IsZero() || c.expr.Owner() != types[c.of].goType {
			t.Errorf("%d: it is of %v", i, c.expr.Owner())
		}
		for j, typ := range types {
			var want *MethodInfo
			if j == c.of {
				want = typ.methods[c.name]
			}
			if got := typ.MethodOf(c.expr); got != want {
				t.Errorf("%d: %v finds %+v, want %+v", i, typ.goType, got, want)
			}
			nameless := &Type{goType: typ.goType, list: typ.list}
			if generic := strings.Contains(typ.goType.String(), "["); want != nil && !generic && nameless.MethodOf(c.expr) != want {
				t.Errorf("%d: it is found by its name alone", i)
			}
		}
	}
	if e := (Expr{}); !e.IsZero() || e.Owner() != nil {
		t.Error("the zero Expr is a method's")
	}
}

// TestNilReplyIsTheEmptyMessage: of a method in both ways of calling it, and not beside an error.
func TestNilReplyIsTheEmptyMessage(t *testing.T) {
	methods, _ := discover(reflect.TypeFor[*plain](), false)
	for name, invoke := range map[string]invokeFunc{"found": methods["NilReply"].invoke, "given": Method((*plain).NilReply).invoke} {
		out, err := invoke(&plain{}, t.Context(), new(str))
		if reply, ok := out.(*str); err != nil || !ok || reply == nil || !proto.Equal(reply, new(str)) {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	for name, invoke := range map[string]invokeFunc{"found": methods["ReplyAndError"].invoke, "given": Method((*plain).ReplyAndError).invoke} {
		if out, err := invoke(&plain{}, t.Context(), new(str)); out != nil || err == nil {
			t.Errorf("%s: %v beside %v", name, out, err)
		}
	}
}
