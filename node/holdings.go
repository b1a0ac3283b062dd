package node

import "sync/atomic"

// holdings is which shards the node owns, in so little memory that it stays close to the
// processor: it is looked at before anything else of a call that may be another node's.
type holdings struct {
	all   int
	count atomic.Int64
	words []atomic.Uint64
	gates []atomic.Uint64 // the epochs of the shards whose gates take all calls; 0 for others
}

func (o *holdings) init(shards int) {
	o.all, o.words, o.gates = shards, make([]atomic.Uint64, (shards+63)/64), make([]atomic.Uint64, shards)
}

// own changes under which epoch the shard is owned; zero: not at all. Its lock is held.
// Who finds the shard to be another's finds its gate shut too, before or after.
func (s *shardState) own(epoch uint64) {
	o := &s.node.owned
	word, bit := &o.words[s.number/64], uint64(1)<<(s.number%64)
	before := s.epoch.Load()
	if before == 0 && epoch != 0 {
		word.Or(bit)
		o.count.Add(1)
	}
	s.epoch.Store(epoch)
	if before != 0 && epoch == 0 {
		o.count.Add(-1)
		word.And(^bit)
	}
	s.showGate()
}

// showGate keeps what Serves looks at. The shard's lock is held.
func (s *shardState) showGate() {
	if s == &s.node.clients {
		return
	}
	at := &s.node.owned.gates[s.number]
	if s.gate >= breathing {
		at.Store(s.epoch.Load())
	} else {
		at.Store(0)
	}
}

// has says whether the node owns a shard.
func (o *holdings) has(shard uint32) bool {
	return o.words[shard/64].Load()&(1<<(shard%64)) != 0
}

// hasAll says whether there is none that it does not own.
func (o *holdings) hasAll() bool { return o.count.Load() == int64(o.all) }
