package limits

import (
	"context"
	"errors"
	"reflect"

	"github.com/xiaonanln/goverse/bench/benchpb"
	"github.com/xiaonanln/goverse/bench/peer"
)

var errReply = errors.New("the method did not answer with an AddResponse")

type reflection struct{}

// Reflection is a method found once by name and called by package reflect: one caller only.
func Reflection() peer.Peer { return reflection{} }

func (reflection) Name() string   { return "reflection" }
func (reflection) Module() string { return "" }

func (reflection) Open(_ context.Context, opt peer.Options) (peer.Target, error) {
	m, ok := reflect.TypeFor[*peer.Counter]().MethodByName("Add")
	if !ok {
		return nil, errors.New("open reflection: Counter has no method Add")
	}
	t := &reflectionTarget{method: m.Func, objects: make([]reflect.Value, opt.Objects)}
	for i := range t.objects {
		t.objects[i] = reflect.ValueOf(&peer.Counter{})
	}
	return t, nil
}

type reflectionTarget struct {
	method  reflect.Value
	objects []reflect.Value
}

func (t *reflectionTarget) Context(ctx context.Context) context.Context { return ctx }

func (t *reflectionTarget) Call(_ context.Context, _, object int) (int64, error) {
	out := t.method.Call([]reflect.Value{t.objects[object], reflect.ValueOf(peer.NewRequest())})
	if err, failed := reflect.TypeAssert[error](out[1]); failed {
		return 0, err
	}
	resp, ok := reflect.TypeAssert[*benchpb.AddResponse](out[0])
	if !ok {
		return 0, errReply
	}
	return resp.GetValue(), nil
}

func (t *reflectionTarget) Close(context.Context) error { return nil }
