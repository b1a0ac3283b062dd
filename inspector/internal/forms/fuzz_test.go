package forms_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/inspector/internal/forms"
)

// FuzzForms has a node describe anything at all, beside messages that are known: whatever it is, nothing panics, what was
// known stays so, and forms are bounded. Of messages that are well described, what was made of JSON can be told as JSON, of
// which the same is made again.
func FuzzForms(f *testing.F) {
	file := protodesc.ToFileDescriptorProto
	sets := [][]*descriptorpb.FileDescriptorProto{
		{file(structpb.File_google_protobuf_struct_proto)},
		{file(anypb.File_google_protobuf_any_proto), file(durationpb.File_google_protobuf_duration_proto), file(wrapperspb.File_google_protobuf_wrappers_proto)},
		{file(descriptorpb.File_google_protobuf_descriptor_proto)},
		{file(apipb.File_google_protobuf_api_proto)}, // without what it imports
		{{Name: new("a.proto"), Syntax: new("proto2"), MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("M"), Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("g"), JsonName: new("g"), Number: new(int32(1)), Label: descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_GROUP.Enum(), TypeName: new(".M.G")},
				{Name: new("b"), JsonName: new("b"), Number: new(int32(2)), Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_DOUBLE.Enum()},
			},
			NestedType: []*descriptorpb.DescriptorProto{{Name: new("G")}},
		}}}},
	}
	for i, set := range sets {
		encoded, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: set})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded, []string{`{"a":[1,null,{"b":"c"}]}`, `{"@type":"type.googleapis.com/google.protobuf.Duration","value":"3s"}`, `{"name":"x","field":[{"type":"TYPE_BOOL"}]}`, `{}`, `{"g":{},"b":["NaN",1e300]}`}[i], encoded)
	}
	f.Add([]byte{0xff}, "nothing", []byte{8})
	f.Fuzz(func(t *testing.T, set []byte, text string, encoded []byte) {
		d := known(t)
		learnt := d.Learn(set)
		if _, err := d.Form("google.protobuf.FileDescriptorProto", ""); err != nil && learnt != nil {
			t.Errorf("after what could not be learnt (%v): %v", learnt, err)
		}
		var files descriptorpb.FileDescriptorSet
		if proto.Unmarshal(set, &files) != nil {
			return
		}
		for _, one := range files.GetFile() {
			for _, m := range one.GetMessageType() {
				name := m.GetName()
				if p := one.GetPackage(); p != "" {
					name = p + "." + name
				}
				if form, err := d.Form(name, ""); err == nil && (len(form.Messages) == 0 || len(form.Messages) > 200) {
					t.Errorf("the form of %q has %d messages", name, len(form.Messages))
				}
				_, _ = d.Encode(name, []byte(text))
				_, _ = d.Decode(name, encoded)
			}
		}
		for _, name := range []string{"google.protobuf.Struct", "google.protobuf.FieldDescriptorProto", "google.protobuf.FileDescriptorProto"} {
			thereAndBack(t, known(t), name, text)
		}
	})
}

// thereAndBack makes a message of JSON, and JSON of it, twice.
func thereAndBack(t *testing.T, d *forms.Descriptors, name, text string) {
	t.Helper()
	request, err := d.Encode(name, []byte(text))
	if err != nil {
		return
	}
	told, err := d.Decode(name, request)
	if err != nil {
		t.Fatalf("%q of %s cannot be told: %v", name, text, err)
	}
	again, err := d.Encode(name, told)
	if err != nil {
		t.Fatalf("%q of %s is told as %s, which it cannot be: %v", name, text, told, err)
	}
	retold, err := d.Decode(name, again)
	if err != nil || string(compact(t, retold)) != string(compact(t, told)) {
		t.Errorf("%q of %s is told as %s, then as %s: %v", name, text, told, retold, err)
	}
}

// compact is JSON without the spaces that protojson puts in at random.
func compact(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
