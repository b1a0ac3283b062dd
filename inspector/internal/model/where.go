package model

import (
	"fmt"

	"github.com/xiaonanln/goverse/internal/shard"
)

// Owner is who owns a shard, at which epoch; empty: nobody, or there is no such shard.
func (m *Model) Owner(n uint32) (owner string, epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ownerOf(n)
}

func (m *Model) ownerOf(n uint32) (owner string, epoch uint64) {
	if int(n) >= len(m.shards) {
		return "", 0
	}
	s := &m.shards[n]
	if s.owner < 0 {
		return "", s.epoch
	}
	return m.order[s.owner], s.epoch
}

// ShardCount is how many shards the cluster has; 0: there is none yet.
func (m *Model) ShardCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.shards)
}

// Address is where a living node is; an error says that there is none, or that it cannot be
// reached.
func (m *Model) Address(id string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nodes[id]
	if n == nil || n.gone != 0 {
		return "", fmt.Errorf("node %q is no member", clip(id, 64))
	}
	return n.member.Address, nil
}

// OthersLive says whether a node other than that one could take shards.
func (m *Model) OthersLive(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Monotonic()
	for other, n := range m.nodes {
		if other != id && n.gone == 0 && n.state() == "live" && m.silent(n, now) == 0 {
			return true
		}
	}
	return false
}

// Home is the node that has an object if it is in memory; empty: that is not known, as nobody owns its shard, it is a
// client's, or of a type that no node has told of.
func (m *Model) Home(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.types[typeOf(id)]; t == nil || t.client || len(m.shards) == 0 {
		return ""
	}
	owner, _ := m.ownerOf(shard.Of(id, len(m.shards)))
	return owner
}
