//go:build !goverse_flaws

package cluster

import "github.com/xiaonanln/goverse/internal/shard"

// flaws are the guards that this build leaves out: none.
func (m *Member) flaws() shard.Flaws { return shard.Flaws{} }
