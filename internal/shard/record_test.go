package shard_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/xiaonanln/goverse/internal/shard"
)

func FuzzDecodeShard(f *testing.F) {
	f.Add([]byte(`{"owner":"a","owner_rev":3,"epoch":4,"target":"b","target_rev":5,"handover":6,"pinned":true}`))
	f.Add([]byte(`{"owner":"a","owner_rev":-1,"epoch":18446744073709551615}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := shard.DecodeShard(b)
		if err != nil {
			if !errors.Is(err, shard.ErrGarbage) || r != (shard.Record{}) {
				t.Errorf("%+v, %v", r, err)
			}
			return
		}
		again, err := shard.DecodeShard(r.Encode())
		if err != nil || again != r {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
		if r.Owner == "" || r.OwnerRev < 1 || r.Epoch < 1 || r.Moving() != (r.TargetRev > 0) {
			t.Errorf("believed %+v", r)
		}
		if next := shard.NextEpoch(r.Epoch, 1<<62); next <= r.Epoch {
			t.Errorf("epoch %d after %d", next, r.Epoch)
		}
	})
}

func FuzzDecodeNode(f *testing.F) {
	f.Add(shard.NodeRecord{Address: "x:1", Shards: 8, Weight: 1, Draining: true}.Encode())
	f.Add([]byte(`{"address":"","weight":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := shard.DecodeNode(b)
		if err != nil && !errors.Is(err, shard.ErrGarbage) || err == nil && (r.Weight < 1 || r.Address == "") {
			t.Errorf("%+v, %v", r, err)
		}
		if err == nil {
			if again, err := shard.DecodeNode(r.Encode()); err != nil || again != r {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(shard.Meta{Shards: 8192, Hash: shard.HashName, UUID: "u", Format: shard.Format}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := shard.DecodeMeta(b); err != nil && !errors.Is(err, shard.ErrGarbage) || err == nil && (m.Shards < 1 || m.UUID == "") {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// Epochs grow, whoever computes the next from whatever revision it has seen.
func TestEpochsGrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		epoch := uint64(0)
		for _, rev := range rapid.SliceOf(rapid.Int64()).Draw(t, "revisions") {
			next := shard.NextEpoch(epoch, rev)
			if next <= epoch || rev > 0 && next < uint64(rev) {
				t.Fatalf("epoch %d after %d, at revision %d", next, epoch, rev)
			}
			epoch = next
		}
	})
}

func TestAgree(t *testing.T) {
	t.Parallel()
	cluster := shard.Meta{Shards: 8192, Hash: "xxhash64", UUID: "u", Format: 1}
	for want, change := range map[string]func(*shard.Meta){
		"format 1, this version's have 2": func(m *shard.Meta) { m.Format = 2 },
		"8192 shards, this member":        func(m *shard.Meta) { m.Shards = 16 },
		"finds shards by xxhash64":        func(m *shard.Meta) { m.Hash = "fnv" },
		"belongs to v":                    func(m *shard.Meta) { m.UUID = "v" },
	} {
		mine := cluster
		change(&mine)
		if err := cluster.Agree(mine); !errors.Is(err, shard.ErrIncompatible) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	mine := cluster
	mine.UUID = ""
	if err := cluster.Agree(mine); err != nil {
		t.Error(err)
	}
}
