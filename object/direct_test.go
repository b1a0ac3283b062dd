package object

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// outcome is all that a caller can see of a call.
type outcome struct {
	reply    proto.Message
	err      error
	panicked any
}

func outcomeOf(invoke invokeFunc, obj Object, ctx context.Context, req proto.Message) (o outcome) { //nolint:revive // the order of invokeFunc
	defer func() { o.panicked = recover() }()
	o.reply, o.err = invoke(obj, ctx, req)
	return o
}

// reflected calls as the reflect package does: what bindDirect must be equal to.
func reflected(fn reflect.Value) invokeFunc {
	return func(obj Object, ctx context.Context, req proto.Message) (proto.Message, error) {
		out := fn.Call([]reflect.Value{reflect.ValueOf(obj), reflect.ValueOf(ctx), reflect.ValueOf(req)})
		if err, _ := reflect.TypeAssert[error](out[1]); err != nil {
			return nil, err
		}
		if out[0].IsNil() { // stands for the empty message
			out[0] = reflect.New(out[0].Type().Elem())
		}
		return out[0].Interface().(proto.Message), nil
	}
}

// TestDirectEqualsReflection calls every method of every shape in both ways, on two
// objects alike, and compares replies, errors, panics and what became of the objects.
func TestDirectEqualsReflection(t *testing.T) {
	objects := []func() Object{
		func() Object { return &plain{} },
		func() Object { return &valued{logged: &logged{}, A: 1, B: 2, C: 3, D: 4, E: 5, F: 6, Text: "text"} },
		func() Object { b := &big{}; b.Block[4095] = 7; return b },
		func() Object { return &first{} },
		func() Object { return &later{pad: pad{[3]int64{1, 2, 3}}} },
		func() Object { return &deep{service: &server{}, middle: &middle{inner{Count: 40}, peeker{Seen: 3}}} },
		func() Object { return &boxed[string]{V: "v"} },
		func() Object { return &boxed[*plain]{} },
		func() Object { return &boxed[[3]float64]{V: [3]float64{1, 2, 3}} },
		func() Object { return &boxedInt{boxed[int64]{V: 42}} },
	}
	calls := 0
	for _, newObject := range objects {
		typ := reflect.TypeOf(newObject())
		methods, problems := discover(typ, false)
		if len(problems) > 0 {
			t.Fatalf("%v: %v", typ, problems)
		}
		for name, info := range methods {
			method, _ := typ.MethodByName(name)
			for i, req := range requests(info) {
				calls++
				t.Run(fmt.Sprintf("%v.%s/%d", typ, name, i), func(t *testing.T) {
					compareCalls(t, newObject, bindDirect(method.Func), reflected(method.Func), req)
				})
			}
		}
	}
	if calls < 100 {
		t.Errorf("only %d calls compared: shapes were lost", calls)
	}
}

// requests returns requests for a method: nil, empty and filled.
func requests(info *MethodInfo) []proto.Message {
	filled := []proto.Message{
		wrapperspb.String("hello"), wrapperspb.Int64(1 << 40),
		&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(1), "b": structpb.NewStringValue("two")}},
		&timestamppb.Timestamp{Seconds: 5, Nanos: 6}, &anypb.Any{TypeUrl: "t/x", Value: []byte{1, 2}},
		&fieldmaskpb.FieldMask{Paths: []string{"a", "b.c"}},
		&descriptorpb.FileDescriptorProto{Name: new("f.proto"), Dependency: []string{"g.proto"}},
	}
	out := []proto.Message{info.request.zero, info.NewRequest()}
	for _, req := range filled {
		if info.Accepts(req) {
			out = append(out, req)
		}
	}
	return out
}

func compareCalls(t *testing.T, newObject func() Object, direct, reflection invokeFunc, req proto.Message) {
	t.Helper()
	ctx := context.WithValue(t.Context(), ctxKey{}, "value")
	objD, objR := newObject(), newObject()
	// Twice each: the second call sees what the first one left in the object.
	for range 2 {
		reqD, reqR := proto.CloneOf(req), proto.CloneOf(req)
		d, r := outcomeOf(direct, objD, ctx, reqD), outcomeOf(reflection, objR, ctx, reqR)
		if (d.reply == nil) != (r.reply == nil) || reflect.TypeOf(d.reply) != reflect.TypeOf(r.reply) {
			t.Errorf("reply: direct %T, reflection %T", d.reply, r.reply)
		}
		if diff := cmp.Diff(r.reply, d.reply, protocmp.Transform()); diff != "" {
			t.Errorf("reply (-reflection +direct):\n%s", diff)
		}
		if (d.reply == reqD) != (r.reply == reqR) {
			t.Errorf("reply is the request itself: direct %v, reflection %v", d.reply == reqD, r.reply == reqR)
		}
		if fmt.Sprintf("%T %v", d.err, d.err) != fmt.Sprintf("%T %v", r.err, r.err) || errors.Is(d.err, errShape) != errors.Is(r.err, errShape) {
			t.Errorf("error: direct %v, reflection %v", d.err, r.err)
		}
		if fmt.Sprint(d.panicked) != fmt.Sprint(r.panicked) {
			t.Errorf("panic: direct %v, reflection %v", d.panicked, r.panicked)
		}
		if diff := cmp.Diff(reqR, reqD, protocmp.Transform()); diff != "" {
			t.Errorf("request afterwards (-reflection +direct):\n%s", diff)
		}
	}
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	if diff := cmp.Diff(objR, objD, protocmp.Transform(), everything); diff != "" {
		t.Errorf("object afterwards (-reflection +direct):\n%s", diff)
	}
}

