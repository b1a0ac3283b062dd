package coordtest

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/xiaonanln/goverse/internal/coord"
)

func testTxnCompares(k *kit) {
	create := k.put("a", "1")
	mod := k.put("a", "2")
	k.put("empty", "")
	k.put("gone", "1")
	k.del("gone")
	a, none, empty, gone := k.key("a"), k.key("none"), k.key("empty"), k.key("gone")
	yes, no := coord.CreateRev(a, create), coord.Absent(a)
	for _, tc := range []struct {
		what string
		cmp  []coord.Compare
		want bool
	}{
		{"no compare", nil, true},
		{"create revision", []coord.Compare{coord.CreateRev(a, create)}, true},
		{"create revision is not the last", []coord.Compare{coord.CreateRev(a, mod)}, false},
		{"create revision of an absent key", []coord.Compare{coord.CreateRev(none, 0)}, true},
		{"create revision of a deleted key", []coord.Compare{coord.CreateRev(gone, 0)}, true},
		{"mod revision", []coord.Compare{coord.ModRev(a, mod)}, true},
		{"mod revision is not the first", []coord.Compare{coord.ModRev(a, create)}, false},
		{"mod revision of an absent key", []coord.Compare{coord.ModRev(none, 0)}, true},
		{"mod revision of a deleted key", []coord.Compare{coord.ModRev(gone, 0)}, true},
		{"value", []coord.Compare{coord.Value(a, []byte("2"))}, true},
		{"value is not a prefix", []coord.Compare{coord.Value(a, nil)}, false},
		{"value is not an old one", []coord.Compare{coord.Value(a, []byte("1"))}, false},
		{"empty value", []coord.Compare{coord.Value(empty, nil)}, true},
		{"empty value of an absent key", []coord.Compare{coord.Value(none, nil)}, false},
		{"empty value of a deleted key", []coord.Compare{coord.Value(gone, []byte{})}, false},
		{"absent", []coord.Compare{coord.Absent(none)}, true},
		{"absent, but it exists", []coord.Compare{coord.Absent(empty)}, false},
		{"all hold", []coord.Compare{yes, coord.ModRev(a, mod), coord.Absent(none)}, true},
		{"the first does not", []coord.Compare{no, yes, yes}, false},
		{"the last does not", []coord.Compare{yes, yes, no}, false},
	} {
		res, err := k.Txn(k.ctx, coord.Txn{
			If: tc.cmp, Then: []coord.Op{coord.Get(a)}, Else: []coord.Op{coord.Get(none), coord.Get(none)},
		})
		k.must(err)
		if res.Succeeded != tc.want {
			k.t.Errorf("%s: succeeded %v, want %v", tc.what, res.Succeeded, tc.want)
		}
		if branch := map[bool]int{true: 1, false: 2}[tc.want]; len(res.Results) != branch {
			k.t.Errorf("%s: %d results, want those of the branch taken, %d", tc.what, len(res.Results), branch)
		}
	}
}

func testTxnBranches(k *kit) {
	claim := func(owner string) coord.TxnResult {
		res, err := k.Txn(k.ctx, coord.Txn{
			If:   []coord.Compare{coord.Absent(k.key("owner"))},
			Then: []coord.Op{coord.Put(k.key("owner"), []byte(owner))},
			Else: []coord.Op{coord.Get(k.key("owner")), coord.Put(k.key("loser"), []byte(owner))},
		})
		k.must(err)
		return res
	}
	won := claim("A")
	if !won.Succeeded || k.get("loser").Exists() {
		k.t.Fatalf("the first claim: %+v", won)
	}
	lost := claim("B")
	if lost.Succeeded || len(lost.Results) != 2 {
		k.t.Fatalf("the second claim: %+v", lost)
	}
	want := coord.KV{Key: k.key("owner"), Value: []byte("A"), CreateRev: won.Rev, ModRev: won.Rev, Version: 1}
	k.checkKV("read by the else branch", lost.Results[0].KV, want)
	k.checkKV("owner", k.get("owner"), want)
	if lost.Rev != won.Rev+1 {
		k.t.Errorf("an else branch that writes: revision %d, want %d", lost.Rev, won.Rev+1)
	}
	k.checkKV("written by the else branch", k.get("loser"),
		coord.KV{Key: k.key("loser"), Value: []byte("B"), CreateRev: lost.Rev, ModRev: lost.Rev, Version: 1})
}

