package routing_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/internal/routing"
	"github.com/xiaonanln/goverse/internal/transport/mem"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// bench is one node whose object is here, in real time.
func bench(b *testing.B, opts ...option) *peer {
	b.Helper()
	w := &world{T: &testing.T{}, clock: clock.System(), actions: make(map[string]action)}
	w.net = mem.New(w.clock, mem.Options{})
	p := w.build("a", opts...)
	for n := range uint32(shards) {
		if err := p.node.OpenShard(b.Context(), n, 1, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() {
		if err := p.node.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return p
}

// light is an object without anything.
type light struct{ object.BaseObject }

func (*light) Do(_ context.Context, req *str) (*str, error) { return req, nil }

func BenchmarkLocalCall(b *testing.B) {
	valid := func(c *routing.Config) { c.Valid = func() bool { return true } }
	p, checked := bench(b), bench(b, valid)
	req := wrapperspb.String("hello")
	ctx := context.Background()
	expr := object.ExprOf((*light).Do)
	for name, call := range map[string]func() error{
		"node":           func() error { _, err := p.node.Call(ctx, "light-x", "Do", req); return err },
		"router":         func() error { _, err := p.Call(ctx, "light-x", "Do", req); return err },
		"router checked": func() error { _, err := checked.Call(ctx, "light-x", "Do", req); return err },
		"node invoke":    func() error { _, err := p.node.Invoke(ctx, "light-x", expr, req); return err },
		"router invoke":  func() error { _, err := checked.Invoke(ctx, "light-x", expr, req); return err },
		"node options":   func() error { _, err := p.node.Call(ctx, "light-x", "Do", req, object.AtMostOnce()); return err },
		"router options": func() error { _, err := p.Call(ctx, "light-x", "Do", req, object.AtMostOnce()); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
