package node_test

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

type Counter struct {
	object.BaseObject

	n int64
}

func (c *Counter) Add(_ context.Context, _ *wrapperspb.StringValue) (*wrapperspb.Int64Value, error) {
	c.n++
	return &wrapperspb.Int64Value{Value: c.n}, nil
}

func benchNode(b *testing.B, opts ...object.RegisterOption) *node.Node {
	b.Helper()
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*Counter)(nil), opts...); err != nil {
		b.Fatal(err)
	}
	n := node.New(node.Config{Registry: r, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler)})
	for s := range uint32(8192) {
		if err := n.OpenShard(b.Context(), s, 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	return n
}

func BenchmarkCallIsolated(b *testing.B) {
	n := benchNode(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Call(b.Context(), "Counter-1", "Add", &wrapperspb.StringValue{Value: "hello"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCallShared(b *testing.B) {
	n := benchNode(b, object.ShareMessages(), object.Methods(object.Method((*Counter).Add)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Call(b.Context(), "Counter-1", "Add", &wrapperspb.StringValue{Value: "hello"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChannelCopies(b *testing.B) {
	benchChannel(b, true)
}

func BenchmarkChannel(b *testing.B) {
	benchChannel(b, false)
}

func benchChannel(b *testing.B, clone bool) {
	b.Helper()
	type req struct {
		m *wrapperspb.StringValue
		r chan *wrapperspb.Int64Value
	}
	q := make(chan req)
	c := &Counter{}
	go func() {
		for m := range q {
			o, _ := c.Add(b.Context(), m.m)
			if clone {
				o = proto.CloneOf(o)
			}
			m.r <- o
		}
	}()
	r := make(chan *wrapperspb.Int64Value)
	b.ReportAllocs()
	for b.Loop() {
		m := &wrapperspb.StringValue{Value: "hello"}
		if clone {
			m = proto.CloneOf(m)
		}
		q <- req{m, r}
		<-r
	}
	close(q)
}
