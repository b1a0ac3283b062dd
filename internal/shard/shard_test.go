package shard_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

// What is stored under a shard must be found there for ever. The values were computed
// by another implementation, written from the specification of xxHash.
func TestOfIsStableForEver(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]struct{ of8192, of3 uint32 }{
		"":                                {2457, 0},
		"a":                               {3675, 2},
		"ChatRoom-General":                {7147, 1},
		"ChatRoom-general":                {6801, 2},
		"Counter-1":                       {7318, 0},
		"Counter-2":                       {6757, 2},
		"Player-Zoë":                      {1127, 2},
		"Player-日本語":                      {1341, 0},
		"User-KR5L6UIMPIRGVD7YRB5FBD5PBN": {3094, 2},
		"ChatRoomMgr-0":                   {842, 0},
		"Box-" + strings.Repeat("x", 252): {5175, 1}, // the longest ID
	} {
		if got := shard.Of(id, shard.DefaultCount); got != want.of8192 {
			t.Errorf("Of(%q, 8192) is %d, want %d", id, got, want.of8192)
		}
		if got := shard.Of(id, 3); got != want.of3 {
			t.Errorf("Of(%q, 3) is %d, want %d", id, got, want.of3)
		}
	}
	if shard.DefaultCount != 8192 {
		t.Errorf("the default is %d shards, want 8192", shard.DefaultCount)
	}
}

func TestOfIsInRange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, count := rapid.String().Draw(t, "id"), rapid.IntRange(1, 1<<16).Draw(t, "count")
		got := shard.Of(id, count)
		if int(got) >= count || got != shard.Of(strings.Clone(id), count) {
			t.Fatalf("Of(%q, %d) is %d", id, count, got)
		}
	})
}

// IDs that differ in little spread evenly: by chi-squared, over a hundred shards, the
// chance of a fair hash to fail is below one in ten million.
func TestSpread(t *testing.T) {
	t.Parallel()
	const count, ids = 100, 100_000
	for _, format := range []string{"Player-%d", "Player-%08d", "%d-Player", "Room-%x", "A-%d-suffix-of-some-length-that-is-the-same"} {
		var in [count]float64
		for i := range ids {
			in[shard.Of(fmt.Sprintf(format, i), count)]++
		}
		const expected = float64(ids) / count
		chi2 := 0.0
		for _, n := range in {
			chi2 += (n - expected) * (n - expected) / expected
		}
		// 99 degrees of freedom: mean 99, standard deviation about 14.
		if limit := 99 + 6*math.Sqrt(2*99); chi2 > limit {
			t.Errorf("%s: chi-squared is %.1f, at most %.1f", format, chi2, limit)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		shard.Of("ChatRoom-General", shard.DefaultCount)
	}
}
