package object

import (
	"context"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The three ways of running the same leaf method, which returns its request: one
// goroutine, no copying, no runtime around it.

func BenchmarkInvokeDirect(b *testing.B) {
	method, _ := reflect.TypeFor[*plain]().MethodByName("Leaf")
	benchmarkInvoke(b, bindDirect(method.Func))
}

func BenchmarkInvokeThunk(b *testing.B) { benchmarkInvoke(b, Method((*plain).Leaf).invoke) }

func BenchmarkInvokeReflect(b *testing.B) {
	method, _ := reflect.TypeFor[*plain]().MethodByName("Leaf")
	benchmarkInvoke(b, reflected(method.Func))
}

func benchmarkInvoke(b *testing.B, invoke invokeFunc) {
	b.Helper()
	var obj Object = &plain{}
	var req proto.Message = wrapperspb.String("hello")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if resp, err := invoke(obj, ctx, req); resp != req || err != nil {
			b.Fatal(resp, err)
		}
	}
}

func BenchmarkParseID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseID("ChatRoom-General"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMethodName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if MethodName((*plain).Leaf) != "Leaf" {
			b.Fatal("wrong name")
		}
	}
}
