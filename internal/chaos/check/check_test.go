//go:build linux

package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/xiaonanln/goverse/internal/chaos/check"
	"github.com/xiaonanln/goverse/internal/chaos/record"
	"github.com/xiaonanln/goverse/internal/chaos/workload"
	"github.com/xiaonanln/goverse/internal/shard"
)

// The fixture's histories are of one Counter, c, in milliseconds.

func begin(life, node string, at int) record.Entry {
	return record.Entry{Kind: record.Begin, Object: "Counter-c", Life: life, Lineage: life, Node: node, Start: ms(at)}
}

func turn(life, op, method string, a, value int64, start, end int) record.Entry {
	return record.Entry{
		Kind: record.Turn, Object: "Counter-c", Op: op, Method: method, A: a, Value: value,
		Life: life, Lineage: life, Turn: life + "." + op, Start: ms(start), End: ms(end), Node: "n" + life,
	}
}

// answered is a turn, and its caller's successful call around it.
func answered(life, op, method string, a, value int64, start, end int) []record.Entry {
	t := turn(life, op, method, a, value, start, end)
	c := t
	c.Kind, c.Start, c.End = record.Call, t.Start-ms(1), t.End+ms(1)
	return []record.Entry{t, c}
}

func failed(op, executed string, once bool) record.Entry {
	return record.Entry{Kind: record.Call, Object: "Counter-c", Op: op, Code: "unavailable", Executed: executed, Once: once, End: ms(1000)}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func history(parts ...any) *check.History {
	var all []record.Entry
	for _, p := range parts {
		switch p := p.(type) {
		case record.Entry:
			all = append(all, p)
		case []record.Entry:
			all = append(all, p...)
		}
	}
	return check.New(all)
}

func isRead(method string) bool { return method == workload.Read }

// want checks that the violations are those that contain the texts, one each.
func want(t *testing.T, got []check.Violation, texts ...string) {
	t.Helper()
	for i, v := range got {
		if i >= len(texts) || !strings.Contains(v.String(), texts[i]) {
			t.Errorf("found %v, want %q", got, texts)
			return
		}
	}
	if len(got) != len(texts) {
		t.Errorf("found %v, want %q", got, texts)
	}
}

func TestLivesThatHaveAnsweredMayNotOverlap(t *testing.T) {
	t.Parallel()
	old := []any{begin("A", "n1", 0), answered("A", "1", workload.Add, 1, 1, 10, 20)}
	for _, tt := range []struct {
		name string
		more []any
		want []string
	}{
		{"one after the other", []any{begin("B", "n2", 20), answered("B", "2", workload.Add, 1, 1, 30, 40)}, nil},
		{"the older answers after the newer has begun", []any{begin("B", "n2", 19), answered("B", "2", workload.Add, 1, 1, 30, 40)}, []string{"I1 Counter-c: life A on n1 answered until 20ms"}},
		{"inside another", []any{begin("B", "n2", 12), answered("B", "2", workload.Add, 1, 1, 13, 14)}, []string{"I1"}},
		{"the third meets the first", []any{
			begin("B", "n2", 5), answered("B", "2", workload.Add, 1, 1, 6, 7),
			begin("C", "n3", 9), answered("C", "3", workload.Add, 1, 1, 15, 16),
		}, []string{"life B", "life C"}},
		{"a zombie that nobody heard", []any{begin("B", "n2", 12), turn("B", "2", workload.Add, 1, 1, 13, 14)}, nil},
		{"a turn before the life", answeredBefore(), []string{"before its life began"}},
	} {
		want(t, history(append(tt.more, old...)...).SingleLife(), tt.want...)
	}
}

func answeredBefore() []any {
	return []any{begin("B", "n2", 50), answered("B", "2", workload.Add, 1, 1, 40, 60)}
}

func TestTurnsOfOneLifeAreExclusive(t *testing.T) {
	t.Parallel()
	one := answered("A", "1", workload.Add, 1, 1, 10, 20)
	want(t, history(one, answered("A", "2", workload.Add, 1, 2, 20, 30)).Exclusive(isRead))
	want(t, history(one, answered("A", "2", workload.Add, 1, 2, 19, 30)).Exclusive(isRead), "overlap")
	want(t, history(one, answered("A", "2", workload.Read, 0, 0, 12, 13)).Exclusive(isRead), "overlap")
	reads := []any{answered("A", "1", workload.Read, 0, 0, 10, 20), answered("A", "2", workload.Read, 0, 0, 11, 12)}
	want(t, history(reads...).Exclusive(isRead))
	want(t, history(append(reads, turn("A", "3", workload.Add, 1, 1, 19, 30))...).Exclusive(isRead), "overlap")
	want(t, history(append(reads, turn("B", "3", workload.Add, 1, 1, 19, 30))...).Exclusive(isRead)) // another life
}

func TestAnswersHaveAnOrder(t *testing.T) {
	t.Parallel()
	check := func(parts ...any) []check.Violation {
		return history(parts...).Linearizable(workload.Apply, 10*time.Second)
	}
	first := answered("A", "1", workload.Add, 5, 5, 10, 20)
	want(t, check(first, answered("A", "2", workload.Add, 1, 6, 30, 40), answered("A", "3", workload.Read, 0, 6, 50, 60)))
	want(t, check(first, answered("A", "2", workload.Add, 1, 1, 30, 40)), "no order explains its 2 turns") // a lost update
	want(t, check(first, answered("A", "2", workload.Read, 0, 0, 30, 40)), "no order")                     // a stale read
	want(t, check(first, turn("A", "2", workload.Add, 1, 6, 30, 40), answered("A", "3", workload.Read, 0, 6, 50, 60)))
	want(t, check(first, answered("B", "2", workload.Add, 1, 1, 30, 40))) // another memory
}

func TestErrorsTellTheTruth(t *testing.T) {
	t.Parallel()
	ran := turn("A", "1", workload.Add, 1, 1, 10, 20)
	again := turn("B", "1", workload.Add, 1, 1, 30, 40)
	want(t, history(ran, failed("1", "no", false)).Replies(), "I3 Counter-c: call 1 has run 1 times")
	want(t, history(ran, failed("1", "unknown", false)).Replies())
	want(t, history(failed("1", "yes", false)).Replies(), "has not run")
	want(t, history(ran, again, failed("1", "unknown", true)).Replies(), "at most once")
	want(t, history(ran, again, failed("1", "unknown", false)).Replies())
	lie := answered("A", "1", workload.Add, 1, 1, 10, 20)
	lie[1].Value = 2
	want(t, history(lie).Replies(), "not what happened")
	want(t, history(lie[1]).Replies(), "not what happened")
}

func TestPlannedMovesLoseNothing(t *testing.T) {
	t.Parallel()
	ran := turn("A", "1", workload.Add, 1, 1, 10, 20)
	want(t, history(ran, turn("B", "1", workload.Add, 1, 1, 30, 40)).Twice(), "has run 2 times")
	want(t, history(ran).Twice())
	want(t, history(failed("1", "no", false)).Refused(), "I6")
	want(t, history(failed("1", "unknown", false)).GaveUp(ms(2000)), "I9")
	want(t, history(failed("1", "unknown", false)).GaveUp(ms(1000))) // its deadline
	want(t, history(failed("1", "unknown", true)).GaveUp(ms(2000)))
	all := func(string) bool { return true }
	carried := begin("B", "n2", 30)
	carried.Lineage = "A"
	want(t, history(begin("A", "n1", 0), carried).Lineages(all))
	want(t, history(begin("A", "n1", 0), begin("B", "n2", 30)).Lineages(all), "was lost")
	want(t, history(begin("A", "n1", 0), begin("B", "n2", 30)).Lineages(func(string) bool { return false }))
}

func TestWhoIsCutOffIsSilent(t *testing.T) {
	t.Parallel()
	h := history(answered("A", "1", workload.Add, 1, 1, 10, 20))
	want(t, h.Silent("nA", ms(5), ms(100)), "I8")
	want(t, h.Silent("nA", ms(20), ms(100)))
	want(t, h.Silent("nB", ms(5), ms(100)))
	want(t, h.Silent("nA", ms(5), ms(21)))
	want(t, history(turn("A", "1", workload.Add, 1, 1, 10, 20)).Silent("nA", ms(5), ms(100)))
}

func change(rev int64, owner string, epoch uint64, seen int) check.Change {
	return check.Change{Shard: 3, Rev: rev, Seen: ms(seen), Record: shard.Record{Owner: owner, OwnerRev: 1, Epoch: epoch}}
}

func TestEpochsGrow(t *testing.T) {
	t.Parallel()
	a := change(10, "A", 10, 0)
	want(t, check.Epochs([]check.Change{a, change(11, "A", 10, 0), change(12, "B", 12, 0)}))
	want(t, check.Epochs([]check.Change{a, change(11, "A", 9, 0)}), "epoch 9 follows 10")
	want(t, check.Epochs([]check.Change{a, change(11, "B", 10, 0)}), "two owners")
	want(t, check.Epochs([]check.Change{a, {Shard: 3, Rev: 11}}), "deleted")
	other := change(11, "B", 2, 0)
	other.Shard = 4
	want(t, check.Epochs([]check.Change{a, other}))
}

func TestMovesAndWhatTheyAdd(t *testing.T) {
	t.Parallel()
	s := shard.Of("Counter-c", 8)
	moving, moved := change(11, "A", 10, 100), change(12, "B", 12, 110)
	moving.Record.Target, moved.Record.Handover = "B", 11
	changes := []check.Change{change(10, "A", 10, 0), moving, moved, change(13, "C", 13, 200)}
	for i := range changes {
		changes[i].Shard = s
	}
	moves := check.Moves(changes)
	if len(moves) != 1 || moves[0] != (check.Move{Shard: s, From: ms(100), Until: ms(110)}) {
		t.Fatalf("moves %v", moves)
	}
	h := history(answered("A", "1", workload.Add, 1, 1, 50, 60), answered("B", "2", workload.Add, 1, 1, 109, 150))
	if got := h.Added(moves, 8, 0); len(got) != 1 || got[0] != ms(2) { // around the turn
		t.Errorf("added %v", got)
	}
}

func TestFailoverIsToTheFirstAnswerOfANewLife(t *testing.T) {
	t.Parallel()
	s := shard.Of("Counter-c", 8)
	h := history(
		begin("A", "n1", 0), answered("A", "1", workload.Add, 1, 1, 110, 120), // of the dead, on its way
		begin("B", "n2", 200), answered("B", "2", workload.Add, 1, 1, 210, 220), answered("B", "3", workload.Add, 1, 2, 310, 320),
	)
	times, missing := h.Failover([]uint32{s, (s + 1) % 8}, 8, ms(100))
	if len(times) != 1 || times[0] != ms(121) || len(missing) != 1 || missing[0] != (s+1)%8 {
		t.Errorf("times %v, missing %v", times, missing)
	}
	if got := h.Longest(ms(200), ms(300)); got != ms(12) {
		t.Errorf("longest %v", got)
	}
	if got := h.Rate(ms(0), ms(1000)); got != 3 {
		t.Errorf("rate %v", got)
	}
}

func TestZombiesAreCounted(t *testing.T) {
	t.Parallel()
	zombies, all := history(
		begin("A", "n1", 0), begin("B", "n2", 50), turn("A", "1", workload.Add, 1, 1, 10, 60), turn("A", "2", workload.Add, 1, 1, 20, 30),
	).Unanswered()
	if zombies != 1 || all != 2 {
		t.Errorf("%d of %d", zombies, all)
	}
}
