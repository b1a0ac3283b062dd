package cluster

import "github.com/xiaonanln/goverse/internal/shard"

// Plant leaves guards out, before the member runs.
func (m *Member) Plant(flaws shard.Flaws) { m.flaws = flaws }

// Buried is how many members that are gone are remembered.
func (m *Member) Buried() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.table.buried)
}
