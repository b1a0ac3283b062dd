package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/server"
)

// Here and There are one type of object, on one server and on another.
type (
	Here  struct{ object.BaseObject }
	There struct{ object.BaseObject }
)

func (*Here) Echo(_ context.Context, req *text) (*text, error)  { return req, nil }
func (*Here) Where(context.Context, *empty) (*text, error)      { return wrapperspb.String("here"), nil }
func (*There) Echo(_ context.Context, req *text) (*text, error) { return req, nil }
func (*There) Where(context.Context, *empty) (*text, error)     { return wrapperspb.String("there"), nil }

// BenchmarkRemoteCall is calls of objects on another server of the same process, over loopback TCP.
func BenchmarkRemoteCall(b *testing.B) {
	meeting := &server.Coordinators{}
	start := func(prototype object.Object) *server.Server {
		registry := object.NewRegistry()
		if err := registry.RegisterObjectType(prototype, object.TypeName("Spot")); err != nil {
			b.Fatal(err)
		}
		s := server.NewShared(&server.Config{
			ListenAddress: "localhost:0", Registry: registry, Etcd: []string{server.Memory}, Cluster: b.Name(), Shards: 64,
		}, meeting)
		if err := s.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Stop(context.Background()); err != nil {
				b.Error(err)
			}
		})
		return s
	}
	here := start((*Here)(nil))
	start((*There)(nil))
	ctx := b.Context()
	const objects = 1024
	var ids []string
	for found := map[string]bool{}; len(ids) < objects; { // until the other server has got its shards
		for i := range 4 * objects {
			id := fmt.Sprintf("Spot-%d", i)
			out, err := here.CallObject(ctx, id, "Where", nil)
			if err != nil {
				b.Fatal(err)
			}
			if out.(*text).GetValue() == "there" && !found[id] && len(ids) < objects {
				found[id], ids = true, append(ids, id)
			}
		}
	}
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			b.ReportAllocs()
			var working sync.WaitGroup
			for i := range callers {
				working.Go(func() {
					for k := range (b.N + i) / callers {
						if _, err := here.CallObject(ctx, ids[(k*callers+i)%len(ids)], "Echo", wrapperspb.String("0123456789abcdef")); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			working.Wait()
		})
	}
}
