package object

import (
	"reflect"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/runtime/protoimpl"
)

// words is what a message is in memory: messages of one type have the same first word, as
// a rule (a plugin may bring a second), and the second is the pointer itself.
type words struct{ itab, data unsafe.Pointer }

func wordsOf(m proto.Message) words { return *(*words)(unsafe.Pointer(&m)) } //nolint:gosec // G103: read, and never kept

// messageType is a type of generated messages. It makes and copies them as package proto does,
// which finds out each time what does not change: that takes half as long again.
type messageType struct {
	typ  reflect.Type  // pointer to the struct
	zero proto.Message // the nil pointer
	name string        // the protobuf name
	elem reflect.Type  // the struct, if a new one is an empty message; nil: only the message itself can make it
}

// messageTypeOf returns the type of a pointer that discovery has found to be a generated message's.
func messageTypeOf(t reflect.Type) messageType {
	zero, _ := reflect.TypeAssert[proto.Message](reflect.Zero(t))
	of := messageType{typ: t, zero: zero, name: string(zero.ProtoReflect().Descriptor().FullName())}
	if _, plain := zero.ProtoReflect().Type().(*protoimpl.MessageInfo); plain { // whose New allocates the struct
		of.elem = t.Elem()
	}
	return of
}

// make returns a new, empty message.
func (t *messageType) make() proto.Message {
	if t.elem == nil {
		return t.zero.ProtoReflect().New().Interface()
	}
	return t.from(reflect.New(t.elem).UnsafePointer())
}

// from returns the message that a pointer to the struct points to.
func (t *messageType) from(p unsafe.Pointer) (m proto.Message) {
	*(*words)(unsafe.Pointer(&m)) = words{wordsOf(t.zero).itab, p} //nolint:gosec // G103: as the compiler makes it of a typed pointer
	return m
}

// holds reports whether a message is of the type.
func (t *messageType) holds(m proto.Message) bool {
	return wordsOf(m).itab == wordsOf(t.zero).itab || reflect.TypeOf(m) == t.typ
}

// clone returns a deep copy of a message, whatever type it is of.
func (t *messageType) clone(m proto.Message) proto.Message {
	if t.elem == nil || wordsOf(m).itab != wordsOf(t.zero).itab || wordsOf(m).data == nil {
		return proto.Clone(m)
	}
	out := t.make()
	proto.Merge(out, m)
	return out
}
