package object

import (
	"context"
	"reflect"
	"unsafe"

	"google.golang.org/protobuf/proto"
)

// rawMethod is the machine-level shape that every method of the form
//
//	func (o *T) M(ctx context.Context, req *Req) (*Resp, error)
//
// shares: in Go's calling convention all pointers are passed alike, whatever they
// point to. Generic code over pointer types rests on the same fact.
type rawMethod = func(recv unsafe.Pointer, ctx context.Context, req unsafe.Pointer) (unsafe.Pointer, error)

// codeOf returns the entry of a function's code, as reflect.Value.Pointer does: a
// function in an interface is a pointer to a closure, which begins with that entry. Zero
// for a nil function; f must be a function.
func codeOf(f any) uintptr {
	closure := (*[2]*uintptr)(unsafe.Pointer(&f))[1] //nolint:gosec // G103: the word behind the type
	if closure == nil {
		return 0
	}
	return *closure
}

// bindDirect turns a method found by reflection into an ordinary function call:
// about 10 ns instead of the 250 ns and 4 allocations of reflect.Value.Call. fn is
// the method with its receiver as first parameter; discovery has checked that its
// signature is exactly the one of rawMethod, with pointers to structs. The test
// TestDirectEqualsReflection compares both ways of calling.
func bindDirect(fn reflect.Value) invokeFunc {
	slot := reflect.New(fn.Type())
	slot.Elem().Set(fn)
	raw := *(*rawMethod)(slot.UnsafePointer())
	receiver, request, reply := fn.Type().In(0), fn.Type().In(2), messageTypeOf(fn.Type().Out(0))
	return func(obj Object, ctx context.Context, req proto.Message) (proto.Message, error) {
		// Past this check nothing else stands between a mistake of the runtime and
		// another object's memory.
		if reflect.TypeOf(obj) != receiver || reflect.TypeOf(req) != request {
			return nil, misdispatch(obj, req)
		}
		out, err := raw(reflect.ValueOf(obj).UnsafePointer(), ctx, reflect.ValueOf(req).UnsafePointer())
		if out == nil || err != nil {
			return nil, err
		}
		return reply.from(out), nil
	}
}
