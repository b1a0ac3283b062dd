package storagetest

import (
	"math"

	"github.com/xiaonanln/goverse/storage"
)

// seqs are the numbers of sends.
func seqs(sends []storage.Send) []uint64 {
	var all []uint64
	for _, s := range sends {
		all = append(all, s.Seq)
	}
	return all
}

func testSends(k *kit) {
	f := k.fence(1, 4)
	send := func(f storage.Fence, seq uint64) error {
		return k.Commit(k.ctx, f, storage.Batch{
			Sends: []storage.NewSend{{Seq: seq, Source: "T-a", Target: "T-b", Message: []byte("hello")}},
		})
	}
	k.must(send(f, 2))
	k.equal("a send", showSend(k.sends()[0]), showSend(storage.Send{
		SendID: storage.SendID{Shard: 1, Epoch: 4, Seq: 2}, Source: "T-a", Target: "T-b", Message: []byte("hello"),
	}))
	k.refused("the same number again", send(f, 2), storage.ErrConflict)
	k.refused("the same number under a later generation", send(k.fence(1, 4), 2), storage.ErrConflict)
	later := k.fence(1, 5)
	k.must(send(later, 2)) // another epoch counts anew
	k.must(send(later, math.MaxInt64))
	k.must(send(later, 0))
	k.must(send(k.fence(2, 4), 2)) // and so does another shard

	k.commit(later, storage.Batch{Sent: []storage.SendID{
		{Shard: 1, Epoch: 4, Seq: 2}, {Shard: 1, Epoch: 5, Seq: 2}, {Shard: 1, Epoch: 5, Seq: 77}, {Shard: 1, Epoch: 3, Seq: 2},
	}})
	k.equal("left", seqs(k.sends()), []uint64{0, math.MaxInt64, 2})
	k.refused("a send of another shard is removed",
		k.Commit(k.ctx, later, storage.Batch{Sent: []storage.SendID{{Shard: 2, Epoch: 4, Seq: 2}}}), storage.ErrInvalid)
	k.equal("left still", len(k.sends()), 3)
}

func testSendsInPages(k *kit) {
	// Written in disorder, on three shards and in two epochs.
	for _, s := range []struct {
		shard uint32
		epoch uint64
		seqs  []uint64
	}{{2, 1, []uint64{5}}, {1, 2, []uint64{9, 3}}, {0, 1, []uint64{1}}, {2, 7, []uint64{1, 2}}} {
		f := k.fence(s.shard, s.epoch)
		for _, seq := range s.seqs {
			k.commit(f, storage.Batch{Sends: []storage.NewSend{{Seq: seq, Source: "T-a", Target: "T-b"}}})
		}
	}
	ids := func(shards []uint32, after storage.SendID, limit int) (ids []storage.SendID) {
		k.t.Helper()
		sends, err := k.PendingSends(k.ctx, shards, after, limit)
		k.must(err)
		for _, s := range sends {
			ids = append(ids, s.SendID)
		}
		return ids
	}
	all := []storage.SendID{
		{Shard: 0, Epoch: 1, Seq: 1},
		{Shard: 1, Epoch: 2, Seq: 3},
		{Shard: 1, Epoch: 2, Seq: 9},
		{Shard: 2, Epoch: 1, Seq: 5},
		{Shard: 2, Epoch: 7, Seq: 1},
		{Shard: 2, Epoch: 7, Seq: 2},
	}
	none := storage.SendID{}
	k.equal("all", ids([]uint32{2, 1, 0, 1}, none, 100), all)
	k.equal("no more than the limit", ids([]uint32{0, 1, 2}, none, 4), all[:4])
	k.equal("none", ids([]uint32{0, 1, 2}, none, 0), all[:0])
	k.equal("of no shard", ids(nil, none, 100), all[:0])
	k.equal("of one shard", ids([]uint32{1}, none, 100), all[1:3])
	k.equal("of two shards", ids([]uint32{2, 0}, none, 2), []storage.SendID{all[0], all[3]})
	k.equal("of an empty shard", ids([]uint32{8191}, none, 100), all[:0])
	for i, id := range all {
		k.equal("after each", ids([]uint32{0, 1, 2}, id, 100), all[i+1:])
	}
	k.equal("after one that is gone", ids([]uint32{0, 1, 2}, storage.SendID{Shard: 1, Epoch: 2, Seq: 4}, 2), all[2:4])
	k.equal("after an epoch's end", ids([]uint32{0, 1, 2}, storage.SendID{Shard: 2, Epoch: 6, Seq: 9}, 2), all[4:])
}

func testSendsOutliveTheirObject(k *kit) {
	f := k.fence(1, 1)
	k.write(f, "T-a", 0, "")
	k.commit(f, storage.Batch{
		Objects: []storage.ObjectWrite{{ID: "T-a", Expect: 1, Delete: true}},
		Sends:   []storage.NewSend{{Seq: 2, Source: "T-a", Target: "T-b"}},
	})
	k.commit(f, storage.Batch{Objects: []storage.ObjectWrite{{ID: "T-a", Delete: true}, {ID: "T-b", Delete: true}}})
	k.equal("sends", seqs(k.sends()), []uint64{2})
}
