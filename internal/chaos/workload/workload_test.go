//go:build linux

package workload_test

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/chaos/workload"
	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/object"
)

func TestTypesCanBeRegistered(t *testing.T) {
	t.Parallel()
	registry := object.NewRegistry()
	if err := workload.Types(registry); err != nil {
		t.Fatal(err)
	}
	for n := range 8 {
		_, _, err := object.ParseID(workload.Hot(n))
		if err != nil {
			t.Error(err)
		}
	}
	if registry.Lookup(workload.Kept) == nil || registry.Lookup(workload.Log) == nil {
		t.Error("a type is missing")
	}
}

func TestThereIsACanaryInEachShard(t *testing.T) {
	t.Parallel()
	for n, id := range workload.Canaries(64) {
		if got := shard.Of(id, 64); int(got) != n {
			t.Errorf("canary %d is in shard %d", n, got)
		}
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method             string
		value, a, b        int64
		wantNext, wantSaid int64
	}{
		{workload.Read, 3, 9, 9, 3, 3},
		{workload.Write, 3, 9, 0, 9, 9},
		{workload.Swap, 3, 3, 4, 4, 1},
		{workload.Swap, 3, 5, 4, 3, 0},
		{workload.Add, 3, 4, 0, 7, 7},
		{workload.Append, 1, 4, 0, 1_000_007, 1_000_007},
	} {
		next, said := workload.Apply(tt.method, tt.value, tt.a, tt.b)
		if next != tt.wantNext || said != tt.wantSaid {
			t.Errorf("%s: %d, %d", tt.method, next, said)
		}
	}
	_, ab := workload.Apply(workload.Append, 1, 2, 0)
	_, ba := workload.Apply(workload.Append, 2, 1, 0)
	if ab == ba {
		t.Error("the hash of a log does not tell its order")
	}
}
