package forms_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/xiaonanln/goverse/inspector/internal/forms"
)

// A form says of exactly those fields that they can be sent with their empty value of which a message then has something.
func TestPresenceIsWhatIsSent(t *testing.T) {
	t.Parallel()
	const text, message, many = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	field := func(n int32, name string, kind descriptorpb.FieldDescriptorProto_Type, change func(*descriptorpb.FieldDescriptorProto)) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: new(name), Number: new(n), Type: kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if kind == message {
			f.TypeName = new(".x.M")
		}
		if change != nil {
			change(f)
		}
		return f
	}
	in := func(oneof int32, optional bool) func(*descriptorpb.FieldDescriptorProto) {
		return func(f *descriptorpb.FieldDescriptorProto) { f.OneofIndex, f.Proto3Optional = new(oneof), new(optional) }
	}
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new("x.proto"), Package: new("x"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("M"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field(1, "plain", text, nil), field(2, "member", text, in(0, false)), field(3, "maybe", text, in(1, true)), field(4, "inner", message, nil),
				field(5, "all", text, func(f *descriptorpb.FieldDescriptorProto) { f.Label = many.Enum() }),
			},
			OneofDecl: []*descriptorpb.OneofDescriptorProto{{Name: new("one")}, {Name: new("_maybe")}},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	d := &forms.Descriptors{}
	if err := d.Learn(set); err != nil {
		t.Fatal(err)
	}
	form, err := d.Form("x.M", "")
	if err != nil {
		t.Fatal(err)
	}
	empty := map[string]string{"plain": `""`, "member": `""`, "maybe": `""`, "inner": `{}`, "all": `[]`}
	there := 0
	for _, f := range form.Request.Fields {
		encoded, err := d.Encode("x.M", []byte(`{"`+f.JSON+`":`+empty[f.JSON]+`}`))
		if err != nil || f.Presence != (len(encoded) > 0) {
			t.Errorf("%s: presence %t, sent as %x, %v", f.Name, f.Presence, encoded, err)
		}
		if f.Presence {
			there++
		}
	}
	if there != 3 {
		t.Errorf("of %d fields %d can be there and empty", len(form.Request.Fields), there)
	}
}
