package node

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// However hits come, with equal ranks or not, those that are kept are the first, as if all had been sorted.
func TestSearchKeepsTheFirst(t *testing.T) {
	t.Parallel()
	for name, rank := range map[string]func(i int) int64{
		"at random": func(int) int64 { return rand.Int64() }, "few ranks": func(int) int64 { return rand.Int64N(3) }, "equal": func(int) int64 { return 0 },
		"ascending": func(i int) int64 { return int64(i) }, "descending": func(i int) int64 { return -int64(i) },
	} {
		for _, count := range []int{0, 1, 2, 99, 100, 101, 199, 200, 201, 5000} {
			s := &search{most: 100}
			var all []hit
			for i := range count {
				h := hit{a: &activation{id: fmt.Sprintf("T-%d", rand.IntN(1_000_000))}, rank: rank(i)}
				all = append(all, h)
				s.keep(h)
			}
			s.cut()
			if s.full && slices.ContainsFunc(s.found, func(h hit) bool { return compareHits(h, s.found[s.most-1]) > 0 }) {
				t.Errorf("%s, %d: the last of the first is not in its place", name, count)
			}
			slices.SortFunc(all, compareHits)
			slices.SortFunc(s.found, compareHits)
			if want := all[:min(count, 100)]; !slices.EqualFunc(s.found, want, func(a, b hit) bool { return a.rank == b.rank && a.a.id == b.a.id }) {
				t.Errorf("%s: of %d, %d are kept, and not the first", name, count, len(s.found))
			}
		}
	}
}
