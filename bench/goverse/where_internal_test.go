package goverse

import (
	"context"
	"errors"
	"hash/fnv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// moving is a cluster whose shards move away one after the other, until half of them have.
type moving struct {
	began time.Time
	each  time.Duration
	stuck bool
}

const movingShards = 8192

// moved is how many shards have moved by now.
func (m *moving) moved() int {
	if m.stuck {
		return movingShards / 4
	}
	return min(movingShards/2, int(time.Since(m.began)/m.each))
}

func (m *moving) there(_ context.Context, id string) (bool, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32()%movingShards) >= m.moved(), nil
}

func TestFindThereWaitsUntilNothingMoves(t *testing.T) {
	t.Parallel()
	for _, each := range []time.Duration{time.Millisecond, 4 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			m := &moving{began: time.Now(), each: each}
			ids, err := findThere(t.Context(), "Tally-", 500, m.there)
			if err != nil || len(ids) != 500 {
				t.Fatalf("%d of 500 objects: %v", len(ids), err)
			}
			if m.moved() != movingShards/2 {
				t.Errorf("%d shards have moved, not half of %d", m.moved(), movingShards)
			}
			for _, id := range ids {
				if yes, _ := m.there(t.Context(), id); !yes {
					t.Errorf("%s is not there", id)
				}
			}
		})
	}
}

func TestFindThereGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &moving{began: time.Now(), stuck: true}
		if _, err := findThere(t.Context(), "Tally-", 5, m.there); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a cluster with a quarter of its shards elsewhere has settled: %v", err)
		}
		broken := func(context.Context, string) (bool, error) { return false, errors.New("no answer") }
		if _, err := findThere(t.Context(), "Tally-", 5, broken); err == nil || !strings.Contains(err.Error(), "no answer") {
			t.Errorf("objects that do not answer: %v", err)
		}
	})
}

func TestAuditThere(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "b"}
	counts := []int64{10, 20}
	bump := func(_ context.Context, _, object int) (int64, error) { return counts[object] + 1, nil }
	here := func(_ context.Context, id string) (bool, error) { return id == "a", nil }
	there := func(context.Context, string) (bool, error) { return true, nil }
	if err := auditThere(t.Context(), ids, 30, there, bump); err != nil {
		t.Error(err)
	}
	if err := auditThere(t.Context(), ids, 31, there, bump); err == nil {
		t.Error("a call that did not count is overlooked")
	}
	if err := auditThere(t.Context(), ids, 30, here, bump); err == nil || !strings.Contains(err.Error(), "b has moved") {
		t.Errorf("an object that has moved: %v", err)
	}
}
