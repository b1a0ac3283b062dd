package object

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestMessageTypeEqualsProto makes and copies messages as package proto does.
func TestMessageTypeEqualsProto(t *testing.T) {
	strange := wrapperspb.String("known")
	strange.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7))
	for name, m := range map[string]proto.Message{
		"empty":          &emptypb.Empty{},
		"scalar":         wrapperspb.Int64(-1),
		"bytes":          wrapperspb.Bytes([]byte{1, 2, 3}),
		"lists":          &fieldmaskpb.FieldMask{Paths: []string{"a", "b"}},
		"maps and oneof": &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(1), "b": structpb.NewNullValue()}},
		"optional":       &descriptorpb.FileDescriptorProto{Name: new(""), MessageType: []*descriptorpb.DescriptorProto{{Name: new("M")}}},
		"any":            &anypb.Any{TypeUrl: "t/x", Value: []byte{1}},
		"unknown fields": strange,
		"nil":            (*wrapperspb.StringValue)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			of := messageTypeOf(reflect.TypeOf(m))
			if of.elem == nil {
				t.Error("generated code is not taken for that")
			}
			fresh, library := of.make(), m.ProtoReflect().New().Interface()
			if reflect.TypeOf(fresh) != reflect.TypeOf(m) || !fresh.ProtoReflect().IsValid() || !proto.Equal(fresh, library) || fresh == of.make() {
				t.Errorf("new: %T %v, want a new %T", fresh, fresh, library)
			}
			before, out := proto.Clone(m), of.clone(m)
			if diff := cmp.Diff(before, out, protocmp.Transform()); diff != "" || reflect.TypeOf(out) != reflect.TypeOf(m) || out.ProtoReflect().IsValid() != m.ProtoReflect().IsValid() {
				t.Errorf("copy: %s", diff)
			}
			if !out.ProtoReflect().IsValid() {
				return
			}
			spoil(out.ProtoReflect())
			if out == m || !proto.Equal(m, before) {
				t.Errorf("the copy shares memory with the message: it is %v now", m)
			}
		})
	}
}

// spoil changes all that a message has, in place where it can.
func spoil(m protoreflect.Message) {
	for i := range m.GetUnknown() {
		m.GetUnknown()[i] ^= 1
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList():
			list := v.List()
			if list.Len() > 0 {
				if fd.Message() != nil {
					spoil(list.Get(0).Message())
				} else {
					list.Set(0, list.NewElement())
				}
			}
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				spoil(v.Message())
				return true
			})
		case fd.Message() != nil:
			spoil(v.Message())
		case fd.Kind() == protoreflect.BytesKind:
			v.Bytes()[0] ^= 1
		default:
			m.Clear(fd)
		}
		return true
	})
}

// TestMessageTypeOfAnotherMaker leaves messages to their own code that no generator has written.
func TestMessageTypeOfAnotherMaker(t *testing.T) {
	of := messageTypeOf(reflect.TypeFor[*handmade]())
	if m, ok := of.make().(*handmade); !ok || !m.ready {
		t.Errorf("new: %#v: its own code has not made it", m)
	}
	m := &handmade{ready: true}
	m.Value = "hello"
	if out, ok := of.clone(m).(*handmade); !ok || !out.ready || out.GetValue() != "hello" || out == m {
		t.Errorf("copy: %#v: its own code has not made it", out)
	}
	if out := of.clone(wrapperspb.Int64(3)); !proto.Equal(out, wrapperspb.Int64(3)) {
		t.Errorf("copy of a message of another type: %v", out)
	}
	generated := messageTypeOf(reflect.TypeFor[*wrapperspb.StringValue]())
	for _, other := range []proto.Message{wrapperspb.Int64(3), nil} {
		if out := generated.clone(other); !proto.Equal(out, other) {
			t.Errorf("copy of %v: %v", other, out)
		}
	}
}

// handmade is a message whose new ones are more than a struct of zeros.
type handmade struct {
	wrapperspb.StringValue

	ready bool
}

func (h *handmade) ProtoReflect() protoreflect.Message {
	if h == nil {
		return handmadeReflection{(*wrapperspb.StringValue)(nil).ProtoReflect(), nil}
	}
	return handmadeReflection{h.StringValue.ProtoReflect(), h}
}

type handmadeReflection struct {
	protoreflect.Message

	of *handmade
}

func (r handmadeReflection) Interface() proto.Message { return r.of }
func (handmadeReflection) New() protoreflect.Message {
	return (&handmade{ready: true}).ProtoReflect()
}

func (r handmadeReflection) Type() protoreflect.MessageType { return handmadeType{r.Message.Type()} }

type handmadeType struct{ protoreflect.MessageType }

func BenchmarkClone(b *testing.B) {
	var m proto.Message = wrapperspb.String("hello")
	of := messageTypeOf(reflect.TypeOf(m))
	for name, clone := range map[string]func(proto.Message) proto.Message{"messageType": of.clone, "proto": proto.Clone} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clone(m)
			}
		})
	}
}
