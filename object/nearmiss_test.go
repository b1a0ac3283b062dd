package object_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/xiaonanln/goverse/object"
)

// nearMisses has one method for each way to miss the form.
type nearMisses struct{ object.BaseObject }

// wrapped embeds a message, and so has its methods without being one.
type wrapped struct {
	*str

	More [8]int64
}

type wrappedByValue struct {
	str

	More [8]int64
}

type wrappedInterface struct{ proto.Message }

type notError interface{ Error() string }

func (*nearMisses) Good(_ context.Context, req *str) (*str, error) { return req, nil }

func (*nearMisses) Variadic(context.Context, ...*str) (*str, error) { return nil, nil }

func (*nearMisses) VariadicMore(context.Context, *str, ...int) (*str, error) { return nil, nil }

func (*nearMisses) NoRequest(context.Context) (*str, error) { return nil, nil }

func (*nearMisses) TwoRequests(_ context.Context, _, _ *str) (*str, error) { return nil, nil }
func (*nearMisses) NoResults(context.Context, *str)                        {}
func (*nearMisses) OnlyError(context.Context, *str) error                  { return nil }
func (*nearMisses) OnlyReply(context.Context, *str) *str                   { return nil }
func (*nearMisses) ThreeResults(context.Context, *str) (*str, bool, error) { return nil, false, nil }

func (*nearMisses) Swapped(context.Context, *str) (error, *str) { return nil, nil } //nolint:revive,staticcheck // the near miss

func (*nearMisses) OwnError(context.Context, *str) (*str, *object.Error) { return nil, nil }

func (*nearMisses) LikeError(context.Context, *str) (*str, notError)             { return nil, nil }
func (*nearMisses) ValueRequest(context.Context, wrappedInterface) (*str, error) { return nil, nil }
func (*nearMisses) ValueReply(context.Context, *str) (wrappedInterface, error) {
	return wrappedInterface{}, nil
}

func (*nearMisses) StringRequest(context.Context, string) (*str, error) { return nil, nil }

func (*nearMisses) StringReply(context.Context, *str) (string, error) { return "", nil }

func (*nearMisses) PointerPointer(context.Context, **str) (*str, error) { return nil, nil }

func (*nearMisses) ForeignRequest(context.Context, *strings.Builder) (*str, error) { return nil, nil }

func (*nearMisses) ForeignReply(context.Context, *str) (*strings.Builder, error) { return nil, nil }

func (*nearMisses) AnyMessage(context.Context, proto.Message) (*str, error) { return nil, nil }

func (*nearMisses) AnyReply(context.Context, *str) (proto.Message, error) { return nil, nil }

func (*nearMisses) AnyAtAll(context.Context, any) (*str, error) { return nil, nil }

func (*nearMisses) Dynamic(context.Context, *dynamicpb.Message) (*str, error) { return nil, nil }

func (*nearMisses) Wrapped(context.Context, *wrapped) (*str, error) { return nil, nil }

func (*nearMisses) WrappedReply(context.Context, *str) (*wrappedByValue, error) { return nil, nil }

func (*nearMisses) WrappedValue(context.Context, *wrappedByValue) (*str, error) { return nil, nil }

func (*nearMisses) WrappedInterface(context.Context, *wrappedInterface) (*str, error) {
	return nil, nil
}

func (*nearMisses) SliceRequest(context.Context, []*str) (*str, error) { return nil, nil }

func (*nearMisses) ChanReply(context.Context, *str) (chan *str, error) { return nil, nil }