func testTxnSeesItsOwnWrites(k *kit) {
	old := k.put("a", "old")
	k.put("b", "old")
	res := k.do(
		coord.Get(k.key("a")),
		coord.Put(k.key("a"), []byte("new")),
		coord.Get(k.key("a")),
		coord.Delete(k.key("b")),
		coord.Get(k.key("b")),
	)
	k.checkKV("read before the put", res.Results[0].KV,
		coord.KV{Key: k.key("a"), Value: []byte("old"), CreateRev: old, ModRev: old, Version: 1})
	k.checkKV("read after the put", res.Results[2].KV,
		coord.KV{Key: k.key("a"), Value: []byte("new"), CreateRev: old, ModRev: res.Rev, Version: 2})
	k.checkKV("read after the deletion", res.Results[4].KV, coord.KV{})
}

func testTxnDeletes(k *kit) {
	rev := k.do(coord.Put(k.key("x/1"), nil), coord.Put(k.key("x/2"), nil), coord.Put(k.key("x0"), nil),
		coord.Put(k.key("y"), nil)).Rev
	res := k.do(coord.Delete(k.key("x/1")), coord.DeletePrefix(k.key("x/")), coord.Delete(k.key("x/2")),
		coord.Delete(k.key("none")), coord.DeletePrefix(k.key("none")), coord.Delete(k.key("y")))
	for i, want := range []int64{1, 1, 0, 0, 0, 1} {
		if got := res.Results[i].Deleted; got != want {
			k.t.Errorf("operation %d deleted %d keys, want %d", i, got, want)
		}
	}
	if res.Rev != rev+1 {
		k.t.Errorf("several deletions made revision %d, want %d", res.Rev, rev+1)
	}
	page, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{})
	k.must(err)
	if got := k.names(page.KVs); len(got) != 1 || got[0] != "x0" {
		k.t.Errorf("left over: %q, want x0 alone", got)
	}
}

func testTxnWithoutEffect(k *kit) {
	rev := k.put("a", "1")
	for what, txn := range map[string]coord.Txn{
		"nothing":               {},
		"a get":                 {Then: []coord.Op{coord.Get(k.key("a"))}},
		"deletion of nothing":   {Then: []coord.Op{coord.Delete(k.key("b")), coord.DeletePrefix(k.key("b"))}},
		"a branch not taken":    {If: []coord.Compare{coord.Absent(k.key("a"))}, Then: []coord.Op{coord.Put(k.key("a"), nil)}},
		"an else not taken":     {Else: []coord.Op{coord.Put(k.key("a"), nil)}},
		"a failed compare only": {If: []coord.Compare{coord.Absent(k.key("a"))}},
	} {
		res, err := k.Txn(k.ctx, txn)
		k.must(err)
		if res.Rev != rev {
			k.t.Errorf("%s: revision %d, want %d still", what, res.Rev, rev)
		}
	}
	if now := k.rev(); now != rev {
		k.t.Errorf("revision %d, want %d", now, rev)
	}
}

func testTxnLimits(k *kit) {
	ops := make([]coord.Op, coord.MaxOps+1)
	compares := make([]coord.Compare, coord.MaxOps+1)
	for i := range ops {
		name := k.key(fmt.Sprintf("%04d", i))
		ops[i], compares[i] = coord.Put(name, nil), coord.Absent(name)
	}
	rev := k.rev()
	for what, txn := range map[string]coord.Txn{
		"compares":                {If: compares},
		"operations":              {Then: ops},
		"operations not taken":    {Then: ops[:1], Else: ops},
		"operations of an else":   {If: []coord.Compare{coord.ModRev(k.key("x"), 1)}, Else: ops},
		"operations that do less": {Then: append(ops[:coord.MaxOps:coord.MaxOps], coord.Get(k.key("x")))},
	} {
		_, err := k.Txn(k.ctx, txn)
		k.refused("too many "+what, err, coord.ErrTooManyOps)
	}
	if now := k.rev(); now != rev {
		k.t.Errorf("a refused transaction moved the revision from %d to %d", rev, now)
	}

	full := coord.Txn{If: compares[:coord.MaxOps], Then: ops[:coord.MaxOps], Else: ops[:coord.MaxOps]}
	res, err := k.Txn(k.ctx, full)
	k.must(err)
	if !res.Succeeded || res.Rev != rev+1 {
		k.t.Errorf("a transaction at all three limits: succeeded %v at revision %d, want %d", res.Succeeded, res.Rev, rev+1)
	}
}

