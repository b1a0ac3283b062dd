package coordtest

import (
	"slices"

	"github.com/xiaonanln/goverse/internal/coord"
)

func testRevisions(k *kit) {
	start := k.rev()
	if start < 1 {
		k.t.Errorf("the store is at revision %d, want at least 1", start)
	}
	create := k.put("a", "1")
	if create != start+1 {
		k.t.Errorf("a put after revision %d made revision %d", start, create)
	}
	mod := k.put("a", "2")
	if mod != create+1 {
		k.t.Errorf("a put after revision %d made revision %d", create, mod)
	}
	want := coord.KV{Key: k.key("a"), Value: []byte("2"), CreateRev: create, ModRev: mod, Version: 2}
	kv, rev, err := k.Get(k.ctx, k.key("a"))
	k.must(err)
	k.checkKV("after two puts", kv, want)
	if rev != mod {
		k.t.Errorf("Get says revision %d, want %d", rev, mod)
	}

	// The same value again is a change as well.
	if again := k.put("a", "2"); again != mod+1 {
		k.t.Errorf("a put of the same value made revision %d, want %d", again, mod+1)
	}
	// Several puts make one revision.
	all := k.do(coord.Put(k.key("x"), nil), coord.Put(k.key("y"), []byte{}), coord.Put(k.key("a"), nil)).Rev
	if all != mod+2 {
		k.t.Errorf("a transaction of three puts made revision %d, want %d", all, mod+2)
	}
	k.checkKV("first of one transaction", k.get("x"),
		coord.KV{Key: k.key("x"), CreateRev: all, ModRev: all, Version: 1})
	k.checkKV("second of one transaction", k.get("y"),
		coord.KV{Key: k.key("y"), CreateRev: all, ModRev: all, Version: 1})
	k.checkKV("third of one transaction", k.get("a"),
		coord.KV{Key: k.key("a"), CreateRev: create, ModRev: all, Version: 4})
}

func testDeletedKeyStartsAnew(k *kit) {
	created := k.put("a", "1")
	if deleted := k.del("a"); deleted != created+1 {
		k.t.Errorf("a deletion after revision %d made revision %d", created, deleted)
	}
	if kv := k.get("a"); kv.Exists() {
		k.t.Errorf("a deleted key exists: %s", show(kv))
	}
	again := k.put("a", "2")
	k.checkKV("put after a deletion", k.get("a"),
		coord.KV{Key: k.key("a"), Value: []byte("2"), CreateRev: again, ModRev: again, Version: 1})
}

func testGetAbsent(k *kit) {
	put := k.put("ab", "1")
	kv, rev, err := k.Get(k.ctx, k.key("a")) // a prefix of a key is not that key
	k.must(err)
	k.checkKV("absent key", kv, coord.KV{})
	if kv.Exists() || rev != put {
		k.t.Errorf("absent key: exists %v at revision %d, want %d", kv.Exists(), rev, put)
	}
	_, _, err = k.Get(k.ctx, "")
	k.refused("Get of an empty key", err, coord.ErrInvalid)
}

func testValuesAreCopies(k *kit) {
	value := []byte("good")
	rev := k.do(coord.Put(k.key("a"), value)).Rev
	copy(value, "evil")

	copy(k.get("a").Value, "evil")
	page, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{})
	k.must(err)
	copy(page.KVs[0].Value, "evil")
	copy(k.do(coord.Get(k.key("a"))).Results[0].KV.Value, "evil")
	f := k.follow("", rev)
	copy(f.event().KV.Value, "evil")
	f.stop()

	if got := string(k.get("a").Value); got != "good" {
		k.t.Errorf("value = %q: the store shares memory with its user", got)
	}
}

