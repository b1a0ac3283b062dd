package forms

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// What is taken at most.
const (
	maxBytes    = 8 << 20 // of descriptors
	maxMessages = 200     // in a form
	maxFields   = 500     // of a message
	maxNames    = 1000    // of an enum
)

// ErrUnknown is the error of a message that no node has described.
var ErrUnknown = errors.New("no node has described the message")

// Descriptors are the messages that nodes have described. The zero value knows none.
type Descriptors struct {
	mu    sync.Mutex // guards the field below
	files *protoregistry.Files
}

// Form is a message to fill in, with all that occur in it, by full name.
type Form struct {
	Request  Message            `json:"request"`
	Reply    string             `json:"reply"`
	Messages map[string]Message `json:"messages"`
}

// Message is a message.
type Message struct {
	Name   string  `json:"name"`
	Fields []Field `json:"fields"`
}

// Field is a field. Of a map, Key is the keys' kind, and Kind is the values'.
type Field struct {
	Name     string   `json:"name"`
	JSON     string   `json:"json"`
	Kind     string   `json:"kind"`
	Repeated bool     `json:"repeated"`
	Map      bool     `json:"map"`
	Key      string   `json:"key"`
	Message  string   `json:"message"`
	Enum     []string `json:"enum"`
	Oneof    string   `json:"oneof"`
}

// Learn takes over a google.protobuf.FileDescriptorSet. The newest that describes something counts.
func (d *Descriptors) Learn(set []byte) error {
	if len(set) > maxBytes {
		return fmt.Errorf("%d bytes of descriptors are too many", len(set))
	}
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set, &files); err != nil {
		return fmt.Errorf("read descriptors: %w", err)
	}
	known, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(&files)
	if err != nil {
		return fmt.Errorf("link descriptors: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files != nil { // what only other nodes know stays
		d.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			if _, err := known.FindFileByPath(f.Path()); err != nil {
				_ = known.RegisterFile(f) // a conflict: the newer one counts
			}
			return true
		})
	}
	d.files = known
	return nil
}

func (d *Descriptors) find(name string) (protoreflect.MessageDescriptor, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknown, name)
	}
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("%w %q", ErrUnknown, name)
	}
	message, ok := found.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%w: %q is none", ErrUnknown, name)
	}
	return message, nil
}

// Form is the form of a request.
func (d *Descriptors) Form(request, reply string) (Form, error) {
	message, err := d.find(request)
	if err != nil {
		return Form{}, err
	}
	form := Form{Reply: reply, Messages: make(map[string]Message)}
	waiting := []protoreflect.MessageDescriptor{message}
	for len(waiting) > 0 && len(form.Messages) < maxMessages {
		next := waiting[0]
		waiting = waiting[1:]
		if _, there := form.Messages[string(next.FullName())]; there {
			continue // recursion, or twice the same
		}
		shape, inside := describe(next)
		form.Messages[shape.Name] = shape
		waiting = append(waiting, inside...)
	}
	form.Request = form.Messages[string(message.FullName())]
	return form, nil
}

// describe is a message, and those of its fields.
func describe(m protoreflect.MessageDescriptor) (out Message, inside []protoreflect.MessageDescriptor) {
	out = Message{Name: string(m.FullName()), Fields: []Field{}}
	for i := range min(m.Fields().Len(), maxFields) {
		f := m.Fields().Get(i)
		field := Field{Name: string(f.Name()), JSON: f.JSONName(), Repeated: f.IsList(), Map: f.IsMap()}
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			field.Oneof = string(o.Name())
		}
		value := f
		if f.IsMap() {
			field.Key, value = f.MapKey().Kind().String(), f.MapValue()
		}
		field.Kind = value.Kind().String()
		switch value.Kind() {
		case protoreflect.MessageKind, protoreflect.GroupKind:
			field.Kind, field.Message = "message", string(value.Message().FullName())
			inside = append(inside, value.Message())
		case protoreflect.EnumKind:
			values := value.Enum().Values()
			for j := range min(values.Len(), maxNames) {
				field.Enum = append(field.Enum, string(values.Get(j).Name()))
			}
		default:
		}
		out.Fields = append(out.Fields, field)
	}
	return out, inside
}

// Encode turns JSON into a message. An empty text is the empty message.
func (d *Descriptors) Encode(name string, text []byte) ([]byte, error) {
	descriptor, err := d.find(name)
	if err != nil {
		return nil, err
	}
	message := dynamicpb.NewMessage(descriptor)
	if len(text) > 0 {
		if err := (protojson.UnmarshalOptions{Resolver: d.resolver()}).Unmarshal(text, message); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
	}
	encoded, err := proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return encoded, nil
}

// Decode turns a message into JSON.
func (d *Descriptors) Decode(name string, encoded []byte) (json.RawMessage, error) {
	descriptor, err := d.find(name)
	if err != nil {
		return nil, err
	}
	message := dynamicpb.NewMessage(descriptor)
	if err := proto.Unmarshal(encoded, message); err != nil {
		return nil, fmt.Errorf("decode reply: %w", err)
	}
	text, err := protojson.MarshalOptions{Resolver: d.resolver(), EmitUnpopulated: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("write reply: %w", err)
	}
	return text, nil
}

// resolver finds what an Any holds.
func (d *Descriptors) resolver() *dynamicpb.Types {
	d.mu.Lock()
	defer d.mu.Unlock()
	return dynamicpb.NewTypes(d.files)
}
