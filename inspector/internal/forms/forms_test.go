package forms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/xiaonanln/goverse/inspector/internal/forms"
)

func known(t *testing.T) *forms.Descriptors {
	t.Helper()
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(structpb.File_google_protobuf_struct_proto), protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
	}})
	if err != nil {
		t.Fatal(err)
	}
	d := &forms.Descriptors{}
	if err := d.Learn(set); err != nil {
		t.Fatal(err)
	}
	return d
}

// Messages that contain themselves end, with each message once.
func TestRecursion(t *testing.T) {
	t.Parallel()
	form, err := known(t).Form("google.protobuf.Struct", "x.Reply")
	if err != nil {
		t.Fatal(err)
	}
	if len(form.Messages) != 3 || form.Reply != "x.Reply" { // Struct, Value, ListValue
		t.Errorf("%+v", form)
	}
	if f := form.Request.Fields[0]; !f.Map || f.Key != "string" || f.Kind != "message" || f.Message != "google.protobuf.Value" {
		t.Errorf("%+v", f)
	}
	kinds := map[string]string{}
	for _, f := range form.Messages["google.protobuf.Value"].Fields {
		kinds[f.JSON] = f.Kind + " " + f.Oneof
	}
	if kinds["nullValue"] != "enum kind" || kinds["numberValue"] != "double kind" || kinds["listValue"] != "message kind" {
		t.Errorf("%v", kinds)
	}
}

// What is written as JSON comes back as JSON, and what is no such message is refused.
func TestJSONThereAndBack(t *testing.T) {
	t.Parallel()
	d := known(t)
	const name = "google.protobuf.FieldDescriptorProto"
	encoded, err := d.Encode(name, []byte(`{"name":"<b>","number":7,"type":"TYPE_BOOL"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := d.Decode(name, encoded)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Name   string
		Number int
		Type   string
	}
	if err := json.Unmarshal(text, &v); err != nil || v.Name != "<b>" || v.Number != 7 || v.Type != "TYPE_BOOL" {
		t.Errorf("%s %v", text, err)
	}
	if _, err := d.Encode(name, []byte(`{"nothing":1}`)); err == nil {
		t.Error("an unknown field was taken")
	}
	if _, err := d.Decode(name, []byte{0xff}); err == nil {
		t.Error("garbage was decoded")
	}
	if _, err := d.Encode("no.Message", nil); !errors.Is(err, forms.ErrUnknown) {
		t.Errorf("unknown message: %v", err)
	}
	if err := d.Learn([]byte{0xff}); err == nil {
		t.Error("garbage was learnt")
	}
	if _, err := d.Encode(name, nil); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

// described is a set of one file with one message, and a comment that makes it long.
func described(t *testing.T, file, message string, long int) []byte {
	t.Helper()
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new(file), Syntax: new("proto3"),
		MessageType:    []*descriptorpb.DescriptorProto{{Name: new(message)}},
		SourceCodeInfo: &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{Span: []int32{0, 0, 1}, LeadingComments: new(strings.Repeat("x", long))}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What only nodes that have gone knew is forgotten where there is much of it, the oldest first; what was told again counts
// as new.
func TestOldFilesAreForgotten(t *testing.T) {
	t.Parallel()
	knows := func(d *forms.Descriptors, message string) bool {
		_, err := d.Form(message, "")
		return err == nil
	}
	learn := func(d *forms.Descriptors, n, long int) {
		if err := d.Learn(described(t, fmt.Sprintf("f%d.proto", n), fmt.Sprintf("M%d", n), long)); err != nil {
			t.Fatal(err)
		}
	}
	many, large := &forms.Descriptors{}, &forms.Descriptors{}
	for n := range 1300 {
		learn(many, n, 0)
		if n%200 == 0 {
			learn(many, 0, 0)
		}
	}
	for n := range 20 {
		learn(large, n, 1<<20)
	}
	for _, c := range []struct {
		d       *forms.Descriptors
		message string
		known   bool
	}{{many, "M0", true}, {many, "M1299", true}, {many, "M301", true}, {many, "M300", true}, {many, "M299", false}, {large, "M19", true}, {large, "M12", true}, {large, "M11", false}} {
		if got := knows(c.d, c.message); got != c.known {
			t.Errorf("%s is known: %v", c.message, got)
		}
	}
}