// reasons says what registration must report of each near miss.
var reasons = map[string]string{
	"Variadic":         "(context.Context, []*wrapperspb.StringValue) (*wrapperspb.StringValue, error): FORM it is variadic",
	"VariadicMore":     "(context.Context, *wrapperspb.StringValue, []int) (*wrapperspb.StringValue, error): FORM it is variadic",
	"NoRequest":        "(context.Context) (*wrapperspb.StringValue, error): FORM it takes 1 parameters, not 2",
	"TwoRequests":      "(context.Context, *wrapperspb.StringValue, *wrapperspb.StringValue) (*wrapperspb.StringValue, error): FORM it takes 3 parameters, not 2",
	"NoResults":        "(context.Context, *wrapperspb.StringValue): FORM it has 0 results, not 2",
	"OnlyError":        "(context.Context, *wrapperspb.StringValue) error: FORM it has 1 results, not 2",
	"OnlyReply":        "(context.Context, *wrapperspb.StringValue) *wrapperspb.StringValue: FORM it has 1 results, not 2",
	"ThreeResults":     "(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, bool, error): FORM it has 3 results, not 2",
	"Swapped":          ": FORM its second result is *wrapperspb.StringValue, not error",
	"OwnError":         ": FORM its second result is *object.Error, not error",
	"LikeError":        ": FORM its second result is object_test.notError, not error",
	"ValueRequest":     ": FORM its request is object_test.wrappedInterface, not the pointer *object_test.wrappedInterface",
	"ValueReply":       ": FORM its reply is object_test.wrappedInterface, not the pointer *object_test.wrappedInterface",
	"StringRequest":    ": FORM its request is string, which is no pointer to a protobuf message",
	"StringReply":      ": FORM its reply is string, which is no pointer to a protobuf message",
	"PointerPointer":   ": FORM its request is **wrapperspb.StringValue, which is no pointer to a protobuf message",
	"ForeignRequest":   ": FORM its request is *strings.Builder, which is no pointer to a protobuf message",
	"ForeignReply":     ": FORM its reply is *strings.Builder, which is no pointer to a protobuf message",
	"AnyMessage":       ": FORM its request is protoreflect.ProtoMessage, which is no pointer to a protobuf message",
	"AnyReply":         ": FORM its reply is protoreflect.ProtoMessage, which is no pointer to a protobuf message",
	"AnyAtAll":         ": FORM its request is interface {}, which is no pointer to a protobuf message",
	"Dynamic":          ": FORM its request is *dynamicpb.Message, which is no generated protobuf message itself",
	"Wrapped":          ": FORM its request is *object_test.wrapped, which is no generated protobuf message itself",
	"WrappedReply":     ": FORM its reply is *object_test.wrappedByValue, which is no generated protobuf message itself",
	"WrappedValue":     ": FORM its request is *object_test.wrappedByValue, which is no generated protobuf message itself",
	"WrappedInterface": ": FORM its request is *object_test.wrappedInterface, which is no generated protobuf message itself",
	"SliceRequest":     ": FORM its request is []*wrapperspb.StringValue, which is no pointer to a protobuf message",
	"ChanReply":        ": FORM its reply is chan *wrapperspb.StringValue, which is no pointer to a protobuf message",
}

// TestNearMisses wants every near miss reported, with its reason, in one error.
func TestNearMisses(t *testing.T) {
	const form = "want (context.Context, *Request) (*Reply, error) with protobuf messages:"
	r := object.NewRegistry()
	err := r.RegisterObjectType((*nearMisses)(nil))
	wantError(t, err, object.CodeInvalidArgument, "register: type *object_test.nearMisses: ")
	for name, reason := range reasons {
		want := "method " + name + strings.Replace(reason, "FORM", form, 1)
		if strings.HasPrefix(reason, ":") {
			// Only the reason is spelled out; any signature may stand before it.
			prefix, rest := "method "+name+"(", strings.TrimPrefix(strings.Replace(reason, "FORM", form, 1), ": ")
			if !hasLine(err, prefix, rest) {
				t.Errorf("error does not report %q with %q:\n%s", prefix, rest, lines(err))
			}
			continue
		}
		if !hasLine(err, want, want) {
			t.Errorf("error does not report %q:\n%s", want, lines(err))
		}
	}
	wantNot(t, err, "Good")
	if got := strings.Count(err.Error(), "method "); got != len(reasons) {
		t.Errorf("%d problems reported, want %d:\n%s", got, len(reasons), lines(err))
	}
	if r.Lookup("nearMisses") != nil {
		t.Error("the refused type is registered")
	}
}