func testTxnRefusals(k *kit) {
	rev := k.put("a", "1")
	put, a := coord.Put(k.key("a"), []byte("2")), k.key("a")
	for _, tc := range []struct {
		what string
		ops  []coord.Op
		want error
	}{
		{"a key put twice", []coord.Op{put, coord.Get(a), put}, coord.ErrDuplicateKey},
		{"a key put and deleted", []coord.Op{put, coord.Delete(a)}, coord.ErrDuplicateKey},
		{"a key deleted and put", []coord.Op{coord.Delete(a), put}, coord.ErrDuplicateKey},
		{"a key put and its prefix deleted", []coord.Op{put, coord.DeletePrefix(k.prefix)}, coord.ErrDuplicateKey},
		{"a prefix deleted and a key put", []coord.Op{coord.DeletePrefix(a), put}, coord.ErrDuplicateKey},
		{"an empty key put", []coord.Op{put, coord.Put("", nil)}, coord.ErrInvalid},
		{"an empty key read", []coord.Op{put, coord.Get("")}, coord.ErrInvalid},
		{"an empty key deleted", []coord.Op{put, coord.Delete("")}, coord.ErrInvalid},
		{"everything deleted", []coord.Op{coord.DeletePrefix("")}, coord.ErrInvalid},
		{"an unknown operation", []coord.Op{{Key: a}}, coord.ErrInvalid},
	} {
		_, err := k.Txn(k.ctx, coord.Txn{Then: tc.ops})
		k.refused(tc.what, err, tc.want)
		_, err = k.Txn(k.ctx, coord.Txn{Then: []coord.Op{coord.Get(a)}, Else: tc.ops})
		k.refused(tc.what+" in a branch not taken", err, tc.want)
	}
	for what, c := range map[string]coord.Compare{
		"compare of an empty key":   coord.Absent(""),
		"compare without a target":  {Key: a},
		"compare of unknown target": {Key: a, Target: 99},
	} {
		_, err := k.Txn(k.ctx, coord.Txn{If: []coord.Compare{c}, Then: []coord.Op{put}, Else: []coord.Op{put}})
		k.refused(what, err, coord.ErrInvalid)
	}
	k.checkKV("after the refusals", k.get("a"),
		coord.KV{Key: a, Value: []byte("1"), CreateRev: rev, ModRev: rev, Version: 1})
	if now := k.rev(); now != rev {
		k.t.Errorf("a refused transaction moved the revision from %d to %d", rev, now)
	}

	// What looks alike and is allowed.
	k.do(put, coord.Delete(k.key("b")), coord.DeletePrefix(k.key("aa")), coord.Delete(k.key("b")))
}

// Every success of a compare-and-swap counts once.
func testCompareAndSwapRace(k *kit) {
	const workers, each = 4, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				kv, _, err := k.Get(k.ctx, k.key("n"))
				if err != nil {
					k.t.Error(err)
					return
				}
				n := 0
				_, _ = fmt.Sscan(string(kv.Value), &n) // absent: 0
				res, err := k.Txn(k.ctx, coord.Txn{
					If:   []coord.Compare{coord.ModRev(k.key("n"), kv.ModRev)},
					Then: []coord.Op{coord.Put(k.key("n"), fmt.Append(nil, n+1))},
				})
				if err != nil {
					k.t.Error(err)
					return
				}
				if res.Succeeded {
					done++
				}
			}
		})
	}
	wg.Wait()
	kv := k.get("n")
	if got, want := string(kv.Value), strconv.Itoa(workers*each); got != want || kv.Version != workers*each {
		k.t.Errorf("counter = %s in version %d, want %s", got, kv.Version, want)
	}
}

// Of all that want to create a key one does, and all agree who.
func testCreateRace(k *kit) {
	results := make([]coord.TxnResult, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			var err error
			results[i], err = k.Txn(k.ctx, coord.Txn{
				If:   []coord.Compare{coord.Absent(k.key("leader"))},
				Then: []coord.Op{coord.Put(k.key("leader"), fmt.Append(nil, i)), coord.Get(k.key("leader"))},
				Else: []coord.Op{coord.Put(k.key(fmt.Sprint("loser", i)), nil), coord.Get(k.key("leader"))},
			})
			if err != nil {
				k.t.Error(err)
			}
		})
	}
	wg.Wait()
	if k.t.Failed() {
		return
	}
	winners, revs, leader := 0, map[int64]bool{}, show(k.get("leader"))
	for _, res := range results {
		if res.Succeeded {
			winners++
		}
		revs[res.Rev] = true
		if got := show(res.Results[1].KV); got != leader {
			k.t.Errorf("one saw %s, but the leader is %s", got, leader)
		}
	}
	if winners != 1 || len(revs) != len(results) {
		k.t.Errorf("%d winners and %d revisions of %d writers, want 1 and all", winners, len(revs), len(results))
	}
}
