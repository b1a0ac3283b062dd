package cluster

import "github.com/xiaonanln/goverse/internal/shard"

// Plant leaves guards out, before the member runs.
func (m *Member) Plant(flaws shard.Flaws) { m.flaws = flaws }