// TestDirectNilReceiver: a nil object is the method's own panic, not a crash.
func TestDirectNilReceiver(t *testing.T) {
	typ := reflect.TypeFor[*plain]()
	for _, name := range []string{"Echo", "Leaf"} {
		method, _ := typ.MethodByName(name)
		req := wrapperspb.String("x")
		d := outcomeOf(bindDirect(method.Func), (*plain)(nil), t.Context(), req)
		r := outcomeOf(reflected(method.Func), (*plain)(nil), t.Context(), req)
		if fmt.Sprint(d) != fmt.Sprint(r) {
			t.Errorf("%s: direct %v, reflection %v", name, d, r)
		}
	}
}

// TestDirectRefusesOthers: the wrong object or request must not reach the method,
// for it would read one struct as another.
func TestDirectRefusesOthers(t *testing.T) {
	method, _ := reflect.TypeFor[*plain]().MethodByName("Echo")
	direct := bindDirect(method.Func)
	thunk := Method((*plain).Echo).invoke
	tests := map[string]struct {
		obj Object
		req proto.Message
	}{
		"other object":     {&later{}, wrapperspb.String("x")},
		"embedding object": {&first{}, wrapperspb.String("x")},
		"no object":        {nil, wrapperspb.String("x")},
		"other request":    {&plain{}, wrapperspb.Int64(1)},
		"no request":       {&plain{}, nil},
	}
	for name, tt := range tests {
		for way, invoke := range map[string]invokeFunc{"direct": direct, "thunk": thunk} {
			t.Run(way+"/"+name, func(t *testing.T) {
				o := outcomeOf(invoke, tt.obj, t.Context(), tt.req)
				if o.panicked != nil || o.reply != nil || !errors.Is(o.err, ErrInternal) || Executed(o.err) != ExecutedNo {
					t.Errorf("got %+v, want ErrInternal, not executed", o)
				}
			})
		}
	}
}

// TestThunksAreUsed: a given thunk replaces what reflection found, for its method only.
func TestThunksAreUsed(t *testing.T) {
	thunk := Method((*first).Echo)
	thunk.invoke = func(Object, context.Context, proto.Message) (proto.Message, error) {
		return wrapperspb.String("thunk"), nil
	}
	typ, err := newType(reflect.TypeFor[*first](), false, []RegisterOption{Methods(thunk)})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Echo": "thunk", "Leaf": "request"} {
		resp, err := typ.Method(name).Invoke(t.Context(), &first{}, wrapperspb.String("request"))
		if got := resp.(*str).GetValue(); err != nil || got != want {
			t.Errorf("%s answers %q, %v; want %q", name, got, err, want)
		}
	}
}

// mover makes life hard for pointers: its methods move the stack and collect garbage
// while the only references to object, request and reply are the call's own.
type mover struct {
	BaseObject

	Block [64]int64
	Text  *string
}

func (m *mover) Grow(_ context.Context, req *str) (*str, error) {
	depth := recurse(2000, [16]int64{})
	runtime.GC()
	garbage := make([][]byte, 0, 64)
	for range 64 {
		garbage = append(garbage, make([]byte, 512))
	}
	return wrapperspb.String(fmt.Sprint(depth, len(garbage), m.Block[63], *m.Text, req.GetValue())), nil
}

//go:noinline
func recurse(n int, pad [16]int64) int64 {
	if n == 0 {
		return pad[0]
	}
	pad[n%16]++
	return recurse(n-1, pad) + pad[n%16]
}

// TestDirectKeepsPointersAlive runs calls under a collector that never rests, on
// fresh goroutines whose small stacks must grow and move inside the call.
func TestDirectKeepsPointersAlive(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	method, _ := reflect.TypeFor[*mover]().MethodByName("Grow")
	direct := bindDirect(method.Func)
	var wg sync.WaitGroup
	for worker := range 4 {
		for i := range 25 {
			wg.Go(func() {
				text := fmt.Sprint("text-", worker, "-", i)
				reply, err := direct(newMover(worker, text), context.Background(), wrapperspb.String("request "+text))
				want := fmt.Sprint(recurse(2000, [16]int64{}), 64, int64(worker), text, "request "+text)
				runtime.GC()
				if got := reply.(*str).GetValue(); err != nil || got != want {
					t.Errorf("reply %q, %v; want %q", got, err, want)
				}
			})
		}
		wg.Wait()
	}
}

//go:noinline
func newMover(n int, text string) *mover {
	m := &mover{Text: new(strings.Clone(text))}
	m.Block[63] = int64(n)
	return m
}
