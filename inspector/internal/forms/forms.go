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
	maxBytes    = 8 << 20 // of descriptors that a node sends, and of all that are kept beside the newest
	maxFiles    = 1000    // that are kept beside the newest
	maxMessages = 200     // in a form
	maxFields   = 500     // of a message
	maxNames    = 1000    // of an enum
)

// ErrUnknown is the error of a message that no node has described.
var ErrUnknown = errors.New("no node has described the message")

// ErrBroken is the error of a message that cannot be what it is called: protobuf takes for granted how messages of some
// names look, as google.protobuf.Struct, and panics where a node has described them otherwise.
var ErrBroken = errors.New("the message is not as its name says")

// rescue, deferred, makes of a panic an error.
func rescue(err *error) {
	if reason := recover(); reason != nil {
		*err = fmt.Errorf("%w: %v", ErrBroken, reason)
	}
}

// Descriptors are the messages that nodes have described. The zero value knows none.
type Descriptors struct {
	mu    sync.Mutex // guards the fields below
	files *protoregistry.Files
	order []learnt // the files, those that were told last first
}

// learnt is a file, and how much it takes, in bytes of its descriptor.
type learnt struct {
	path string
	size int
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

// Field is a field. Of a map, Key is the keys' kind, and Kind is the values'. Presence says that the empty value can be
// sent and is not the same as none: of messages, members of a oneof, and what is declared optional.
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
	Presence bool     `json:"presence"`
}

// Learn takes over a google.protobuf.FileDescriptorSet. The newest that describes something counts. Of what only earlier
// sets had, that which was told last is kept, as much as a node may send.
func (d *Descriptors) Learn(set []byte) (err error) {
	defer rescue(&err)
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
	order := make([]learnt, 0, len(files.GetFile()))
	for _, f := range files.GetFile() {
		order = append(order, learnt{f.GetName(), proto.Size(f)})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files, d.order = known, d.keep(known, order)
	return nil
}

// keep registers the files that are known beside those that were told now, as far as there is room for them, and returns
// all in order. d.mu is held.
func (d *Descriptors) keep(known *protoregistry.Files, order []learnt) []learnt {
	count, size := 0, 0
	for _, old := range d.order {
		if _, err := known.FindFileByPath(old.path); err == nil {
			continue // told anew
		}
		if count++; count > maxFiles || size+old.size > maxBytes {
			break
		}
		f, err := d.files.FindFileByPath(old.path)
		if err != nil || known.RegisterFile(f) != nil { // a conflict: the newer one counts
			continue
		}
		size += old.size
		order = append(order, old)
	}
	return order
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
		field := Field{Name: string(f.Name()), JSON: f.JSONName(), Repeated: f.IsList(), Map: f.IsMap(), Presence: f.HasPresence()}
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
func (d *Descriptors) Encode(name string, text []byte) (encoded []byte, err error) {
	defer rescue(&err)
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
	encoded, err = proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return encoded, nil
}

// Decode turns a message into JSON.
func (d *Descriptors) Decode(name string, encoded []byte) (text json.RawMessage, err error) {
	defer rescue(&err)
	descriptor, err := d.find(name)
	if err != nil {
		return nil, err
	}
	message := dynamicpb.NewMessage(descriptor)
	if err := proto.Unmarshal(encoded, message); err != nil {
		return nil, fmt.Errorf("decode reply: %w", err)
	}
	text, err = protojson.MarshalOptions{Resolver: d.resolver(), EmitUnpopulated: true}.Marshal(message)
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