func testRangeByPrefix(k *kit) {
	for _, name := range []string{"b/2", "b", "b/", "b0", "b/\xff", "a/1", "b/1", "b/\x00", "c", "b/\xff\xff", "b/10"} {
		k.put(name, name)
	}
	last := k.put("b/gone", "")
	last = max(last, k.del("b/gone"))
	for _, tc := range []struct {
		prefix string
		opts   coord.RangeOptions
		want   []string
	}{
		{"b/", coord.RangeOptions{}, []string{"b/", "b/\x00", "b/1", "b/10", "b/2", "b/\xff", "b/\xff\xff"}},
		{"b/\xff", coord.RangeOptions{}, []string{"b/\xff", "b/\xff\xff"}},
		{"b/1", coord.RangeOptions{}, []string{"b/1", "b/10"}},
		{"d", coord.RangeOptions{}, nil},
		{"b/", coord.RangeOptions{StartKey: k.key("b/1\x00")}, []string{"b/10", "b/2", "b/\xff", "b/\xff\xff"}},
		{"b/", coord.RangeOptions{StartKey: k.key("a")}, []string{"b/", "b/\x00", "b/1", "b/10", "b/2", "b/\xff", "b/\xff\xff"}},
		{"b/", coord.RangeOptions{StartKey: k.key("c")}, nil},
		{"b/1", coord.RangeOptions{StartKey: k.key("b/2")}, nil},
	} {
		page, err := k.Range(k.ctx, k.key(tc.prefix), tc.opts)
		k.must(err)
		if got := k.names(page.KVs); !slices.Equal(got, tc.want) {
			k.t.Errorf("Range(%q, %+v) = %q, want %q", tc.prefix, tc.opts, got, tc.want)
		}
		if page.Rev != last || page.More {
			k.t.Errorf("Range(%q): revision %d, more %v; want %d, false", tc.prefix, page.Rev, page.More, last)
		}
	}
	page, err := k.Range(k.ctx, "", coord.RangeOptions{StartKey: k.prefix, Limit: 1})
	k.must(err)
	if len(page.KVs) != 1 || page.KVs[0].Key != k.key("a/1") || !page.More {
		k.t.Errorf("Range over all keys from the test's first = %+v", page)
	}
}

// Pages of one revision are a picture of one moment, whatever is written between them.
func testRangeInPages(k *kit) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	var rev int64
	for _, name := range names {
		rev = k.put(name, "old")
	}
	var got []string
	opts := coord.RangeOptions{Limit: 4}
	for more := true; more; {
		page, err := k.Range(k.ctx, k.prefix, opts)
		k.must(err)
		if page.Rev != rev {
			k.t.Errorf("a page is of revision %d, want %d", page.Rev, rev)
		}
		for _, kv := range page.KVs {
			if string(kv.Value) != "old" {
				k.t.Errorf("a page shows a later write: %s", show(kv))
			}
		}
		got = append(got, k.names(page.KVs)...)
		if len(got) > len(names) {
			break
		}
		opts.Rev, opts.StartKey, more = page.Rev, page.KVs[len(page.KVs)-1].Key+"\x00", page.More

		k.put("a0", "new")
		k.put("e", "new")
		k.put("e0", "new")
		k.del("f")
	}
	if !slices.Equal(got, names) {
		k.t.Errorf("pages = %q, want %q", got, names)
	}

	// A limit that is just met cuts nothing.
	page, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: rev, Limit: len(names)})
	k.must(err)
	if page.More || len(page.KVs) != len(names) {
		k.t.Errorf("Range with the limit just met: %d keys, more %v", len(page.KVs), page.More)
	}
}

func testRangeOfThePast(k *kit) {
	first := k.put("a", "1")
	second := k.put("b", "2")
	third := k.do(coord.Put(k.key("a"), []byte("3")), coord.Delete(k.key("b"))).Rev
	for rev, want := range map[int64][]coord.KV{
		first - 1: nil,
		first:     {{Key: k.key("a"), Value: []byte("1"), CreateRev: first, ModRev: first, Version: 1}},
		second: {
			{Key: k.key("a"), Value: []byte("1"), CreateRev: first, ModRev: first, Version: 1},
			{Key: k.key("b"), Value: []byte("2"), CreateRev: second, ModRev: second, Version: 1},
		},
		third: {{Key: k.key("a"), Value: []byte("3"), CreateRev: first, ModRev: third, Version: 2}},
	} {
		page, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: rev})
		k.must(err)
		if page.Rev != rev || !slices.EqualFunc(page.KVs, want, func(a, b coord.KV) bool { return show(a) == show(b) }) {
			k.t.Errorf("Range at revision %d = %+v, want %+v", rev, page, want)
		}
	}
}

func testRangeRefusals(k *kit) {
	rev := k.put("a", "1")
	_, err := k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: rev + 1})
	k.refused("Range in the future", err, coord.ErrFutureRev)
	_, err = k.Range(k.ctx, k.prefix, coord.RangeOptions{Rev: -1})
	k.refused("Range at a negative revision", err, coord.ErrInvalid)
	_, err = k.Range(k.ctx, k.prefix, coord.RangeOptions{Limit: -1})
	k.refused("Range with a negative limit", err, coord.ErrInvalid)
}
