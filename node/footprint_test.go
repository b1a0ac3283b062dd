package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"unsafe"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xiaonanln/goverse/node"
	"github.com/xiaonanln/goverse/object"
	"github.com/xiaonanln/goverse/util/clock"
)

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An idle object costs at most 300 bytes over its own struct and its ID, and neither
// goroutine nor timer. Not parallel: it measures the process.
func TestIdleObjectsAreSmall(t *testing.T) {
	const objects, shards, perObject = 100_000, 4096, 300
	r := object.NewRegistry()
	if err := r.RegisterObjectType((*Counter)(nil)); err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Config{Registry: r, Clock: clock.System(), Shards: shards, Logger: slog.New(slog.DiscardHandler)})
	for s := range uint32(shards) {
		if err := n.OpenShard(t.Context(), s, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	ids := make([]string, objects)
	length := 0
	for i := range ids {
		ids[i] = fmt.Sprintf("Counter-%d", i)
		length += len(ids[i])
	}
	req := wrapperspb.String("")
	before, goroutines := heap(), runtime.NumGoroutine()
	for _, id := range ids {
		if _, err := n.Call(t.Context(), id, "Add", req); err != nil {
			t.Fatal(err)
		}
	}
	if more := runtime.NumGoroutine() - goroutines; more > 0 {
		t.Errorf("%d goroutines more", more)
	}
	used := int(heap()-before) - length - objects*int(unsafe.Sizeof(Counter{}))
	t.Logf("%d bytes per object over its struct and ID", used/objects)
	if used/objects > perObject {
		t.Errorf("%d bytes per object over its struct and ID, want at most %d", used/objects, perObject)
	}
	if n.Activations() != objects {
		t.Errorf("%d activations", n.Activations())
	}
	if err := n.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(ids)
}
