package object

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// Message is a constraint for pointers to generated protobuf messages.
type Message interface {
	comparable
	proto.Message
}

// MethodInfo describes one method of a registered type. It is immutable.
type MethodInfo struct {
	Name        string
	Mode        Mode
	CallTimeout time.Duration // for calls without a deadline; negative: none; zero: the server's default
	Detached    bool

	index   int // in its type's methods
	code    code
	request messageType
	reply   messageType
	invoke  invokeFunc
}

// invokeFunc runs a method, see [MethodInfo.Invoke].
type invokeFunc func(obj Object, ctx context.Context, req proto.Message) (proto.Message, error)

// Index is the method's place among those of its type; see [Type.MethodAt].
func (m *MethodInfo) Index() int { return m.index }

// NewRequest returns a new, empty request.
func (m *MethodInfo) NewRequest() proto.Message { return m.request.make() }

// NewReply returns a new, empty reply.
func (m *MethodInfo) NewReply() proto.Message { return m.reply.make() }

// CloneRequest returns a deep copy of a request, [proto.Clone] of it.
func (m *MethodInfo) CloneRequest(req proto.Message) proto.Message { return m.request.clone(req) }

// CloneReply returns a deep copy of a reply, [proto.Clone] of it.
func (m *MethodInfo) CloneReply(reply proto.Message) proto.Message { return m.reply.clone(reply) }

// Accepts reports whether req is of the method's request type.
func (m *MethodInfo) Accepts(req proto.Message) bool { return m.request.holds(req) }

// IsNil reports whether req, which the method accepts, is a nil pointer.
func (m *MethodInfo) IsNil(req proto.Message) bool { return wordsOf(req).data == nil }

// RequestName returns the full protobuf name of the request, "chat.ChatRoom_JoinRequest".
func (m *MethodInfo) RequestName() string { return m.request.name }

// ReplyName returns the full protobuf name of the reply.
func (m *MethodInfo) ReplyName() string { return m.reply.name }

// Invoke runs the method on obj, which must be of the type that owns it, with a
// request that the method accepts; anything else is [ErrInternal]. The reply is
// nil only beside an error.
func (m *MethodInfo) Invoke(ctx context.Context, obj Object, req proto.Message) (proto.Message, error) {
	return m.invoke(obj, ctx, req)
}

// MethodThunk is a method bound by the compiler; made by [Method], used by [Methods].
type MethodThunk struct {
	name   string
	owner  reflect.Type
	invoke invokeFunc
}

// Method turns a method expression, (*ChatRoom).Join, into a thunk that dispatches
// without reflection.
func Method[O Object, Req, Resp Message](method func(O, context.Context, Req) (Resp, error)) MethodThunk {
	return MethodThunk{
		name:  MethodName(method),
		owner: reflect.TypeFor[O](),
		invoke: func(obj Object, ctx context.Context, req proto.Message) (proto.Message, error) {
			o, okO := obj.(O)
			r, okR := req.(Req)
			if !okO || !okR {
				return nil, misdispatch(obj, req)
			}
			resp, err := method(o, ctx, r)
			var none Resp
			switch {
			case err != nil:
				return nil, err
			case resp == none:
				return none.ProtoReflect().New().Interface(), nil
			}
			return resp, nil
		},
	}
}

// misdispatch is the error of a call that would give a method another type's
// object or request.
func misdispatch(obj Object, req proto.Message) error {
	return Refuse(CodeInternal, "", "dispatch", "", "", fmt.Sprintf("method does not belong to %T or does not take %T", obj, req))
}

// MethodName returns the name of a method expression: "Join" for (*ChatRoom).Join.
// For another function it returns a name that no method has.
func MethodName(method any) string {
	v := reflect.ValueOf(method)
	if v.Kind() != reflect.Func || v.IsNil() {
		return ""
	}
	f := runtime.FuncForPC(v.Pointer())
	if f == nil {
		return ""
	}
	full := f.Name()
	receiver, name, ok := cutLast(full, ").")
	if !ok || !strings.Contains(receiver, ".(*") {
		return "(" + full + ")" // a plain function: parentheses cannot be in a method's name
	}
	return name
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Expr is a method expression, (*ChatRoom).Join.
type Expr struct{ fn any }

// ExprOf keeps a method expression. It allocates nothing.
func ExprOf[O Object, Req, Resp Message](method func(O, context.Context, Req) (Resp, error)) Expr {
	return Expr{fn: method}
}

// IsZero reports whether it is the zero Expr, which is no method's.
func (e Expr) IsZero() bool { return e.fn == nil }

// Owner returns the Go type whose method it is; nil for the zero Expr.
func (e Expr) Owner() reflect.Type {
	if e.fn == nil {
		return nil
	}
	return reflect.TypeOf(e.fn).In(0)
}

// Name returns the method's name; see [MethodName].
func (e Expr) Name() string { return MethodName(e.fn) }
