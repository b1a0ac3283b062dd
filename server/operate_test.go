package server_test

import (
	"testing"

	"github.com/xiaonanln/goverse/internal/shard"
	"github.com/xiaonanln/goverse/server"
)

// An operator moves a shard and empties a server while it is called; nothing is lost.
func TestOperators(t *testing.T) {
	t.Parallel()
	c := &company{t, &server.Coordinators{}}
	first, second := c.join(), c.join()
	const id = "Tally-moved"
	n := shard.Of(id, 64)
	for _, to := range []*server.Server{first, second, first} {
		target := to.Member().Incarnation()
		if err := to.Member().Move(t.Context(), n, target); err != nil {
			t.Fatalf("move: %v", err)
		}
		await(t, to, func() bool { r, ok := to.Member().Route(n); return ok && r.Incarnation == target })
		if _, err := addTo(t.Context(), second, id, 1); err != nil {
			t.Errorf("add: %v", err)
		}
	}
	if err := second.Member().Drain(t.Context(), first.Member().Incarnation()); err != nil {
		t.Fatalf("drain: %v", err)
	}
	await(t, second, func() bool {
		for _, s := range second.Member().Shards() {
			if s.Owner != second.Member().Incarnation() {
				return false
			}
		}
		return true
	})
	if sum, err := addTo(t.Context(), first, id, 0); err != nil || sum != 3 {
		t.Errorf("the sum is %d, %v, want 3", sum, err)
	}
}

// await waits for a condition that changes with the server's view of its cluster.
func await(t *testing.T, s *server.Server, condition func() bool) {
	t.Helper()
	for {
		changed := s.Member().Changed()
		if condition() {
			return
		}
		receive(t, changed, "a change in the cluster")
	}
}
