package memory_test

import (
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/xiaonanln/goverse/storage"
	"github.com/xiaonanln/goverse/storage/memory"
	"github.com/xiaonanln/goverse/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Exercise(t, func(t *testing.T) storage.Store {
		t.Helper()
		s := memory.New()
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func TestFenced(t *testing.T) {
	t.Parallel()
	if !memory.New().Fenced() {
		t.Error("the memory of one process is fenced")
	}
}

// The cost of a turn of a durable object: its state, the outcome of the call, and a send.
func BenchmarkCommit(b *testing.B) {
	s := memory.New()
	f, err := s.Fence(b.Context(), 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	state := make([]byte, 200)
	for n := int64(0); b.Loop(); n++ {
		err := s.Commit(b.Context(), f, storage.Batch{
			Objects:  []storage.ObjectWrite{{ID: "Counter-a", Expect: n, State: state}},
			Forget:   []storage.OutcomeKey{{ID: "Counter-a", Key: strconv.FormatInt(n-1, 10)}},
			Outcomes: []storage.Outcome{{ID: "Counter-a", Key: strconv.FormatInt(n, 10), Done: true, Reply: state}},
			Sent:     []storage.SendID{{Shard: 1, Epoch: 1, Seq: uint64(n)}},
			Sends:    []storage.NewSend{{Seq: uint64(n + 1), Source: "Counter-a", Target: "Counter-b", Message: state}},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