func split(err error) []string {
	e, _ := errors.AsType[*object.Error](err)
	return strings.Split(strings.TrimPrefix(e.Message, "type *object_test.nearMisses: "), "; ")
}

func hasLine(err error, prefix, suffix string) bool {
	for _, line := range split(err) {
		if strings.HasPrefix(line, prefix) && strings.HasSuffix(line, suffix) {
			return true
		}
	}
	return false
}

func lines(err error) string { return strings.Join(split(err), "\n") }

// Hooks with other signatures, and hooks of the other kind of type.
type (
	badHooks    struct{ object.BaseObject }
	clientish   struct{ object.BaseObject }
	badClient   struct{ object.BaseClient }
	objectish   struct{ object.BaseClient }
	hookLikeRPC struct{ object.BaseObject }
)

func (*badHooks) OnCreate(context.Context, *str) error { return nil }
func (*badHooks) OnActivate() error                    { return nil }
func (*badHooks) OnDeactivate(context.Context) error   { return nil }

func (*clientish) OnConnect(context.Context) error                             { return nil }
func (*clientish) OnDisconnect(context.Context, object.DisconnectReason)       {}
func (*clientish) Fine(_ context.Context, req *str) (*str, error)              { return req, nil }
func (*badClient) OnConnect(context.Context)                                   {}
func (*badClient) OnDisconnect(context.Context, object.DisconnectReason) error { return nil }
func (*objectish) OnCreate(context.Context, proto.Message) error               { return nil }
func (*objectish) OnActivate(context.Context) error                            { return nil }
func (*objectish) OnDeactivate(context.Context, object.DeactivateReason) error { return nil }
func (*hookLikeRPC) OnConnect(_ context.Context, req *str) (*str, error)       { return req, nil }
func (*hookLikeRPC) OnActivate(_ context.Context, req *str) (*str, error)      { return req, nil }

func TestHooksWithOtherSignatures(t *testing.T) {
	const reserved = "method %s: the name is reserved for a hook of %s types"
	r := object.NewRegistry()
	wantError(t, r.RegisterObjectType((*badHooks)(nil)), object.CodeInvalidArgument,
		"method OnCreate(context.Context, *wrapperspb.StringValue) error: the name is a hook's, whose form is OnCreate(context.Context, protoreflect.ProtoMessage) error",
		"method OnActivate() error: the name is a hook's, whose form is OnActivate(context.Context) error",
		"method OnDeactivate(context.Context) error: the name is a hook's, whose form is OnDeactivate(context.Context, object.DeactivateReason) error")
	wantError(t, r.RegisterClientType((*badClient)(nil)), object.CodeInvalidArgument,
		"method OnConnect(context.Context): the name is a hook's, whose form is OnConnect(context.Context) error",
		"method OnDisconnect(context.Context, object.DisconnectReason) error: the name is a hook's, whose form is OnDisconnect(context.Context, object.DisconnectReason)")
	wantError(t, r.RegisterObjectType((*hookLikeRPC)(nil)), object.CodeInvalidArgument,
		"method OnActivate(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error): the name is a hook's",
		fmt.Sprintf(reserved, "OnConnect", "client"))

	err := r.RegisterObjectType((*clientish)(nil))
	wantError(t, err, object.CodeInvalidArgument, fmt.Sprintf(reserved, "OnConnect", "client"), fmt.Sprintf(reserved, "OnDisconnect", "client"))
	wantNot(t, err, "Fine")
	wantError(t, r.RegisterClientType((*objectish)(nil)), object.CodeInvalidArgument,
		fmt.Sprintf(reserved, "OnCreate", "object"), fmt.Sprintf(reserved, "OnActivate", "object"), fmt.Sprintf(reserved, "OnDeactivate", "object"))
	if n := len(r.Types()); n != 0 {
		t.Errorf("%d refused types are registered", n)
	}
}
